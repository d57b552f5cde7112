"""HTTP to one server with a deadline for each complete answer, for model servers and wall plugs.
Servers are not trusted to finish their answers."""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any, Literal

_IDLE_S = 1.0
"""A connection that was idle for longer is not reused, because many servers close idle connections
after some seconds (uvicorn after 5)."""


class Connection:
    """A connection on which each answer, head and body, must be complete by ``deadline_s``.

    A socket's own timeout applies to a single read: a server that sends a byte now and then never
    reaches it.
    """

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
            self._http.sock = _DeadlineSocket(inner, self)
        # For sending: sendall has this time for all that it is given (docs.python.org, socket).
        self._socket.settimeout(self.left_s())
        self._http.request(method, target, body, dict(headers))
        return self._http.getresponse()

    def left_s(self) -> float:
        """Seconds until the deadline.

        Raises:
            TimeoutError: it has passed.
        """
        left_s = self.deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the whole answer did not arrive in time")
        return left_s

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


class _DeadlineSocket:
    """The part of a socket that ``http.client`` uses, with reads that end at the deadline."""

    def __init__(self, inner: socket.socket, connection: Connection) -> None:
        self._inner, self._connection = inner, connection

    def makefile(self, mode: Literal["rb"]) -> io.BufferedReader:
        raw = self._inner.makefile(mode, buffering=0)
        return io.BufferedReader(_DeadlineReader(raw, self._inner, self._connection))

    def sendall(self, data: bytes) -> None:
        self._inner.sendall(data)

    def close(self) -> None:
        self._inner.close()


class _DeadlineReader(io.RawIOBase):
    def __init__(self, raw: socket.SocketIO, inner: socket.socket, connection: Connection) -> None:
        self._raw, self._inner, self._connection = raw, inner, connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._inner.settimeout(self._connection.left_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
