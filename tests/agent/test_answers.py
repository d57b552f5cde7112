"""Answers of an agent that is hostile, broken or of another version: none becomes a figure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from permille.errors import MeterError, RecorderError, UsageError
from permille.recorder.remote import link
from permille.recorder.remote.checks import answer_of, opened_of, recording_of
from permille.recorder.remote.link import AgentLink, request_of
from permille.recorder.remote.protocol import (
    PROTOCOL,
    AgentAnswer,
    AgentRequest,
    Done,
    Opened,
    Taken,
)
from permille.recorder.remote.recorder import RemoteRecorder, at_most
from permille.records.machine import Environment, MachineState
from permille.records.recording import Event, PowerSensor, Recording, Series
from tests.backends.test_endpoint import free_port
from tests.energy_series import STATS
from tests.records import ESTIMATED, domain

LEASE = "0123456789abcdef0123456789abcdef"
CPU = domain("cpu:0")
SERIES = Series(domain=CPU, t_ns=(1, 2, 3), energy_j=(0.0, 1.0, 1.0))
RECORDING = Recording(series=(SERIES,), events=(), stats=STATS)
OPENED = Opened(
    lease=LEASE,
    domains=(CPU,),
    missing=(),
    interval_s=0.1,
    environment=Environment(fingerprint="0123456789ab", facts={"cpu": "one"}),
    state=MachineState(),
    machine="0123456789abcdef",
    boot=None,
)


def answer(body: Any) -> AgentAnswer:
    return AgentAnswer(protocol=PROTOCOL, lease=LEASE, arrived_ns=1, answered_ns=2, body=body)


def changed(record: Any, **values: Any) -> Any:
    return msgspec.structs.replace(record, **values)


def test_a_plausible_answer_is_taken_as_it_is() -> None:
    sent = answer(Taken(recording=RECORDING))
    assert recording_of(answer_of(msgspec.msgpack.encode(sent)), OPENED) == RECORDING
    assert opened_of(answer_of(msgspec.msgpack.encode(answer(OPENED)))) == OPENED


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "malformed"),
        (b"<html>", "malformed"),
        (b"\xc1", "malformed"),
        (b"\x91" * 5_000, "malformed"),
        (msgspec.msgpack.encode({"protocol": PROTOCOL}), "malformed"),
        (msgspec.msgpack.encode({"protocol": 7, "anything": 1}), "speaks version 7"),
        (msgspec.msgpack.encode({"protocol": "1"}), "malformed"),
        (msgspec.msgpack.encode(changed(answer(OPENED), arrived_ns=-1)), "impossible times"),
        (msgspec.msgpack.encode(changed(answer(OPENED), answered_ns=2**62)), "impossible times"),
    ],
)
def test_what_is_no_answer_of_this_version_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        answer_of(content)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "opened",
    [
        changed(OPENED, domains=()),
        changed(OPENED, domains=(CPU, CPU)),
        changed(OPENED, domains=(changed(CPU, name="\x1b[31m"),)),
        changed(OPENED, domains=(changed(CPU, accuracy_low=NAN),)),
        changed(OPENED, domains=(changed(CPU, accuracy_high=-0.1),)),
        changed(OPENED, domains=(changed(CPU, max_power_w=INF),)),
        changed(OPENED, domains=(changed(CPU, offset_w=-1.0),)),
        changed(
            OPENED,
            domains=(changed(CPU, sensor=PowerSensor(window_s=1.0, period_s=0.0)),),
        ),
        changed(OPENED, domains=tuple(domain(f"cpu:{i}") for i in range(300))),
        changed(OPENED, interval_s=0.0),
        changed(OPENED, interval_s=NAN),
        changed(OPENED, machine="../etc"),
        changed(OPENED, lease=""),
        changed(OPENED, environment=Environment(fingerprint="x" * 12)),
        changed(OPENED, environment=changed(OPENED.environment, facts={"cpu": "x" * 2_000})),
        changed(OPENED, environment=changed(OPENED.environment, facts={"x" * 2_000: "cpu"})),
        changed(OPENED, state=MachineState(temperature_c=INF)),
        Taken(recording=RECORDING),
    ],
)
def test_an_implausible_machine_is_refused(opened: Any) -> None:
    with pytest.raises(ValueError, match=r"^\S.*$"):
        opened_of(answer(opened))


def with_series(**values: Any) -> Recording:
    recording: Recording = changed(RECORDING, series=(changed(SERIES, **values),))
    return recording


@pytest.mark.parametrize(
    "recording",
    [
        with_series(energy_j=(0.0, NAN, 1.0)),
        with_series(energy_j=(0.0, INF, INF)),
        with_series(energy_j=(-1.0, 0.0, 1.0)),
        with_series(energy_j=(0.0, 2.0, 1.0)),
        with_series(energy_j=(0.0, 1.0)),
        with_series(t_ns=(1, 3, 2)),
        with_series(t_ns=(1, 1, 2)),
        with_series(t_ns=(-1, 1, 2)),
        with_series(t_ns=(1, 2, 2**62)),
        with_series(clock_s=-1.0),
        with_series(domain=changed(CPU, accuracy_low=0.5)),
        with_series(domain=domain("cpu:1")),
        changed(RECORDING, series=()),
        changed(RECORDING, series=(SERIES, SERIES)),
        changed(RECORDING, cross_checks=(SERIES,)),
        changed(RECORDING, stats=changed(STATS, cpu_s=NAN)),
        changed(RECORDING, stats=changed(STATS, polls=-1)),
        *(
            changed(RECORDING, events=(Event(**({"kind": "notice", "reason": "a"} | event)),))
            for event in (
                {"t0_ns": 2, "t1_ns": 1},
                {"t0_ns": -2, "t1_ns": 1},
                {"t0_ns": 1, "t1_ns": 2, "reason": "x" * 5_000},
                {"t0_ns": 1, "t1_ns": 2, "domain": "gpu:7"},
            )
        ),
        changed(RECORDING, events=(Event(t0_ns=1, t1_ns=2, kind="notice", reason="a"),) * 20_000),
    ],
)
def test_an_impossible_recording_is_refused(recording: Recording) -> None:
    with pytest.raises(ValueError, match=r"^\S.*$"):
        recording_of(answer(Taken(recording=recording)), OPENED)


def test_whether_a_device_is_in_use_may_change() -> None:
    recording = with_series(domain=changed(CPU, in_use=False))
    assert recording_of(answer(Taken(recording=recording)), OPENED) == recording


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, 0.001), (0.001, 0.001), (0.00101, 0.002), (0.03, 0.05), (0.06, 0.1), (0.5, 0.5)],
)
def test_the_note_on_the_clocks_is_rounded_up(seconds: float, shown: float) -> None:
    assert at_most(seconds) == pytest.approx(shown)


# --- over HTTP ---------------------------------------------------------------------------


@contextmanager
def answering(
    content: bytes | Callable[[bytes], bytes], status: int = 200, missing: int = 0
) -> Iterator[str]:
    """A server that gives one answer to everything, of which ``missing`` bytes never come."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["Content-Length"]))
            body = content if isinstance(content, bytes) else content(request)
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", str(len(body) + missing))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = bool(missing)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """The client hangs up on an answer that it refuses."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


GOOD = msgspec.msgpack.encode(answer(OPENED))


@pytest.mark.parametrize(
    ("content", "status", "missing", "reason"),
    [
        (b"nothing here\x1b[31m", 404, 0, "status 404"),
        (GOOD, 302, 0, "status 302"),
        (GOOD, 200, 10, "cannot be reached: IncompleteRead"),
        (b"x" * 100, 200, 0, "malformed"),
    ],
)
def test_a_bad_answer_breaks_the_link_for_good(
    content: bytes, status: int, missing: int, reason: str
) -> None:
    with answering(content, status, missing) as url:
        broken = AgentLink(url, {})
        with pytest.raises(RecorderError, match=reason) as first:
            broken.ask(request_of("open", ""))
        assert "\n" not in str(first.value)
        # Whatever answers now may be another agent.
        with pytest.raises(RecorderError) as second:
            broken.ask(request_of("clock", LEASE))
        assert str(second.value) == str(first.value)
        broken.close()


def test_an_agent_that_is_not_there_is_named_with_what_to_do() -> None:
    absent = AgentLink(f"http://127.0.0.1:{free_port()}", {})
    with pytest.raises(RecorderError, match="Connection refused; start permille agent there"):
        absent.ask(request_of("open", ""))


def test_an_answer_without_an_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "MAX_ANSWER_BYTES", 1 << 20)
    with answering(b"x" * (2 << 20)) as url, pytest.raises(RecorderError, match="more than"):
        AgentLink(url, {}).ask(request_of("open", ""))


def test_another_agents_lease_is_refused() -> None:
    with answering(GOOD) as url:
        client = AgentLink(url, {})
        client.ask(request_of("open", ""))
        client.lease = "f" * 32
        with pytest.raises(RecorderError, match="restarted, or replaced"):
            client.ask(request_of("clock", client.lease))
        client.close()


def test_a_token_or_certificate_that_cannot_be_used_is_an_error_of_the_user(
    tmp_path: Any,
) -> None:
    with pytest.raises(UsageError, match="PERMILLE_AGENT_TOKEN is not a token"):
        AgentLink("http://127.0.0.1:1", {"PERMILLE_AGENT_TOKEN": "two\r\nlines"})
    absent = {"PERMILLE_AGENT_CA": str(tmp_path / "absent.pem")}
    with pytest.raises(UsageError, match=r"PERMILLE_AGENT_CA.*absent\.pem"):
        AgentLink("https://127.0.0.1:1", absent)


class FakeAgent:
    """An agent that says what a test sets: another machine, other times, another recording."""

    def __init__(self) -> None:
        self.opened = OPENED
        self.recording = RECORDING
        self.offset_ns = 0

    def __call__(self, content: bytes) -> bytes:
        op = msgspec.msgpack.decode(content, type=AgentRequest).op
        now_ns = time.monotonic_ns() + self.offset_ns
        body = {"open": self.opened, "take": Taken(recording=self.recording)}.get(op, Done())
        return msgspec.msgpack.encode(changed(answer(body), arrived_ns=now_ns, answered_ns=now_ns))


@pytest.fixture
def fake() -> Iterator[tuple[FakeAgent, RemoteRecorder]]:
    agent = FakeAgent()
    with answering(agent) as url:
        recorder = RemoteRecorder(url, "0" * 32, {})
        yield agent, recorder
        recorder.stop()


def test_another_machine_at_the_same_address_is_refused(
    fake: tuple[FakeAgent, RemoteRecorder],
) -> None:
    agent, recorder = fake
    recorder.begin()
    recorder.restart()
    with pytest.raises(RecorderError, match="the connection is closed"):
        recorder.mark()
    recorder.reconnect()  # an agent of the same machine, whose ticks may be measured anew
    recorder.restart()
    agent.opened = changed(OPENED, domains=(changed(CPU, tick_s=0.002),))
    recorder.reconnect()
    for other in (
        {"machine": "f" * 16},
        {"boot": "f" * 16},
        {"environment": Environment(fingerprint="f" * 12)},
        {"domains": (domain("cpu:1"),)},
    ):
        recorder.restart()
        agent.opened = changed(OPENED, **other)
        with pytest.raises(RecorderError, match="another machine answers"):
            recorder.reconnect()


def test_an_invalid_recording_or_clock_gives_no_recording(
    fake: tuple[FakeAgent, RemoteRecorder],
) -> None:
    agent, recorder = fake
    recorder.begin()
    assert recorder.take().marks == ()
    agent.recording = with_series(energy_j=(0.0, NAN, 1.0))
    with pytest.raises(RecorderError, match="invalid recording: cpu:0: a reading"):
        recorder.take()
    agent.recording = RECORDING
    recorder.begin()
    agent.offset_ns = -(10**15)
    with pytest.raises(RecorderError, match=r"impossible times|the clock of the agent at"):
        recorder.take()


def test_a_machine_that_can_only_be_estimated_is_not_measured(
    fake: tuple[FakeAgent, RemoteRecorder],
) -> None:
    _, recorder = fake
    recorder.require_measured()
    recorder.restart()
    guessed = changed(CPU, provenance=ESTIMATED)
    recorder.opened = changed(OPENED, domains=(guessed,))
    with pytest.raises(MeterError, match="nothing on the machine of the agent at http"):
        recorder.require_measured()
