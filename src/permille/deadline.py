"""HTTP with a deadline for the whole response, head and body.

Servers are not trusted to finish their responses. A socket's own timeout applies to a single read:
a server that sends a byte now and then never reaches it.
"""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from urllib.request import BaseHandler, Request

_IDLE_S = 1.0
"""A connection that was idle for longer is not reused, because many servers close idle connections
after some seconds (uvicorn after 5)."""


class Connection:
    """A connection on which each answer, head and body, must be complete by ``deadline_s``: for
    model servers and wall plugs."""

    def __init__(
        self, scheme: str, host: str, port: int | None, context: ssl.SSLContext | None = None
    ) -> None:
        self._http = (
            http.client.HTTPSConnection(host, port, context=context or ssl.create_default_context())
            if scheme == "https"
            else http.client.HTTPConnection(host, port)
        )
        self.deadline_s = 0.0
        self._used_s = 0.0
        self._socket: socket.socket | None = None

    def send(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        """Send a request; returns the answer with its head read."""
        if self._socket is None or not self._is_open():
            self._http.timeout = self.left_s()
            # Not left to the request: http.client's socket must be replaced before it reads.
            self._http.connect()
            inner: socket.socket = self._http.sock
            self._socket = inner
            self._http.sock = _DeadlineSocket(inner, self.left_s)
        # For sending: sendall has this time for all that it is given (docs.python.org, socket).
        self._socket.settimeout(self.left_s())
        self._http.request(method, target, body, dict(headers))
        return self._http.getresponse()

    def left_s(self) -> float:
        """Seconds until the deadline.

        Raises:
            TimeoutError: it has passed.
        """
        return _left_s(self.deadline_s)

    def finish(self) -> None:
        """Record that an answer has been read to its end."""
        self._used_s = time.monotonic()

    def is_usable(self) -> bool:
        """Whether the connection can be reused: it was not idle for long, and is not closed."""
        if self._socket is None or not self._is_open():
            return False
        if time.monotonic() - self._used_s > _IDLE_S:
            return False
        poll = select.poll()  # not select(), which does not support descriptors above 1,023
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)  # between two answers, only the end of the connection can be read

    def close(self) -> None:
        """Close it."""
        self._http.close()

    def _is_open(self) -> bool:
        return bool(self._http.sock)  # http.client sets it to None if the server will close


def open_url(
    request: Request, timeout_s: float, *handlers: BaseHandler
) -> http.client.HTTPResponse:
    """Like ``urllib.request.urlopen``, with the proxies of the environment, but the response must
    be complete within ``timeout_s``, however its bytes are spread. Finding the host and connecting
    are not cut off by that: each of its addresses may take this long.

    Raises:
        OSError: the host cannot be reached, or answers with an error (``urllib.error.HTTPError``).
        http.client.HTTPException: the response is not HTTP.
    """
    from urllib.request import HTTPHandler, HTTPSHandler, build_opener

    def left_s() -> float:
        return _left_s(deadline_s)

    class Response(http.client.HTTPResponse):
        # Here, and not on the socket after it is connected: a proxy's answer to CONNECT is read
        # within connect(), with the same class.
        def __init__(self, sock: socket.socket, *args: Any, **more: Any) -> None:
            super().__init__(cast(socket.socket, _DeadlineSocket(sock, left_s)), *args, **more)

    class Plain(http.client.HTTPConnection):
        response_class = Response

    class Secure(http.client.HTTPSConnection):
        response_class = Response

    class Within(HTTPHandler, HTTPSHandler):
        def http_open(self, req: Request) -> http.client.HTTPResponse:
            return self.do_open(Plain, req)

        def https_open(self, req: Request) -> http.client.HTTPResponse:
            return self.do_open(Secure, req)

    opener = build_opener(Within(), *handlers)
    deadline_s = time.monotonic() + timeout_s
    return cast(http.client.HTTPResponse, opener.open(request, timeout=timeout_s))


def _left_s(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the whole answer did not arrive in time")
    return left_s


class _DeadlineSocket:
    """The part of a socket that ``http.client`` uses, with reads that end at the deadline."""

    def __init__(self, inner: socket.socket, left_s: Callable[[], float]) -> None:
        self._inner, self._left_s = inner, left_s

    def makefile(self, mode: Literal["rb"]) -> io.BufferedReader:
        raw = self._inner.makefile(mode, buffering=0)
        return io.BufferedReader(_DeadlineReader(raw, self._inner, self._left_s))

    def sendall(self, data: bytes) -> None:
        self._inner.sendall(data)

    def close(self) -> None:
        self._inner.close()


class _DeadlineReader(io.RawIOBase):
    def __init__(
        self, raw: socket.SocketIO, inner: socket.socket, left_s: Callable[[], float]
    ) -> None:
        self._raw, self._inner, self._left_s = raw, inner, left_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._inner.settimeout(self._left_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
