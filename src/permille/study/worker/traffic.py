"""Load a server with concurrent requests, and count its steady state.

Closed loop: ``concurrency`` clients, each with one request at a time. Open loop: arrivals of a
Poisson process at ``rate_per_s``, which do not wait for answers; a latency then counts from the
arrival ("coordinated omission" would leave out the wait of those that arrive while the server is
slow). No request waits for a client, but permille itself may be held up, by a busy machine or by
its own load: the time from when a request is due until a client begins to send it is its schedule
lag, which the latency includes.

The rule for the steady state is ML.ENERGY's (Chung et al., arXiv 2505.06371): it begins once there
have been as many answers as requests in flight, and ends when the last request is sent, before the
rest drain. Answers in between count; the others are scored, but not counted.

A server that cannot keep up with an open loop has no steady state: requests pile up as long as they
arrive (:mod:`.backlog`).
"""

from __future__ import annotations

import queue
import random
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from permille.errors import ModelError, OverloadError
from permille.study.worker import backlog
from permille.study.worker.failures import FAILED
from permille.units import format_seconds
from permille.workload.requests import Traffic

LEAST_RAMP = 10
"""The fewest answers before an open loop counts as steady."""


class Load:
    """The observations. ``durations_ns``, ``outputs`` (the results of ``digest``) and ``failed``
    are for the steady state, ``t0_ns`` to ``t1_ns``; ``around`` and ``failed_around`` for what came
    before and after it. ``lags_ns``: in an open loop, the schedule lag in each of ``durations_ns``.
    ``answers`` has each request's first answer, or FAILED if there is none."""

    def __init__(self) -> None:
        self.durations_ns = array("q")
        self.lags_ns = array("q")
        self.outputs: list[Any] = []
        self.failed = self.failed_around = 0
        self.around: list[Any] = []
        self.answers: list[Any] = []
        self.t0_ns = self.t1_ns = 0


def drive(
    infer: Callable[[Any], Any],
    requests: Sequence[Any],
    traffic: Traffic,
    *,
    inferences: int,
    least_s: float,
    seed: int,
    mark: Callable[[], None],
    digest: Callable[[Any], Any],
) -> Load:
    """Send requests until the steady state has ``inferences`` answers and ``least_s`` seconds, and
    every request has been tried once. ``mark`` is called from this thread at both its edges.
    ``digest`` extracts the part of every answer that is kept.

    Raises:
        OverloadError: an open loop's server cannot keep up.
        ModelError: permille itself was held up for so long that nothing is known of the server.
            Exceptions of ``infer`` propagate.
    """
    run = _Run(infer, requests, digest)
    source = threading.Thread(
        target=run.guarded, args=(partial(_issue, run, traffic, seed),), daemon=True
    )
    source.start()
    try:
        open_loop = traffic.rate_per_s is not None
        run.wait(
            lambda: run.done >= max(LEAST_RAMP, run.in_flight if open_loop else traffic.concurrency)
        )
        # The marks lie outside of the window, so that each of its edges is between two readings.
        mark()
        run.begin()
        least_ns = least_s * 1e9

        def enough() -> bool:
            return (
                len(run.load.durations_ns) >= inferences
                and time.monotonic_ns() - run.load.t0_ns >= least_ns
                and len(run.first) == len(requests)
                and (traffic.rate_per_s is None or run.keeps_up(traffic.rate_per_s))
            )

        run.wait(enough)
        run.end()
        mark()
    finally:
        run.stop()
    # Not after an error: an overloaded server may take minutes for the requests in flight.
    source.join()
    run.raise_error()
    run.load.answers = [run.first[number] for number in range(len(requests))]
    return run.load


class _Run:
    """The clients' shared state, under one lock."""

    def __init__(
        self,
        infer: Callable[[Any], Any],
        requests: Sequence[Any],
        digest: Callable[[Any], Any],
    ) -> None:
        self._infer, self._requests, self._digest = infer, requests, digest
        self._changed = threading.Condition()
        self._steady = self._stopped = False
        self._next = 0
        self._error: BaseException | None = None
        self.load = Load()
        self.first: dict[int, Any] = {}
        self.done = self.in_flight = 0
        self._in_flight_before = self._arrivals = 0
        # When the next arrival is due, and when those were that no client has begun to send yet.
        self._next_due_ns: int | None = None
        self._unsent: deque[int] = deque()
        # Of the whole run, and of the window.
        self._longest_lag_ns = self._lag_ns = 0
        self._held_up_at: int | None = None

    def take(self) -> int | None:
        """The number of the next request to send, or None if there are no more."""
        with self._changed:
            if self._stopped:
                return None
            number = self._next % len(self._requests)
            self._next += 1
            self.in_flight += 1
            self._arrivals += 1
            return number

    def ask(self, number: int) -> None:
        """Send one request of a closed loop and record its answer."""
        since_ns = time.monotonic_ns()
        self._record(number, self._infer(self._requests[number]), since_ns)

    def ask_due(self, number: int, due_ns: int) -> None:
        """Send one request of an open loop and record its answer."""
        with self._changed:
            self._unsent.popleft()  # the oldest, which is this one or began just before it
            lag_ns = time.monotonic_ns() - due_ns
            self._note_lag(lag_ns)
        self._record(number, self._infer(self._requests[number]), due_ns, lag_ns)

    def _record(self, number: int, answer: Any, since_ns: int, lag_ns: int | None = None) -> None:
        duration_ns = time.monotonic_ns() - since_ns
        output = FAILED if answer is FAILED else self._digest(answer)
        with self._changed:
            self.done += 1
            self.in_flight -= 1
            # A later success replaces a failure: a sample is scored if it was ever answered.
            if self.first.get(number, FAILED) is FAILED:
                self.first[number] = answer
            if self._steady and answer is FAILED:
                self.load.failed += 1
            elif self._steady:
                self.load.durations_ns.append(duration_ns)
                self.load.outputs.append(output)
                if lag_ns is not None:
                    self.load.lags_ns.append(lag_ns)
            elif answer is FAILED:
                self.load.failed_around += 1
            else:
                self.load.around.append(output)
            self._changed.notify_all()

    def guarded(self, work: Callable[[], None]) -> None:
        """Run ``work`` so that its error ends the run instead of only its thread."""
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            with self._changed:
                self._error = self._error or error
                self._stopped = True
                self._changed.notify_all()

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait for a condition; raises a client's error."""
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or ready())
        self.raise_error()

    def begin(self) -> None:
        """Start counting answers."""
        with self._changed:
            self._steady = True
            self._in_flight_before, self._arrivals, self._lag_ns = self.in_flight, 0, 0
            self.load.t0_ns = time.monotonic_ns()

    def keeps_up(self, rate_per_s: float) -> bool:
        """Whether an open loop's server keeps up, from all arrivals since :meth:`begin`; False if
        that is not clear yet.

        Raises:
            OverloadError: it does not.
            ModelError: permille itself is held up, and more arrivals do not settle it.
        """
        now_ns = time.monotonic_ns()
        # What is due and not taken is part of the backlog: after a stall, the answers that came
        # meanwhile may be read before the requests that were due meanwhile are sent.
        overdue_ns = 0 if self._next_due_ns is None else max(0, now_ns - self._next_due_ns)
        untaken = backlog.arrivals_in(rate_per_s, overdue_ns)
        self._note_unsent(now_ns)
        grown = self.in_flight + untaken - self._in_flight_before
        own = backlog.own_backlog(rate_per_s, self._lag_ns)
        verdict = backlog.judge(grown, self._arrivals, own=own)
        rose = f"requests in flight rose from {self._in_flight_before} to {self.in_flight}"
        if verdict == "overload":
            done = len(self.load.durations_ns) + self.load.failed
            seconds = (now_ns - self.load.t0_ns) / 1e9
            raise OverloadError(f"{_too_slow(rate_per_s, done, seconds)}, and {rose}; {_SLOWER}")
        if verdict == "held-up":
            if self._held_up_at is None:
                self._held_up_at = self._arrivals
            if self._arrivals > backlog.most_extended(self._held_up_at, own=own):
                raise ModelError(_held_up(rate_per_s, self._lag_ns, rose))
        return verdict == "steady"

    def check_in_flight(self, rate_per_s: float, began_ns: int) -> None:
        """Check that the requests in flight are not too many.

        Raises:
            OverloadError: the server does not keep up with the arrivals since ``began_ns``.
            ModelError: permille itself sent so many at once.
        """
        with self._changed:
            now_ns, in_flight = time.monotonic_ns(), self.in_flight
            self._note_unsent(now_ns)
            own = backlog.own_backlog(rate_per_s, self._longest_lag_ns)
        verdict = backlog.judge_in_flight(in_flight, own=own)
        are = f"{in_flight} requests are in flight"
        if verdict == "overload":
            too_slow = _too_slow(rate_per_s, self.done, (now_ns - began_ns) / 1e9)
            raise OverloadError(f"{too_slow}, and {are}; {_SLOWER}")
        if verdict == "held-up":
            raise ModelError(_held_up(rate_per_s, self._longest_lag_ns, are))

    def _note_unsent(self, now_ns: int) -> None:
        if self._unsent:
            self._note_lag(now_ns - self._unsent[0])

    def _note_lag(self, lag_ns: int) -> None:
        self._lag_ns = max(self._lag_ns, lag_ns)
        self._longest_lag_ns = max(self._longest_lag_ns, lag_ns)

    def end(self) -> None:
        """Stop counting answers."""
        with self._changed:
            self._steady = False
            self.load.t1_ns = time.monotonic_ns()

    def stop(self) -> None:
        """Stop sending requests."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def sleep_until(self, t_ns: int) -> bool:
        """Wait for the arrival that is due at ``t_ns``; returns False if the run has been
        stopped."""
        with self._changed:
            # It stays until the next call: what follows it may be due already.
            self._next_due_ns = t_ns
            self._unsent.append(t_ns)
            while not self._stopped and (left := t_ns - time.monotonic_ns()) > 0:
                self._changed.wait(left / 1e9)
            return not self._stopped

    def raise_error(self) -> None:
        """Raise a client's error, if there was one."""
        if self._error is not None:
            raise self._error


def _issue(run: _Run, traffic: Traffic, seed: int) -> None:
    """Send requests until the run stops, and wait for the last answers."""
    if traffic.rate_per_s is None:
        clients = [
            threading.Thread(target=run.guarded, args=(partial(_client, run),), daemon=True)
            for _ in range(traffic.concurrency)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    else:
        senders = _Clients()
        _arrivals(run, traffic.rate_per_s, seed, senders)
        senders.join()


class _Clients:
    """Threads that send one request after another, at most as many as are in flight. They are
    daemon threads, unlike those of the standard library's pools, because a worker that ends with an
    error must not wait for abandoned answers."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def submit(self, work: Callable[[], None]) -> None:
        """Start ``work`` immediately, in an idle or a new thread."""
        if not self._idle.acquire(blocking=False):
            self._threads.append(threading.Thread(target=self._serve, daemon=True))
            self._threads[-1].start()
        self._work.put(work)

    def join(self) -> None:
        """Wait until all work is done."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            self._idle.release()


def _client(run: _Run) -> None:
    while (number := run.take()) is not None:
        run.ask(number)


def _arrivals(run: _Run, rate_per_s: float, seed: int, clients: _Clients) -> None:
    # From the seed, so that each trial has the same arrivals.
    chance = random.Random(seed)
    t0_ns = due_ns = time.monotonic_ns()
    while True:
        # From when it was due, not from now: or a slow server would delay the arrivals that are to
        # overload it ("coordinated omission").
        due_ns += int(chance.expovariate(rate_per_s) * 1e9)
        if not run.sleep_until(due_ns) or (number := run.take()) is None:
            return
        run.check_in_flight(rate_per_s, t0_ns)
        clients.submit(partial(run.guarded, partial(run.ask_due, number, due_ns)))


_SLOWER = "lower rate_per_s"


def _too_slow(rate_per_s: float, done: int, seconds: float) -> str:
    return (
        f"the server cannot keep up with rate_per_s = {rate_per_s:g}: in {seconds:.3g} s it"
        f" answered {done} requests, {done / seconds:.3g} per second"
    )


def _held_up(rate_per_s: float, lag_ns: int, sign: str) -> str:
    return (
        f"permille itself sent requests up to {format_seconds(lag_ns / 1e9)} after they were due"
        f" at rate_per_s = {rate_per_s:g}, which may be why {sign}; run fewer other processes"
        " on the machine that sends the requests, send them from another machine (meter), or lower"
        " rate_per_s"
    )
