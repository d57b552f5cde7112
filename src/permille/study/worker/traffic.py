"""A server under load: many requests at once, counted in its steady state.

Closed loop: ``concurrency`` clients, each with one request at a time. Open loop: arrivals of a
Poisson process at ``rate_per_s``, which do not wait for answers; a latency then counts from the
arrival, so that what waits for a client is not forgotten.

The rule of the steady state is ML.ENERGY's (Chung et al., arXiv 2505.06371): it begins once as
many answers have come as there are requests in flight, and ends before the last requests drain,
while new ones still come. Answers that arrive between count; the others are asked and scored,
but not counted.

A server that cannot keep up with an open loop has no steady state: requests pile up for as long as
they come. It is told from chance by how the requests in flight grow over the window: arrivals of a
Poisson process vary by the root of their number, the backlog of a server that is too slow grows
with their number itself. Where the window is too short to tell, it goes on.
"""

from __future__ import annotations

import math
import queue
import random
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from permille.errors import ModelError
from permille.study.worker.failures import FAILED
from permille.workload.requests import Traffic

LEAST_RAMP = 10
"""Answers before an open loop is taken for steady, at least."""
MOST_IN_FLIGHT = 512
"""Requests that an open loop has waiting at most: more, and the server cannot keep up."""
OVERLOAD_SIGMAS = 2.5
"""Growth of the requests in flight that is no chance, in roots of the arrivals."""
STEADY_GROWTH, STEADY_SHARE = 4, 0.1
"""Growth up to which a server keeps up: so many requests, or this share of the arrivals."""


class Load:
    """What was seen. ``durations_ns``, ``outputs`` (what ``digest`` made of an answer) and
    ``failed`` are of the steady state, ``t0_ns`` to ``t1_ns``; ``answers`` has each request's
    first, or FAILED where it never had one."""

    def __init__(self) -> None:
        self.durations_ns = array("q")
        self.outputs: list[Any] = []
        self.failed = 0
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
    """Ask until ``inferences`` answers and ``least_s`` seconds lie in the steady state, and every
    request has been tried once. ``mark`` is called, from this thread, at both its edges.
    ``digest`` takes of an answer what is kept of every one.

    Raises:
        ModelError: an open loop's server cannot keep up. What ``infer`` raises goes on.
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
    # Not after an error: a server that cannot keep up may take minutes over what is in flight.
    source.join()
    run.raise_error()
    run.load.answers = [run.first[number] for number in range(len(requests))]
    return run.load


class _Run:
    """What the clients share, under one lock."""

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

    def take(self) -> int | None:
        """The number of the next request to be sent, or None when no more shall be."""
        with self._changed:
            if self._stopped:
                return None
            number = self._next % len(self._requests)
            self._next += 1
            self.in_flight += 1
            self._arrivals += 1
            return number

    def ask(self, number: int, since_ns: int) -> None:
        """Send one request and note its answer."""
        answer = self._infer(self._requests[number])
        duration_ns = time.monotonic_ns() - since_ns
        output = FAILED if answer is FAILED else self._digest(answer)
        with self._changed:
            self.done += 1
            self.in_flight -= 1
            if self.first.get(number, FAILED) is FAILED:
                self.first[number] = answer
            if self._steady and answer is FAILED:
                self.load.failed += 1
            elif self._steady:
                self.load.durations_ns.append(duration_ns)
                self.load.outputs.append(output)
            self._changed.notify_all()

    def guarded(self, work: Callable[[], None]) -> None:
        """``work``, whose error ends the run instead of its thread."""
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            with self._changed:
                self._error = self._error or error
                self._stopped = True
                self._changed.notify_all()

    def wait(self, ready: Callable[[], bool]) -> None:
        """Until it is so; raises what went wrong in a client."""
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or ready())
        self.raise_error()

    def begin(self) -> None:
        """From now on answers count."""
        with self._changed:
            self._steady = True
            self._in_flight_before, self._arrivals = self.in_flight, 0
            self.load.t0_ns = time.monotonic_ns()

    def keeps_up(self, rate_per_s: float) -> bool:
        """Whether an open loop's server does, by all that came since :meth:`begin`; False where
        that cannot be told yet.

        Raises:
            ModelError: it does not.
        """
        grown = self.in_flight - self._in_flight_before
        if grown > max(STEADY_GROWTH, OVERLOAD_SIGMAS * math.sqrt(self._arrivals)):
            done = len(self.load.durations_ns) + self.load.failed
            seconds = (time.monotonic_ns() - self.load.t0_ns) / 1e9
            raise ModelError(
                _too_slow(rate_per_s, done, seconds)
                + f", and requests in flight rose from {self._in_flight_before} to"
                f" {self.in_flight}; lower rate_per_s"
            )
        return grown <= max(STEADY_GROWTH, STEADY_SHARE * self._arrivals)

    def end(self) -> None:
        """From now on no more answers count."""
        with self._changed:
            self._steady = False
            self.load.t1_ns = time.monotonic_ns()

    def stop(self) -> None:
        """Send no more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def sleep_until(self, t_ns: int) -> bool:
        """False if the run was stopped before."""
        with self._changed:
            while not self._stopped and (left := t_ns - time.monotonic_ns()) > 0:
                self._changed.wait(left / 1e9)
            return not self._stopped

    def raise_error(self) -> None:
        """Raise what went wrong in a client, if anything did."""
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
    """Threads that send one request after another, as many as are in flight at most. They are
    daemons, which those of the standard library's pools are not: a worker that ends with an error
    must not wait for the answers that it has given up."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def submit(self, work: Callable[[], None]) -> None:
        """Do ``work`` at once, in a thread that is idle or in a new one."""
        if not self._idle.acquire(blocking=False):
            self._threads.append(threading.Thread(target=self._serve, daemon=True))
            self._threads[-1].start()
        self._work.put(work)

    def join(self) -> None:
        """Wait until all is done."""
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
        run.ask(number, time.monotonic_ns())


def _arrivals(run: _Run, rate_per_s: float, seed: int, clients: _Clients) -> None:
    chance = random.Random(seed)
    t0_ns = due_ns = time.monotonic_ns()
    while True:
        due_ns += int(chance.expovariate(rate_per_s) * 1e9)
        if not run.sleep_until(due_ns) or (number := run.take()) is None:
            return
        if run.in_flight > MOST_IN_FLIGHT:
            seconds = (time.monotonic_ns() - t0_ns) / 1e9
            raise ModelError(
                _too_slow(rate_per_s, run.done, seconds)
                + f", and {run.in_flight} requests are in flight; lower rate_per_s"
            )
        clients.submit(partial(run.guarded, partial(run.ask, number, due_ns)))


def _too_slow(rate_per_s: float, done: int, seconds: float) -> str:
    return (
        f"the server cannot keep up with rate_per_s = {rate_per_s:g}: in {seconds:.3g} s it"
        f" answered {done} requests, {done / seconds:.3g} a second"
    )
