from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from array import array
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from permille.errors import ModelError, OverloadError
from permille.study.worker import backlog
from permille.study.worker.failures import FAILED
from permille.study.worker.traffic import Load, _Clients, _Run, drive
from permille.workload.requests import Traffic
from tests.conftest import PATIENCE_S


class Counting:
    """Answers after a moment, and not before ``together`` are asked at once. Knows how many were
    at most."""

    def __init__(
        self, seconds: float = 0.002, fail_at: int | None = None, together: int = 1
    ) -> None:
        self.lock = threading.Lock()
        self.seconds, self.fail_at, self.together = seconds, fail_at, together
        self.enough = threading.Event()
        self.now = self.most = self.calls = 0

    def __call__(self, request: Any) -> Any:
        with self.lock:
            self.calls += 1
            number = self.calls
            self.now += 1
            self.most = max(self.most, self.now)
            if self.most >= self.together:
                self.enough.set()
        if number == self.fail_at:
            raise LookupError("the fifth")
        assert self.enough.wait(PATIENCE_S)
        time.sleep(self.seconds)
        with self.lock:
            self.now -= 1
        return ("answer to", request)


class Marks:
    def __init__(self) -> None:
        self.at_ns: list[int] = []

    def __call__(self) -> None:
        self.at_ns.append(time.monotonic_ns())


def run(infer: Any, traffic: Traffic, n: int = 30, inferences: int = 50) -> tuple[Load, Marks]:
    marks = Marks()
    load = drive(
        infer,
        [f"r{i}" for i in range(n)],
        traffic,
        inferences=inferences,
        least_s=0.05,
        seed=1,
        mark=marks,
        digest=lambda answer: answer[1],
    )
    return load, marks


@pytest.fixture
def no_overload(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrivals that a busy machine held up come all at once, which is not what is tested."""
    for limit in ("OVERLOAD_SIGMAS", "STEADY_GROWTH", "MOST_IN_FLIGHT", "MOST_THREADS"):
        monkeypatch.setattr(f"permille.study.worker.backlog.{limit}", math.inf)


@pytest.mark.usefixtures("no_overload")
@pytest.mark.parametrize("traffic", [Traffic(concurrency=4), Traffic(rate_per_s=400.0)])
def test_only_the_steady_state_counts(traffic: Traffic) -> None:
    infer = Counting()
    load, marks = run(infer, traffic)
    assert len(load.durations_ns) == len(load.outputs) >= 50
    # What came before the steady state and what drained after it was asked, but is not counted.
    assert infer.calls > len(load.durations_ns)
    assert load.answers == [("answer to", f"r{i}") for i in range(30)]
    assert load.t1_ns - load.t0_ns >= 0.05e9
    begin, end = marks.at_ns
    assert begin <= load.t0_ns < load.t1_ns <= end
    assert infer.now == 0
    assert isinstance(load.durations_ns, array)
    assert min(load.durations_ns) >= 0.002e9


def test_a_closed_loop_has_exactly_so_many_in_flight() -> None:
    infer = Counting(together=5)
    run(infer, Traffic(concurrency=5))
    assert infer.most == 5


@pytest.mark.usefixtures("no_overload")
def test_an_open_loop_does_not_wait_for_answers() -> None:
    infer = Counting(together=6)
    run(infer, Traffic(rate_per_s=300.0), inferences=20)
    assert infer.most > 5


def test_a_failed_request_ends_the_run_with_its_error() -> None:
    for traffic in (Traffic(concurrency=3), Traffic(rate_per_s=500.0)):
        with pytest.raises(LookupError, match="the fifth"):
            run(Counting(fail_at=5), traffic)


def test_an_error_does_not_wait_for_what_is_in_flight() -> None:
    answered = threading.Event()

    def infer(request: Any) -> Any:
        if request == "r3":
            raise LookupError("the fourth")
        answered.wait()

    for traffic in (Traffic(concurrency=5), Traffic(rate_per_s=500.0)):
        with pytest.raises(LookupError, match="the fourth"):
            run(infer, traffic)
    assert not answered.is_set()
    answered.set()


def test_a_server_that_falls_behind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("permille.study.worker.backlog.MOST_IN_FLIGHT", 8)
    # However late a busy machine sends some, there are more in flight in the end: at a rate that is
    # not too high for the machine, or each new thread would make all later ones later.
    monkeypatch.setattr("permille.study.worker.backlog.MOST_THREADS", math.inf)
    never = threading.Event()
    try:
        with pytest.raises(
            OverloadError, match=r"cannot keep up with rate_per_s = 50: .* requests are in flight"
        ):
            run(lambda _: never.wait(), Traffic(rate_per_s=50.0), inferences=100)
    finally:
        never.set()


class Serial(Counting):
    """Answers one request at a time, in order of arrival."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.turn = threading.Lock()

    def __call__(self, request: Any) -> Any:
        with self.turn:
            return super().__call__(request)


@pytest.mark.measuring
def test_a_server_of_half_the_asked_rate_is_refused_with_its_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Or a stall of seconds would end the run before it is known who is to blame.
    monkeypatch.setattr("permille.study.worker.backlog.MOST_THREADS", math.inf)
    # On a busy machine the requests in flight may reach their bound before the window is over.
    figures = (
        r"rate_per_s = 100: in \S+ s it answered \d+ requests, \S+ per second, and (requests in"
        r" flight rose from \d+ to \d+|\d+ requests are in flight); lower rate_per_s"
    )
    with pytest.raises(ModelError, match=figures):
        run(Serial(0.02), Traffic(rate_per_s=100.0), inferences=40)


def verdict(arrivals: int, in_flight: int) -> bool:
    """What is made of so many arrivals, after which so many more are in flight."""
    steady = _Run(lambda request: request, ["r"], lambda answer: answer)
    steady.begin()
    for _ in range(arrivals):
        steady.take()
    steady.in_flight = in_flight
    return steady.keeps_up(10.0)


@pytest.mark.parametrize(("arrivals", "in_flight"), [(24, 4), (100, 10), (500, 50), (0, 0)])
def test_a_few_more_in_flight_are_chance(arrivals: int, in_flight: int) -> None:
    assert verdict(arrivals, in_flight)


@pytest.mark.parametrize(("arrivals", "in_flight"), [(24, 13), (100, 26), (1000, 80)])
def test_more_in_flight_than_chance_allows_are_an_overload(arrivals: int, in_flight: int) -> None:
    with pytest.raises(ModelError, match=f"rose from 0 to {in_flight}"):
        verdict(arrivals, in_flight)


@pytest.mark.parametrize(("arrivals", "in_flight"), [(24, 8), (100, 20), (400, 45)])
def test_what_may_be_either_is_watched_for_longer(arrivals: int, in_flight: int) -> None:
    assert not verdict(arrivals, in_flight)


class Numbered(Counting):
    """Its answers tell how many had been asked before."""

    def __call__(self, request: Any) -> Any:
        answer = super().__call__(request)
        return (answer, self.calls)


def test_what_is_kept_of_every_answer_is_of_the_steady_state_alone() -> None:
    load, _ = run(Numbered(), Traffic(concurrency=4), n=5, inferences=50)
    # The first answers, of which each request's first is one, came while the load still grew.
    assert len(load.outputs) == len(load.durations_ns) >= 50
    assert min(load.outputs) > 4
    assert min(number for _, number in load.answers) <= 4


def test_failures_are_neither_timed_nor_read() -> None:
    numbers = iter(range(10_000))

    def infer(request: Any) -> Any:
        time.sleep(0.001)
        return FAILED if next(numbers) % 4 == 3 else ("answer to", request)

    load, _ = run(infer, Traffic(concurrency=1), n=3, inferences=40)
    assert load.failed >= 10
    assert len(load.durations_ns) == len(load.outputs) >= 40
    assert FAILED not in load.outputs


def test_a_request_that_always_fails_ends_no_run() -> None:
    load, _ = run(
        lambda request: FAILED if request == "r1" else ("answer to", request),
        Traffic(concurrency=2),
        n=3,
    )
    assert load.answers == [("answer to", "r0"), FAILED, ("answer to", "r2")]


def test_every_request_is_answered_once_even_if_there_are_more_than_inferences() -> None:
    load, _ = run(Counting(seconds=0.0005), Traffic(concurrency=2), n=80, inferences=5)
    assert len(load.answers) == 80


# --- permille itself is held up ----------------------------------------------------------------


class HeldUp:
    """A fast server, and a permille that does not send the requests that become due from the start
    of the window on for ``seconds``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.begun = False
        submit = _Clients.submit

        def late(clients: _Clients, work: Any) -> None:
            if self.begun:
                self.begun = False
                time.sleep(seconds)
            submit(clients, work)

        monkeypatch.setattr(_Clients, "submit", late)

    def __call__(self) -> None:
        """The mark before the window."""
        self.begun = True


@pytest.mark.usefixtures("no_overload")
def test_how_late_permille_sent_each_request_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    took_ns = array("q")

    def infer(request: str) -> Any:
        t0_ns = time.monotonic_ns()
        answer = ("answer to", request)
        took_ns.append(time.monotonic_ns() - t0_ns)
        return answer

    load = drive(
        infer, ["r0", "r1"], Traffic(rate_per_s=200.0), inferences=100, least_s=0.0, seed=1,
        mark=HeldUp(monkeypatch, 0.4), digest=lambda answer: answer[1],
    )  # fmt: skip
    assert len(load.lags_ns) == len(load.durations_ns) >= 100
    # Each is part of its latency, of which the server had next to nothing.
    assert all(
        0 <= lag <= duration for lag, duration in zip(load.lags_ns, load.durations_ns, strict=True)
    )
    assert max(load.lags_ns) >= 0.3e9


def test_a_closed_loop_has_no_schedule_lag() -> None:
    load, _ = run(Counting(), Traffic(concurrency=4))
    assert load.durations_ns
    assert not load.lags_ns


def held_up(*, arrivals: int, in_flight: int, lag_s: float) -> _Run:
    """A window at 100 requests a second, with so many more in flight."""
    steady = _Run(lambda request: request, ["r"], lambda answer: answer)
    steady.begin()
    steady._note_lag(int(lag_s * 1e9))
    for _ in range(arrivals):
        steady.take()
    steady.in_flight = in_flight
    return steady


def test_a_burst_after_a_stall_is_waited_for_but_not_forever() -> None:
    steady = held_up(arrivals=200, in_flight=60, lag_s=0.5)
    assert not steady.keeps_up(100.0)
    steady.in_flight = 20
    assert steady.keeps_up(100.0)
    steady = held_up(arrivals=200, in_flight=60, lag_s=0.5)
    assert not steady.keeps_up(100.0)
    for _ in range(1001):
        steady.take()
    steady.in_flight = 186
    with pytest.raises(ModelError, match=r"^permille itself sent requests up to 500 ms after") as e:
        steady.keeps_up(100.0)
    assert not isinstance(e.value, OverloadError)
    steady.in_flight = 187
    with pytest.raises(OverloadError):
        steady.keeps_up(100.0)


def test_requests_that_are_due_and_not_sent_are_waited_for() -> None:
    steady = held_up(arrivals=200, in_flight=0, lag_s=0.0)
    assert steady.keeps_up(100.0)
    # Its answers were read before what became due in the meantime was sent.
    steady.sleep_until(time.monotonic_ns() - 10**9)
    assert not steady.keeps_up(100.0)


def test_a_request_that_no_client_has_begun_to_send_is_late() -> None:
    steady = held_up(arrivals=200, in_flight=60, lag_s=0.0)
    steady.sleep_until(time.monotonic_ns() - 10**9)
    steady._next_due_ns = None
    # A hundred arrivals late, it may be why all sixty are in flight.
    assert not steady.keeps_up(100.0)


def test_a_burst_of_permilles_own_is_an_error_but_no_overload(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backlog, "MOST_IN_FLIGHT", 4)
    monkeypatch.setattr(backlog, "MOST_THREADS", 8)
    steady = held_up(arrivals=0, in_flight=9, lag_s=0.05)
    with pytest.raises(ModelError, match="9 requests are in flight; run fewer") as e:
        steady.check_in_flight(100.0, time.monotonic_ns() - 1)
    assert not isinstance(e.value, OverloadError)
    steady = held_up(arrivals=0, in_flight=9, lag_s=0.02)
    with pytest.raises(OverloadError):
        steady.check_in_flight(100.0, time.monotonic_ns() - 1)


LOADING = """
import json, math, sys, urllib.request
from permille.study.worker import backlog
from permille.study.worker.traffic import drive
from permille.workload.requests import Traffic

backlog.STEADY_GROWTH = backlog.MOST_IN_FLIGHT = backlog.MOST_THREADS = math.inf

def infer(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read()

load = drive(
    infer, [sys.argv[1]], Traffic(rate_per_s=40.0), inferences=80, least_s=0.0, seed=1,
    mark=lambda: print("mark", flush=True), digest=len,
)
print(json.dumps([list(load.lags_ns), list(load.durations_ns)]))
"""


class Ok(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@pytest.mark.measuring
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGSTOP")
def test_a_process_that_stood_still_says_how_long() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Ok) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        command = [sys.executable, "-c", LOADING, f"http://127.0.0.1:{server.server_port}/"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "mark\n"
            os.kill(child.pid, signal.SIGSTOP)
            _, status = os.waitpid(child.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            time.sleep(1.0)
            os.kill(child.pid, signal.SIGCONT)
            out = child.stdout.read()
        server.shutdown()
    lags, durations = json.loads(out.removeprefix("mark\n"))
    assert len(lags) == len(durations) >= 80
    # One second but for what came before the first request that was due in it: of 40 a second, one
    # is due in the first half but for one time in 10^8.
    assert max(lags) >= 0.5e9
    assert max(durations) >= max(lags)
