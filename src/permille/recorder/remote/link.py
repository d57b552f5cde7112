"""The connection to an agent: one request at a time, each answer complete, checked and timed."""

from __future__ import annotations

import http.client
import os
import ssl
import threading
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from permille.deadline import Connection
from permille.errors import RecorderError, UsageError
from permille.recorder.client import START_S
from permille.recorder.marker import ANSWER_S
from permille.recorder.remote.checks import answer_of
from permille.recorder.remote.clocks import Exchange
from permille.recorder.remote.protocol import (
    AUTHORITY,
    CONTENT_TYPE,
    MAX_ANSWER_BYTES,
    PATH,
    PROTOCOL,
    TOKEN,
    AgentAnswer,
    AgentRequest,
    Refusal,
)

_LIMIT_S: Mapping[str, float] = {"open": START_S, "clock": 10.0, "close": 5.0, "take": 60.0}
"""Seconds until a complete answer; ANSWER_S for the rest."""
_PIECE_BYTES = 1 << 18
_ERROR_BYTES = 500


class AgentLink:
    """A connection to the agent at ``url``. Threads may share it. After a failure it is broken and
    says why: an agent that answers again may be another one.

    Raises:
        UsageError: a certificate or token of the environment cannot be used.
    """

    def __init__(self, url: str, environment: Mapping[str, str] = os.environ) -> None:
        self.url = url
        self.fault: str | None = None
        self.lease = ""
        parts = urlsplit(url)
        context = _context(environment.get(AUTHORITY)) if parts.scheme == "https" else None
        self._connection = Connection(parts.scheme, parts.hostname or "", parts.port, context)
        self._headers = {"Content-Type": CONTENT_TYPE} | _authorization(environment.get(TOKEN))
        self._lock = threading.Lock()

    def ask(self, request: AgentRequest) -> tuple[AgentAnswer, Exchange]:
        """The answer to a request, and the times of both.

        Raises:
            RecorderError: the link is broken, or the agent refused; the link is then broken.
        """
        with self._lock:
            if self.fault is not None:
                raise RecorderError(self.fault)
            try:
                return self._exchange(request)
            except TimeoutError:
                raise self._broken("did not answer in time") from None
            except (OSError, http.client.HTTPException) as error:
                raise self._broken(_failure(request, error)) from error
            except ValueError as error:
                raise self._broken(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self.fault = self.fault or f"the agent at {self.url}: the connection is closed"
            self._connection.close()

    def _exchange(self, request: AgentRequest) -> tuple[AgentAnswer, Exchange]:
        body = msgspec.msgpack.encode(request)
        self._connection.deadline_s = time.monotonic() + _LIMIT_S.get(request.op, ANSWER_S)
        sent_ns = time.monotonic_ns()
        response = self._connection.send("POST", PATH, body, self._headers)
        content = _content(response)
        received_ns = time.monotonic_ns()
        answer = answer_of(content)
        if isinstance(answer.body, Refusal):
            raise ValueError(answer.body.reason[:500])
        if request.op != "open" and answer.lease != self.lease:
            raise ValueError("another agent answered: it was restarted, or replaced")
        return answer, Exchange(sent_ns, received_ns, answer.arrived_ns, answer.answered_ns)

    def _broken(self, why: str) -> RecorderError:
        self.fault = f"the agent at {self.url}: {why}"
        # Else a late answer would be taken for that to the next request.
        self._connection.close()
        return RecorderError(self.fault)


def request_of(op: str, lease: str) -> AgentRequest:
    """A request of this version."""
    return msgspec.convert({"protocol": PROTOCOL, "op": op, "lease": lease}, AgentRequest)


def _failure(request: AgentRequest, error: Exception) -> str:
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    why = why or type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{error.verify_message}; name the file of its authority with {AUTHORITY}"
    if request.op == "open":
        return f"it cannot be reached: {why}; start permille agent there, or check the tunnel"
    return f"the connection was lost: {why}"


def _content(response: http.client.HTTPResponse) -> bytes:
    if response.status != http.client.OK:
        text = response.read(_ERROR_BYTES).decode("utf-8", "replace")
        raise ValueError(f"status {response.status}: {' '.join(text.split())[:300]}")
    content = bytearray()
    while piece := response.read1(_PIECE_BYTES):
        content += piece
        if len(content) > MAX_ANSWER_BYTES:
            raise ValueError(f"an answer of more than {MAX_ANSWER_BYTES >> 20} MiB")
    # http.client's read1 does not tell a connection that was lost from the end of the answer.
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    response.close()  # the connection is ready for the next request
    return bytes(content)


def _context(authority: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority or None)
    except OSError as error:
        raise UsageError(f"{AUTHORITY}: {authority}: {error.strerror or error}") from error


def _authorization(token: str | None) -> dict[str, str]:
    if not token:
        return {}
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageError(f"{TOKEN} is not a token: printable ASCII without blanks only")
    return {"Authorization": f"Bearer {token}"}
