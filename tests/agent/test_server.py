"""The agent's own side: who may send what, and which run has the recorder."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from permille.agent import lending as lending_module
from permille.agent.lending import Lending
from permille.agent.server import AT_ONCE, AgentApp
from permille.agent.settings import Access, checked, token_of
from permille.errors import MeterError, UsageError
from permille.recorder.client import Recorder
from permille.recorder.remote.protocol import (
    CONTENT_TYPE,
    MAX_REQUEST_BYTES,
    PATH,
    PROTOCOL,
    AgentAnswer,
    AgentRequest,
    Done,
    Opened,
    Refusal,
    Taken,
)
from tests.conftest import Permille
from tests.powercap import FakePowercap

TOKEN = "t" * 32


def absent() -> Recorder:
    raise MeterError("no meter here")


def post(
    app: AgentApp, content: bytes, path: str = PATH, method: str = "POST", **headers: str
) -> httpx.Response:
    sent = {"Content-Type": CONTENT_TYPE, "Authorization": f"Bearer {TOKEN}"} | headers

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, content=content, headers=sent)

    return asyncio.run(ask())


def request(op: str, lease: str = "", protocol: int = PROTOCOL) -> bytes:
    return msgspec.msgpack.encode({"protocol": protocol, "op": op, "lease": lease})


def body_of(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return msgspec.msgpack.decode(response.content, type=AgentAnswer).body


@pytest.mark.parametrize("header", ["", "Bearer ", f"Bearer {TOKEN}x", f"bearer {TOKEN}", TOKEN])
def test_without_the_token_nothing_is_served(header: str) -> None:
    app = AgentApp(Lending(absent, None), TOKEN)
    response = post(app, request("open"), Authorization=header)
    assert response.status_code == 401
    assert "meter" not in response.text


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"path": "/"}, 404),
        ({"path": "/recorder/../../etc/passwd"}, 404),
        ({"method": "GET"}, 405),
        ({"Content-Type": "text/plain"}, 415),
        ({"content": b"x" * (MAX_REQUEST_BYTES + 1)}, 413),
        ({"content": b""}, 400),
        ({"content": b"\x91" * 900}, 400),
        ({"content": request("erase")}, 400),
        ({"content": request("open", "x" * 100)}, 400),
        ({"content": msgspec.msgpack.encode({"protocol": 1, "op": "mark", "pid": 1})}, 400),
    ],
)
def test_what_is_not_a_request_of_the_protocol_is_rejected(
    changes: Mapping[str, Any], status: int
) -> None:
    app = AgentApp(Lending(absent, None), TOKEN)
    arguments: dict[str, Any] = {"content": request("open"), **changes}
    assert post(app, **arguments).status_code == status


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *((host, 400) for host in ("127.0.0.1:9465", "localhost", "[::1]:1", "127.5.5.5")),
        *((host, 421) for host in ("site.example", "127.0.0.1.site.example", "[::1", "")),
    ],
)
def test_without_a_token_another_sites_name_is_not_served(host: str, status: int) -> None:
    app = AgentApp(Lending(absent, None), None)
    assert post(app, b"", Host=host).status_code == status
    assert post(AgentApp(Lending(absent, None), TOKEN), b"", Host=host).status_code == 400


def test_requests_are_limited_in_number() -> None:
    app = AgentApp(Lending(absent, None), None)
    statuses = []
    for _ in range(AT_ONCE + 1_000):
        statuses.append(post(app, b"").status_code)
        if statuses[-1] == 429:
            break
    assert statuses[:AT_ONCE] == [400] * AT_ONCE


def test_another_version_and_a_machine_without_meters_say_why() -> None:
    app = AgentApp(Lending(absent, None), None)
    refusal = body_of(post(app, request("open", protocol=PROTOCOL + 1)))
    assert "install the same permille on both" in refusal.reason
    assert body_of(post(app, request("open"))) == Refusal(reason="no meter here")


# --- one run at a time -------------------------------------------------------------------


@pytest.fixture
def lending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    tree = FakePowercap(tmp_path / "powercap", dram=False, limit_w=100.0)
    monkeypatch.setenv("PERMILLE_POWERCAP", str(tree.root))
    monkeypatch.setenv("PERMILLE_METERS", "rapl")
    lending = Lending(lambda: Recorder(shared=True), None)
    yield lending
    lending.end()


def ask(lending: Lending, op: str, lease: str = "") -> Any:
    return lending.serve(
        msgspec.convert({"protocol": PROTOCOL, "op": op, "lease": lease}, AgentRequest)
    )


@pytest.mark.slow
def test_a_run_gets_the_recorder_and_others_wait(lending: Lending) -> None:
    opened = ask(lending, "open")
    assert isinstance(opened, Opened)
    assert ask(lending, "begin", opened.lease) == Done()
    assert "another run is measuring" in ask(lending, "open").reason
    assert "no longer this run's" in ask(lending, "mark", "f" * 32).reason
    assert ask(lending, "mark", opened.lease) == Done()
    taken = ask(lending, "take", opened.lease)
    assert isinstance(taken, Taken)
    assert taken.recording.shared
    assert ask(lending, "close", opened.lease) == Done()
    assert "no longer this run's" in ask(lending, "mark", opened.lease).reason
    assert isinstance(ask(lending, "open"), Opened)


@pytest.mark.slow
def test_a_run_that_lost_its_connection_takes_its_own_place(lending: Lending) -> None:
    opened = ask(lending, "open")
    again = ask(lending, "open", opened.lease)
    assert isinstance(again, Opened)
    assert again.lease != opened.lease
    assert "no longer this run's" in ask(lending, "mark", opened.lease).reason


def test_a_run_that_has_gone_leaves_the_machine_free(
    lending: Lending, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = ask(lending, "open")
    monkeypatch.setattr(lending_module, "LEASE_S", -1.0)
    assert "no longer this run's" in ask(lending, "mark", opened.lease).reason
    monkeypatch.undo()
    monkeypatch.setattr(lending_module, "MOST_RECORDING_S", -1.0)
    lending.expire()
    assert lending.lease == ""


# --- who may use it ----------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.5.5.5"])
def test_loopback_needs_nothing(host: str) -> None:
    access = Access(host=host, port=1)
    assert checked(access) == access


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "server.example"])
@pytest.mark.parametrize(
    "given", [{}, {"token": TOKEN}, {"cert": "a.pem", "key": "a.key"}], ids=repr
)
def test_other_addresses_need_tls_and_a_token(host: str, given: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"other machines can reach.*ssh -N -L 1:127\.0\.0\.1:1"):
        checked(Access(host=host, port=1, **given))
    full = Access(host=host, port=1, token=TOKEN, cert="a.pem", key="a.key")
    assert checked(full) == full


@pytest.mark.parametrize("token", ["short", "t" * 600, "with a blank " * 3, "ü" * 30, "t\n" * 20])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(token: str) -> None:
    with pytest.raises(UsageError, match="openssl rand"):
        checked(Access(host="127.0.0.1", port=1, token=token))


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(UsageError, match="give both"):
        checked(Access(host="127.0.0.1", port=1, cert="a.pem"))


def test_the_token_comes_from_a_private_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    assert token_of(file, {"PERMILLE_AGENT_TOKEN": "other"}) == TOKEN
    assert token_of(None, {"PERMILLE_AGENT_TOKEN": TOKEN}) == TOKEN
    assert token_of(None, {}) is None
    file.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        token_of(file, {})
    with pytest.raises(UsageError, match="No such file"):
        token_of(tmp_path / "absent", {})


def test_the_command_refuses_an_open_address_and_a_bad_certificate(
    permille: Permille, tmp_path: Path
) -> None:
    refused = permille("agent", "--listen", "0.0.0.0:9465", code=2)
    assert "--cert and --key and a token (PERMILLE_AGENT_TOKEN)" in refused.err
    (tmp_path / "bad.pem").write_text("no certificate")
    bad = permille("agent", "--cert", "bad.pem", "--key", "bad.pem", code=2)
    assert bad.err.startswith("permille: --cert bad.pem, --key bad.pem: ")
    assert bad.err.count("\n") == 1
