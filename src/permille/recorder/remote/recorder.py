"""The recorder of another machine, used like the one here (:class:`permille.recorder.client`).

A worker's marks go to the agent as requests, through a thread of the run. The clocks are aligned by
every request and by one each second in between; the recording is then dated by this machine's
clock. Whatever interrupts the connection voids the recording: there is never a part of one.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from permille.energy import edges
from permille.errors import RecorderError
from permille.recorder import wire
from permille.recorder.client import check_measured
from permille.recorder.remote.checks import opened_of, recording_of
from permille.recorder.remote.clocks import (
    DRIFT,
    ClockMap,
    ClocksDiffer,
    Exchange,
    on_this_clock,
)
from permille.recorder.remote.link import AgentLink, request_of
from permille.recorder.remote.protocol import AgentAnswer, Opened
from permille.records.recording import Event, Recording
from permille.units import format_seconds

PROBE_S = 1.0
"""Seconds between two exchanges of times: half of it times DRIFT is 0.35 ms of uncertainty."""
_BURST = 8
"""Exchanges at once, of which the quickest counts most."""
_MOST_EXCHANGES = 700_000
"""Those of a week."""


class RemoteRecorder:
    """The recorder behind the agent at ``url``. ``token``: of the run's workers.

    Raises:
        RecorderError: the agent cannot be reached, or refuses.
        UsageError: a certificate or token of the environment cannot be used.
    """

    def __init__(self, url: str, token: str, environment: Mapping[str, str] = os.environ) -> None:
        self.url = url
        self.token = token
        self._environment = environment
        self._link, self.opened = self._open()
        self.domains = self.opened.domains
        self._stopped = threading.Event()
        self._exchanges: list[Exchange] = []
        self._marks: list[int] = []
        self._align()
        self._prober = threading.Thread(target=self._probe, daemon=True, name="agent-clock")
        self._prober.start()

    def edge_s(self) -> float:
        """Seconds of power by which one edge of a span is uncertain because the recorder is far
        away (half-width, on a quiet network): the reading for an edge is up to a round trip old,
        during which the power may be ``energy.PEAK`` times that nearby, and its time is uncertain
        by half a round trip and by the drift between two exchanges."""
        rounds_s = [
            (sent.received_ns - sent.sent_ns - (sent.answered_ns - sent.arrived_ns)) / 1e9
            for sent in self._exchanges
        ]
        return (edges.PEAK + 0.5) * min(rounds_s) + DRIFT * PROBE_S / 2

    def require_measured(self) -> None:
        """Check that the agent's machine has more than an estimate.

        Raises:
            MeterError: no domain is measured; the message has the reasons and remedies.
        """
        check_measured(f"on the machine of the agent at {self.url}", self.opened)

    def begin(self) -> None:
        """Discard everything recorded so far.

        Raises:
            RecorderError: the connection is lost, or the agent refuses.
        """
        self._exchanges, self._marks = [], []
        self._align()
        self._ask("begin")

    def mark(self) -> int:
        """Have every meter read; returns the time when the answer was received (ns). The reading
        counts as requested when the request was sent, which is before it."""
        self._marks.append(time.monotonic_ns())
        return self._ask("mark")[1].received_ns

    def watch(self, pid: int) -> None:
        """Nothing: the worker's process is here, and the workload is there."""

    def channel(self) -> int:
        """The worker's end of a channel for :class:`Marker`: a descriptor to pass on and then
        close."""
        ours, theirs = socket.socketpair()
        threading.Thread(target=self._relay, args=(ours,), daemon=True, name="agent-marks").start()
        return theirs.detach()

    def take(self) -> Recording:
        """Everything recorded since :meth:`begin`, dated by this machine's clock.

        Raises:
            RecorderError: the connection was lost meanwhile, the clocks cannot be aligned, or the
                recording is invalid.
        """
        # On both sides of the last reading: beyond the exchanges the offset is known less and less.
        self._align()
        answer, _ = self._ask("take")
        self._align()
        try:
            taken = recording_of(answer, self.opened)
            # Threads add their exchanges in any order; the link makes them one after the other.
            clocks = ClockMap(sorted(self._exchanges))
        except ClocksDiffer as error:
            raise RecorderError(f"the clock of the agent at {self.url}: {error}") from error
        except ValueError as error:
            raise RecorderError(f"the agent at {self.url}: invalid recording: {error}") from error
        recording = on_this_clock(taken, clocks)
        return msgspec.structs.replace(
            recording,
            marks=tuple(self._marks),
            events=(*recording.events, *self._notices(recording)),
        )

    def restart(self) -> None:
        """Give up a broken connection. The next :meth:`reconnect` opens another."""
        self._link.close()

    def reconnect(self) -> None:
        """Open the connection again if it is broken.

        Raises:
            RecorderError: the agent cannot be reached, or is not that of the same machine.
        """
        if self._link.fault is None:
            return
        # With the old lease: an agent that has not noticed the loss would refuse another run.
        link, opened = self._open(self._link.lease)
        if _identity(opened) != _identity(self.opened):
            link.close()
            raise RecorderError(
                f"the agent at {self.url}: another machine answers than at the start of the run,"
                " or it was rebooted or changed; start the run again"
            )
        self._link, self.opened = link, opened

    def stop(self) -> None:
        """Give the recorder back."""
        self._stopped.set()
        with contextlib.suppress(RecorderError):
            self._ask("close")
        self._link.close()
        self._prober.join()

    def _open(self, lease: str = "") -> tuple[AgentLink, Opened]:
        link = AgentLink(self.url, self._environment)
        answer, _ = link.ask(request_of("open", lease))
        try:
            opened = opened_of(answer)
        except ValueError as error:
            link.close()
            raise RecorderError(f"the agent at {self.url}: {error}") from error
        link.lease = opened.lease
        return link, opened

    def _ask(self, op: str) -> tuple[AgentAnswer, Exchange]:
        # Read once: a reconnection meanwhile must not pair one link with the other's lease.
        link = self._link
        answer, exchange = link.ask(request_of(op, link.lease))
        if len(self._exchanges) < _MOST_EXCHANGES:
            self._exchanges.append(exchange)
        return answer, exchange

    def _align(self) -> None:
        for _ in range(_BURST):
            self._ask("clock")

    def _probe(self) -> None:
        """Exchange times until the end. A failure breaks the link, which then says so."""
        while not self._stopped.wait(PROBE_S):
            with contextlib.suppress(RecorderError):
                self._ask("clock")

    def _relay(self, channel: socket.socket) -> None:
        """Pass a worker's marks on. If one fails, the channel is closed, and the worker ends."""
        with channel, contextlib.suppress(OSError, RecorderError):
            while channel.recv(1):
                self.mark()
                # For the worker, what counts is that this answer does not come late.
                channel.sendall(wire.STAMP.pack(time.monotonic_ns()))

    def _notices(self, recording: Recording) -> tuple[Event, ...]:
        uncertain_s = max((series.clock_s for series in recording.series), default=0.0)
        now_ns = time.monotonic_ns()
        texts = (
            f"the energy is that of {urlsplit(self.url).hostname}, measured by the agent at"
            f" {self.url}; that of this machine, which sent the requests, is not in it",
            f"the two machines' clocks are aligned within ±{format_seconds(at_most(uncertain_s))}",
        )
        return tuple(
            Event(t0_ns=now_ns, t1_ns=now_ns, kind="notice", reason=text) for text in texts
        )


def at_most(seconds: float) -> float:
    """The next higher of 1, 2 and 5 ms, 10, 20 and 50 ms and so on: notes that differ in every
    trial would each be listed."""
    if seconds <= 0.001:
        return 0.001
    decade = 10.0 ** math.floor(math.log10(seconds))
    return next(step for step in (decade, 2 * decade, 5 * decade, 10 * decade) if seconds <= step)


def _identity(opened: Opened) -> object:
    """What must stay the same. Ticks and the like are measured anew by each recorder."""
    meters = tuple((domain.name, domain.meter, domain.provenance) for domain in opened.domains)
    return opened.machine, opened.boot, opened.environment.fingerprint, meters
