"""The agent's HTTP side, an ASGI application: who may send a request, and how large and frequent
requests may be. What a request does is in :mod:`permille.agent.lending`."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import msgspec

from permille.agent.lending import Lending
from permille.backends.endpoint.address import is_loopback
from permille.recorder.remote.protocol import (
    CONTENT_TYPE,
    MAX_ANSWER_BYTES,
    MAX_REQUEST_BYTES,
    PATH,
    PROTOCOL,
    AgentAnswer,
    AgentRequest,
    Done,
    Opened,
    Refusal,
    Taken,
    Versioned,
)
from permille.version import __version__

BODY_S = 5.0
"""Seconds within which a request must be complete."""
PER_S, AT_ONCE = 100.0, 200
"""The most requests a second, on average and at once. A run sends one a second, and about thirty
around each span."""
WRONG_TOKEN_S = 0.5
EXPIRE_S = 5.0


class Rate:
    """Allows :data:`PER_S` requests a second, and :data:`AT_ONCE` at once (a token bucket)."""

    def __init__(self) -> None:
        self._left, self._looked_s = float(AT_ONCE), time.monotonic()

    def allows(self) -> bool:
        """Count a request; whether it may be served."""
        now_s = time.monotonic()
        self._left = min(AT_ONCE, self._left + PER_S * (now_s - self._looked_s))
        self._looked_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class _Rejected(Exception):
    """The request is not one of the protocol. The answer says nothing about this machine."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class AgentApp:
    """The application. ``token``: what requests must bear; None: nothing."""

    def __init__(self, lending: Lending, token: str | None) -> None:
        self._lending = lending
        self._expected = None if token is None else f"Bearer {token}".encode()
        self._rate = Rate()
        # One thread: the recorder serves one request after the other.
        self._recorders = ThreadPoolExecutor(1, thread_name_prefix="recorder")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request, or the life of the server."""
        # Before anything else: the run aligns the two clocks by this time.
        arrived_ns = time.monotonic_ns()
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            await self._check_head(scope)
            content = await self._answer(await _body(receive), arrived_ns)
        except _Rejected as rejected:
            await _respond(send, rejected.status, b"text/plain", f"{rejected}\n".encode())
        else:
            await _respond(send, HTTPStatus.OK, CONTENT_TYPE.encode(), content)

    async def _check_head(self, scope: Any) -> None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if self._expected is not None:
            given = _only(headers, b"authorization")
            # In constant time, which tells nothing of the token (docs.python.org, hmac).
            if not hmac.compare_digest(given, self._expected):
                # Slows guessing down, and nothing else: other requests are served meanwhile.
                await asyncio.sleep(WRONG_TOKEN_S)
                raise _Rejected(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong")
        elif not _is_for_loopback(_only(headers, b"host")):
            # The name of another site that resolves to 127.0.0.1 (DNS rebinding). With a token any
            # name will do: the other site does not have it.
            raise _Rejected(HTTPStatus.MISDIRECTED_REQUEST, "without a token: only 127.0.0.1")
        # After the token: others must not use up the requests of the run.
        if not self._rate.allows():
            raise _Rejected(HTTPStatus.TOO_MANY_REQUESTS, "too many requests")
        if scope["path"] != PATH:
            raise _Rejected(HTTPStatus.NOT_FOUND, f"only {PATH} is served")
        if scope["method"] != "POST":
            raise _Rejected(HTTPStatus.METHOD_NOT_ALLOWED, "only POST is served")
        # A page in a browser cannot send this type to another site without asking first (CORS).
        if _only(headers, b"content-type") != CONTENT_TYPE.encode():
            raise _Rejected(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"only {CONTENT_TYPE} is served")

    async def _answer(self, content: bytes, arrived_ns: int) -> bytes:
        body = await self._outcome(content)
        packed = _packed(body, self._lending.lease, arrived_ns)
        if len(packed) > MAX_ANSWER_BYTES:
            reason = f"the recording has more than {MAX_ANSWER_BYTES >> 20} MiB: use shorter trials"
            return _packed(Refusal(reason=reason), self._lending.lease, arrived_ns)
        return packed

    async def _outcome(self, content: bytes) -> Opened | Done | Taken | Refusal:
        try:
            version = msgspec.msgpack.decode(content, type=Versioned).protocol
            if version != PROTOCOL:
                return Refusal(
                    reason=f"the agent speaks version {PROTOCOL} of the protocol (permille"
                    f" {__version__}), and the run {version}: install the same permille on both"
                    " machines"
                )
            request = msgspec.msgpack.decode(content, type=AgentRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _Rejected(HTTPStatus.BAD_REQUEST, "the request is malformed") from error
        if request.op == "clock" and request.lease and request.lease == self._lending.lease:
            self._lending.keep()  # answered here, because nothing may delay it
            return Done()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._recorders, self._lending.serve, request)

    async def _live(self, receive: Any, send: Any) -> None:
        """End abandoned leases as long as the server lives, and the last one with it."""
        loop = asyncio.get_running_loop()
        # The server's start; the second message is its end (ASGI specification, lifespan).
        await receive()
        await send({"type": "lifespan.startup.complete"})
        async with _every(EXPIRE_S, self._recorders, self._lending):
            await receive()
        await loop.run_in_executor(self._recorders, self._lending.end)
        await send({"type": "lifespan.shutdown.complete"})


@contextlib.asynccontextmanager
async def _every(
    seconds: float, recorders: ThreadPoolExecutor, lending: Lending
) -> AsyncIterator[None]:
    async def expire() -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(seconds)
            # In the recorder's only thread, so never while it serves a request.
            await loop.run_in_executor(recorders, lending.expire)

    task = asyncio.create_task(expire())
    try:
        yield
    finally:
        task.cancel()


async def _body(receive: Any) -> bytes:
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                content += message.get("body", b"")
                if len(content) > MAX_REQUEST_BYTES:
                    raise _Rejected(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too large")
                if not message.get("more_body", False):
                    return bytes(content)
    except TimeoutError as error:
        raise _Rejected(HTTPStatus.REQUEST_TIMEOUT, "the request was not complete") from error


async def _respond(send: Any, status: HTTPStatus, kind: bytes, content: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _packed(body: Opened | Done | Taken | Refusal, lease: str, arrived_ns: int) -> bytes:
    """An answer, dated just before it is encoded."""
    answer = AgentAnswer(
        protocol=PROTOCOL,
        lease=lease,
        arrived_ns=arrived_ns,
        answered_ns=time.monotonic_ns(),
        body=body,
    )
    return msgspec.msgpack.encode(answer)


def _is_for_loopback(host: bytes) -> bool:
    try:
        name = urlsplit(f"//{host.decode('ascii')}").hostname
    except ValueError:  # also what is not ASCII
        return False
    return name is not None and is_loopback(name)


def _only(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """The value of a header that occurs once; empty otherwise."""
    values = [value for known, value in headers if known == name]
    return values[0] if len(values) == 1 else b""
