"""HTTP to one server with a deadline for each whole answer, whoever is asked: a model's server, a
plug on the wall. Servers are not trusted to come to an end."""

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
"""A connection that was idle for longer is not used again: many servers close one after some
seconds (uvicorn after 5)."""


class Connection:
    """A connection whose every answer, head and body, must be there by ``deadline_s``.

    A socket's own time-out is for one read: a server that sends a byte now and then never meets
    it.
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
        """Send a request; its answer, of which the head has been read."""
        if self._socket is None or not self._is_open():
            self._http.timeout = self.left_s()
            self._http.connect()
            inner: socket.socket = self._http.sock
            self._socket = inner
            self._http.sock = _DeadlineSocket(inner, self)
        self._socket.settimeout(self.left_s())
        self._http.request(method, target, body, dict(headers))
        return self._http.getresponse()

    def left_s(self) -> float:
        """Seconds until the deadline.

        Raises:
            TimeoutError: it is over.
        """
        left_s = self.deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the whole answer did not come in time")
        return left_s

    def finish(self) -> None:
        """Note that an answer has been read to its end."""
        self._used_s = time.monotonic()

    def is_usable(self) -> bool:
        """Whether another request may go through it: not long idle, and not closed meanwhile."""
        if self._socket is None or not self._is_open():
            return False
        if time.monotonic() - self._used_s > _IDLE_S:
            return False
        poll = select.poll()  # not select(), which takes no descriptor above 1,023
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)  # between two answers there is nothing to read but the end

    def close(self) -> None:
        """Close it."""
        self._http.close()

    def _is_open(self) -> bool:
        return bool(self._http.sock)  # http.client sets it to None where the server will close


class _DeadlineSocket:
    """A socket, as far as ``http.client`` uses one, whose reads end at the deadline."""

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
