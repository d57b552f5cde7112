"""JSON over HTTP to one server: a kept connection per thread, bounded answers, one-line errors."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from permille.errors import ModelError
from permille.records import Record

MAX_ANSWER_BYTES = 16 << 20
MAX_LINE_BYTES = 1 << 20


class Answer(Record):
    """What came back, not yet read: the whole body, or the ``data:`` lines of a stream, and when
    its first piece was there, in seconds from the request."""

    pieces: tuple[bytes, ...]
    streamed: bool
    first_s: float | None = None


class Client:
    """A server at ``url`` (which ends in ``/v1``, mostly). Threads may share it."""

    def __init__(self, model_id: str, url: str, key: str | None, timeout_s: float) -> None:
        self._at = f"model {model_id!r}: {url}"
        self._url = urlsplit(url)
        self._key = key
        self._timeout_s = timeout_s
        self._kept = threading.local()

    def get(self, path: str) -> Any:
        """The JSON at ``path``.

        Raises:
            ModelError: no server, no answer in time, another status than 200, or no JSON.
        """
        return self.parse(self._exchange("GET", path, None, streamed=False).pieces[0])

    def post(self, path: str, body: Any, *, streamed: bool = False) -> Answer:
        """The answer to ``body``, whole when this returns.

        Raises:
            ModelError: as :meth:`get`, but the body is not read.
        """
        return self._exchange("POST", path, json.dumps(body).encode(), streamed=streamed)

    def parse(self, content: bytes) -> Any:
        """A JSON object.

        Raises:
            ModelError: it is none.
        """
        try:
            value = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{self._at} answers what is not JSON: {content[:80]!r}") from error
        if not isinstance(value, dict):
            raise ModelError(f"{self._at} answers what is no object: {content[:80]!r}")
        return value

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._kept, "connection", None)
        if connection is not None:
            connection.close()
            self._kept.connection = None

    def _exchange(self, method: str, path: str, body: bytes | None, *, streamed: bool) -> Answer:
        t0_ns = time.monotonic_ns()
        try:
            response = self._send(method, path, body)
            if response.status != http.client.OK:
                said = " ".join(response.read(2000).decode("utf-8", "replace").split())
                raise ModelError(f"{self._at}{path}: status {response.status}: {said[:300]}")
            if streamed:
                return self._stream(response, t0_ns)
            content = response.read(MAX_ANSWER_BYTES + 1)
            if len(content) > MAX_ANSWER_BYTES:
                raise ModelError(f"{self._at}{path}: an answer of more than 16 MiB")
        except TimeoutError as error:
            self.close()
            raise ModelError(
                f"{self._at}{path}: no answer within {self._timeout_s:g} s; raise timeout_s"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            why = str(error) or type(error).__name__
            raise ModelError(f"{self._at}{path}: {why}; is the server up?") from error
        except ModelError:
            self.close()  # what is left of the answer must not be taken for the next one
            raise
        return Answer(pieces=(content,), streamed=False)

    def _send(self, method: str, path: str, body: bytes | None) -> http.client.HTTPResponse:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        target = self._url.path.rstrip("/") + path
        kept: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        if kept is not None:
            try:
                kept.request(method, target, body, headers)
                return kept.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                kept.close()  # the server closed it while nothing was asked: a new one
        connection = self._kept.connection = self._connect()
        connection.request(method, target, body, headers)
        response: http.client.HTTPResponse = connection.getresponse()
        return response

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(
                host, port, timeout=self._timeout_s, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)

    def _stream(self, response: http.client.HTTPResponse, t0_ns: int) -> Answer:
        first_s = None
        pieces = []
        for piece in self._events(response):
            if first_s is None and _says_something(self.parse(piece)):
                first_s = (time.monotonic_ns() - t0_ns) / 1e9
            pieces.append(piece)
        return Answer(pieces=tuple(pieces), streamed=True, first_s=first_s)

    def _events(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        """The data of server-sent events, one line each, up to ``[DONE]``."""
        size = 0
        while line := response.readline(MAX_LINE_BYTES + 1):
            size += len(line)
            if len(line) > MAX_LINE_BYTES or size > MAX_ANSWER_BYTES:
                raise ModelError(f"{self._at}: an answer of more than 16 MiB")
            name, _, value = line.strip().partition(b":")
            if name == b"data" and value.strip() == b"[DONE]":
                response.read(MAX_LINE_BYTES)  # the end of the body, so that the next can follow
                return
            if name == b"data":
                yield value.strip()
        raise ModelError(f"{self._at}: the stream broke off before [DONE]")


def _says_something(event: Any) -> bool:
    choices = event.get("choices")
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        return False
    delta = choices[0].get("delta")
    return bool(choices[0].get("text") or (isinstance(delta, dict) and delta.get("content")))
