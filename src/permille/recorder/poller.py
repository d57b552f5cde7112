"""Poll every meter into its series, with the events that affect it. Used by the recorder."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import msgspec

from permille.meters import Meter, Reading
from permille.recorder.descendants import with_children
from permille.recorder.neighbours import CpuWatch
from permille.recorder.series import SeriesBuilder
from permille.records.recording import Domain, Event, RecorderStats, Recording, Series

POLL_S = 0.1
"""Seconds between two polls, unless a meter needs shorter intervals."""
SHORTEST_POLL_S = 0.005
SUSPEND_NS = 100_000_000
"""If BOOTTIME moves by this much relative to MONOTONIC, the machine was suspended (0.1 s)."""
SETTLE_S = 0.002
"""A mark waits for the next step of counters with at most this tick."""
LEAST_LOOKS = 3
# The request that is under way and the next one: 2 s each at most (meters.wall.meter.TIMEOUT_S).
SLOW_WAIT_S = 5.0
"""How long the end of a trial waits for a slow meter's next reading."""


def suspended_ns() -> int:
    """Nanoseconds that this machine was suspended; 0 if the system does not report it."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def _readable(meter: Meter) -> tuple[Domain, ...]:
    """Every domain of which ``meter`` returns readings."""
    return (*meter.domains, *getattr(meter, "cross_checks", ()))


class SlowReader(threading.Thread):
    """Reads a meter that may block, in a thread, into a queue."""

    def __init__(self, meter: Meter, interval_s: float) -> None:
        super().__init__(daemon=True, name=f"slow-{meter.name}")
        self._meter = meter
        self._interval_s = interval_s
        # Safe between two threads without a lock (docs.python.org, collections.deque).
        self.readings: deque[Reading] = deque()
        self.last_ns = 0

    def run(self) -> None:
        """Keep reading until the process ends."""
        while True:
            readings = self._meter.read()
            self.readings.extend(readings)
            # After the queue: who waits for this time takes the readings at once.
            if readings:
                self.last_ns = max(reading.t_ns for reading in readings)
            time.sleep(self._interval_s)


class Poller:
    """The meters and their readings since the last ``begin``."""

    def __init__(
        self,
        meters: list[Meter],
        suspended: Callable[[], int] = suspended_ns,
        cpu: CpuWatch | None = None,
    ) -> None:
        self._cpu = cpu
        self._fast = [meter for meter in meters if not meter.slow]
        self._meters = meters
        self.counters = {d.name: SeriesBuilder(d) for meter in meters for d in _readable(meter)}
        tightest = min((meter.max_interval_s for meter in meters), default=POLL_S)
        # A counter that could wrap sooner than this loses nothing unnoticed: its series is void.
        self.interval_s = max(SHORTEST_POLL_S, min(POLL_S, tightest))
        # A counter that wraps soon is no reason to query a device on the network more often.
        self._slow = [SlowReader(m, max(self.interval_s, POLL_S)) for m in meters if m.slow]
        self._suspended, self._suspended_ns = suspended, suspended()
        self._awake_ns = time.monotonic_ns()
        self._identity: dict[str, str] = {}
        self._observed_ns: dict[str, int] = {}
        self._used: set[str] = set()
        self._tells_use: set[str] = set()
        self._maybe_used: set[str] = set()
        self._pids: set[int] = set()
        # Listing a workload's processes takes longer than all polls of one second.
        self._looks_at_pids = any(getattr(meter, "looks_at_pids", True) for meter in meters)
        self._events: list[Event] = []
        self._polls = self._missed = 0
        self._began = (time.process_time(), time.monotonic())
        for reader in self._slow:
            reader.start()

    def poll(self) -> int:
        """Read every meter; returns the time when that was done (ns)."""
        for meter in self._fast:
            for reading in meter.read():
                self.counters[reading.domain].add(reading)
        for reader in self._slow:
            while reader.readings:
                reading = reader.readings.popleft()
                self.counters[reading.domain].add(reading)
        self._polls += 1
        self._notice_suspension()
        return time.monotonic_ns()

    def _notice_suspension(self) -> None:
        # It lies somewhere since the poll before this one, which may be long ago on a busy machine.
        since_ns, self._awake_ns = self._awake_ns, time.monotonic_ns()
        suspended = self._suspended()
        if abs(suspended - self._suspended_ns) > SUSPEND_NS:
            self._suspended_ns = suspended
            self._events.append(
                Event(
                    t0_ns=since_ns,
                    t1_ns=time.monotonic_ns(),
                    kind="invalid",
                    reason="the machine was suspended, or its clock jumped",
                )
            )

    def mark(self) -> int:
        """Read every meter now, and fast counters once more at their next step.

        A counter with a tick of one millisecond is up to a millisecond late, except at its step.
        The time of the previous value is then known too: one tick earlier.
        """
        done_ns = self.poll()
        for meter in self._fast:
            # Of all its domains, because they are read together: a slow one would hold the mark up.
            if all(d.tick_s is not None and 0 < d.tick_s <= SETTLE_S for d in meter.domains):
                self._settle(meter)
                done_ns = time.monotonic_ns()
        return done_ns

    def _settle(self, meter: Meter) -> None:
        waiting = {d.name: self.counters[d.name] for d in meter.domains}
        tick_ns = {d.name: round(1e9 * (d.tick_s or 0.0)) for d in meter.domains}
        before = {name: counter.shown for name, counter in waiting.items()}
        # Within two ticks there is a step, unless the counter stands still.
        deadline_ns = time.monotonic_ns() + 2 * max(tick_ns.values())
        looks = 0
        # On a busy machine the time may be over before this process is scheduled.
        while waiting and (looks < LEAST_LOOKS or time.monotonic_ns() < deadline_ns):
            looks += 1
            for reading in meter.read():
                name = reading.domain
                if name not in waiting:
                    continue
                last = before[name]
                if reading.energy_j is None or last is None:
                    del waiting[name]  # it cannot be read, which the poll has already noted
                elif reading.energy_j == last[1]:
                    before[name] = (reading.t_ns, last[1])
                else:
                    # It stepped after the look before, and no longer than a tick ago.
                    since_ns = max(last[0], reading.t_ns - tick_ns[name])
                    stepped_ns = (since_ns + reading.t_ns) // 2
                    settled = reading._replace(t_ns=stepped_ns)
                    waiting.pop(name).settle(settled, stepped_ns - tick_ns[name])
        if waiting:
            self.poll()  # no step was observed, but the reading is current

    def look_around(self, *, now: bool = False) -> None:
        """Observe the CPU time of the run's processes and of others."""
        if self._cpu is not None:
            self._cpu.look(now=now)

    def miss(self) -> None:
        """Count a missed deadline."""
        self._missed += 1

    def watch(self, pid: int) -> None:
        """Treat ``pid`` and its children as the workload."""
        if pid:
            self._pids.add(pid)

    def observe(self) -> None:
        """Ask the meters for their status."""
        self.look_around()
        pids = with_children(self._pids) if self._looks_at_pids else frozenset()
        now_ns = time.monotonic_ns()
        for meter in self._meters:
            observation = meter.observe(pids)
            names = {domain.name for domain in meter.domains}
            if observation.used is None:
                # What an earlier look saw is no answer: a device may be in use since then.
                self._maybe_used |= names
            else:
                self._tells_use |= names
                self._used |= observation.used
            # The origin may have changed right after the look before, and a reset since then may
            # have been taken for a wrap.
            since_ns = self._observed_ns.get(meter.name, now_ns)
            self._observed_ns[meter.name] = now_ns
            before = self._identity.setdefault(meter.name, observation.identity)
            if observation.identity != before:
                self._identity[meter.name] = observation.identity
                for domain in _readable(meter):
                    self.counters[domain.name].void(
                        now_ns,
                        f"{meter.name}: the counters' origin changed (driver reloaded?)",
                        since_ns,
                    )
            for name, text in observation.notices:
                self._notice(now_ns, name, text)

    def _notice(self, now_ns: int, domain: str | None, text: str) -> None:
        # A condition that lasts is observed every second, and noted once.
        if any(e.reason == text and e.domain == domain for e in self._events):
            return
        self._events.append(
            Event(t0_ns=now_ns, t1_ns=now_ns, kind="notice", reason=text, domain=domain)
        )

    def begin(self) -> None:
        """Discard everything so far."""
        for counter in self.counters.values():
            counter.begin()
        if self._cpu is not None:
            self._cpu.begin()
        self.look_around()
        self._events.clear()
        self._used.clear()
        self._tells_use.clear()
        self._maybe_used.clear()
        self._pids.clear()
        self._polls = self._missed = 0
        self._began = (time.process_time(), time.monotonic())

    def discard_before(self, t_ns: int) -> None:
        """Discard what a span from ``t_ns`` on does not need. Unlike :meth:`begin`, it keeps the
        readings around ``t_ns`` and the processes of the workload."""
        for counter in self.counters.values():
            counter.discard_before(t_ns)
        if self._cpu is not None:
            self._cpu.begin()
        self._events = [event for event in self._events if event.t1_ns >= t_ns]
        # The next span has looks of its own, which can tell.
        self._maybe_used.clear()
        self._polls = self._missed = 0
        self._began = (time.process_time(), time.monotonic())

    def take(self) -> Recording:
        """Everything since ``begin``, up to a reading made now."""
        # A slow meter is not read at marks, and a sensor's reading describes the past: without a
        # later one, the last span would not be covered.
        self._await_slow(time.monotonic_ns())
        self._await_sensors()
        now_ns = self.poll()
        self.look_around(now=True)
        events = [e for c in self.counters.values() for e in c.events(now_ns)]
        return Recording(
            series=tuple(
                self._in_use(c.series()) for c in self.counters.values() if not c.domain.checks
            ),
            events=(*self._events, *events),
            stats=RecorderStats(
                cpu_s=time.process_time() - self._began[0],
                wall_s=time.monotonic() - self._began[1],
                polls=self._polls,
                missed=self._missed,
                interval_s=self.interval_s,
            ),
            cpu=None if self._cpu is None else self._cpu.series(),
            cross_checks=tuple(c.series() for c in self.counters.values() if c.domain.checks),
        )

    def _in_use(self, series: Series) -> Series:
        """The series with the observed ``in_use``, if the domain's meter could always tell it."""
        domain = series.domain
        if domain.name not in self._tells_use or domain.name in self._maybe_used:
            return series
        used = msgspec.structs.replace(domain, in_use=domain.name in self._used)
        return msgspec.structs.replace(series, domain=used)

    def _await_slow(self, after_ns: int) -> None:
        deadline = time.monotonic() + SLOW_WAIT_S
        while any(r.last_ns < after_ns for r in self._slow) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _await_sensors(self) -> None:
        """Poll until the readings of power sensors, which describe the past, reach this instant."""
        domains = [domain for meter in self._fast for domain in _readable(meter)]
        sensors = [domain.sensor for domain in domains if domain.sensor is not None]
        lag_s = max((sensor.lag_s for sensor in sensors), default=0.0)
        deadline = time.monotonic() + lag_s
        while (left_s := deadline - time.monotonic()) > 0:
            self.poll()
            time.sleep(min(self.interval_s, left_s))
