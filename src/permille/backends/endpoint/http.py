"""JSON over HTTP to one server: a persistent connection per thread, a deadline for each complete
answer, limited size, one-line errors."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from permille.deadline import Connection
from permille.errors import InferenceError

MAX_ANSWER_BYTES = 16 << 20
_PIECE_BYTES = 1 << 16
_ERROR_BYTES = 4000
_DRAIN_S = 1.0
"""Seconds to wait for the end of a body once its content is complete."""
_CLOSING_S = 0.2
"""If a persistent connection ends within this time after a request, the server was already closing
it (llama.cpp does after a stream), and the request is sent again. Later, it is a failure."""
_HUNG_UP = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)

Value = TypeVar("Value")


class ErrorStatus(InferenceError):
    """The server answered with a status other than 200."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class TimedOut(InferenceError):
    """The whole answer did not arrive in time."""


class Body(NamedTuple):
    """The body of an answer as it arrives. The iterator raises if it is cut short."""

    content_type: str
    pieces: Iterator[bytes]


class Client:
    """A server at ``url`` (which usually ends in ``/v1``). Threads may share it."""

    def __init__(self, model_id: str, url: str, key: str | None, timeout_s: float) -> None:
        self.at = f"model {model_id!r}: {url}"
        self._url = urlsplit(url)
        self._headers = {"Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._timeout_s = timeout_s
        # One for each thread, because a connection of http.client serves one request at a time.
        self._kept = threading.local()
        self._open: set[Connection] = set()

    def get(self, path: str, *, timeout_s: float | None = None) -> dict[str, Any]:
        """The JSON object at ``path``.

        Raises:
            InferenceError: no server, no answer in time, a status other than 200, or not an object.
        """
        return self._exchange("GET", path, None, self.whole, timeout_s)

    def post(
        self,
        path: str,
        body: Any,
        read: Callable[[Body], Value],
        *,
        timeout_s: float | None = None,
    ) -> Value:
        """Send ``body``; returns the result of ``read`` on the answer.

        Raises:
            InferenceError: see :meth:`get`; also the errors of ``read``.
        """
        # json escapes a lone surrogate, which a text may have; msgspec refuses to encode it.
        return self._exchange("POST", path, json.dumps(body).encode(), read, timeout_s)

    def whole(self, body: Body) -> dict[str, Any]:
        """A body that is one JSON object."""
        return self.parse(b"".join(body.pieces))

    def parse(self, content: bytes | str) -> dict[str, Any]:
        """A JSON object.

        Raises:
            InferenceError: it is not one.
        """
        try:
            value = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InferenceError(f"{self.at}: the answer is not JSON: {content[:80]!r}") from error
        if not isinstance(value, dict):
            raise InferenceError(f"{self.at}: the answer is not an object: {content[:80]!r}")
        return value

    def close(self) -> None:
        """Close every connection, including those of finished threads. No request may be in
        flight."""
        while self._open:
            self._open.pop().close()

    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | None,
        read: Callable[[Body], Value],
        timeout_s: float | None,
    ) -> Value:
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        finished = False
        try:
            connection, response = self._send(
                method, self._url.path.rstrip("/") + path, body, time.monotonic() + limit_s
            )
            if response.status != http.client.OK:
                raise ErrorStatus(
                    f"{self.at}{path}: status {response.status}: {_words(response)}",
                    response.status,
                )
            kind = response.getheader("Content-Type", "")
            value = read(Body(kind, self._pieces(response, path)))
            finished = _drain(connection, response)
        except TimeoutError as error:
            raise TimedOut(
                f"{self.at}{path}: no answer within {limit_s:g} s; raise timeout_s"
            ) from error
        except http.client.IncompleteRead as error:
            raise InferenceError(f"{self.at}{path}: the answer was cut short") from error
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise InferenceError(f"{self.at}{path}: {why}; is the server up?") from error
        finally:
            if not finished:
                self._drop()  # the rest of this answer must not be taken for the next one
        return value

    def _send(
        self, method: str, target: str, body: bytes | None, deadline_s: float
    ) -> tuple[Connection, http.client.HTTPResponse]:
        """Send a request over the persistent or a new connection; returns the head of the
        answer."""
        kept: Connection | None = getattr(self._kept, "connection", None)
        if kept is not None and kept.is_usable():
            kept.deadline_s, t0_s = deadline_s, time.monotonic()
            try:
                return kept, kept.send(method, target, body, self._headers)
            # A POST may only be repeated if that does no harm (RFC 9110, section 9.2.2); an
            # inference changes nothing at the server.
            except _HUNG_UP:
                if time.monotonic() - t0_s > _CLOSING_S:
                    raise
        self._drop()
        made = self._new_connection()
        made.deadline_s = deadline_s
        return made, made.send(method, target, body, self._headers)

    def _new_connection(self) -> Connection:
        made = Connection(self._url.scheme, self._url.hostname or "", self._url.port)
        self._kept.connection = made
        self._open.add(made)
        return made

    def _drop(self) -> None:
        """Close this thread's connection."""
        kept: Connection | None = getattr(self._kept, "connection", None)
        if kept is not None:
            kept.close()
            self._open.discard(kept)
            self._kept.connection = None

    def _pieces(self, response: http.client.HTTPResponse, path: str) -> Iterator[bytes]:
        size = 0
        # read1() returns what there is; read() would wait for a full buffer, and the first token of
        # a stream would come with the last.
        while piece := response.read1(_PIECE_BYTES):
            size += len(piece)
            if size > MAX_ANSWER_BYTES:
                raise InferenceError(f"{self.at}{path}: an answer of more than 16 MiB")
            yield piece
        if response.length:  # the body was shorter than its Content-Length
            raise http.client.IncompleteRead(b"", response.length)


def _drain(connection: Connection, response: http.client.HTTPResponse) -> bool:
    """Read the rest of a body; returns whether the connection can be reused."""
    # A stream's reader stops at [DONE], before the last chunk of the body has been read.
    connection.deadline_s = min(connection.deadline_s, time.monotonic() + _DRAIN_S)
    try:
        rest = response.read1(_PIECE_BYTES)
        more = bool(rest) and bool(response.read1(_PIECE_BYTES))
    except (OSError, http.client.HTTPException):
        return False  # the content is complete: it does not matter how the connection ends
    response.close()
    connection.finish()
    return not more


def _words(response: http.client.HTTPResponse) -> str:
    content = response.read(_ERROR_BYTES).decode("utf-8", "replace")
    return " ".join(content.split())[:300]
