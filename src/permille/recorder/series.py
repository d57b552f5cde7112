"""Build one domain's series from readings: unwrapped and validated, never guessed."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Literal

from permille.energy.edges import UNKNOWN_MAX_POWER_W, UNKNOWN_TICK_S
from permille.meters import Reading
from permille.records.recording import Domain, Event, Series

LOST_POWER_S = 2.0
"""A meter of power has no figure for a gap longer than this (seconds)."""


class SeriesBuilder:
    """Takes the readings of one domain in order and accumulates its joules.

    A counter that decreases has either wrapped or been reset. It has wrapped if the energy of
    exactly one wrap is physically possible (``max_power_w``) and that of two is not; otherwise the
    time between the two readings is void.
    """

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self._events: list[Event] = []
        self._t_ns: list[int] = []
        self._energy_j: list[float] = []
        self._total_j = 0.0
        self._raw: float | None = None
        self._power_w: float | None = None
        self._changed_ns = 0
        self._failing: tuple[int, str] | None = None

    def add(self, reading: Reading) -> None:
        """Add one reading; times must increase, and an older reading is ignored."""
        if self._t_ns and reading.t_ns <= self._t_ns[-1]:
            return
        reason = _fault(reading, self.domain)
        if reason is not None:
            self._failing = self._failing or (reading.t_ns, reason)
            return
        if self._failing is not None:
            since, why = self._failing
            self._say("notice", since, reading.t_ns, f"could not be read for a while: {why}")
            self._failing = None
        if reading.energy_j is not None:
            self._add_energy(reading.t_ns, reading.energy_j)
        elif reading.power_w is not None:
            self._add_power(reading.t_ns, reading.power_w)
        self._t_ns.append(reading.t_ns)
        self._energy_j.append(self._total_j)

    @property
    def shown(self) -> tuple[int, float] | None:
        """The time of the counter's last reading (ns) and its raw value (joules)."""
        return None if self._raw is None or not self._t_ns else (self._t_ns[-1], self._raw)

    def settle(self, reading: Reading, since_ns: int) -> None:
        """Add ``reading``, made when the counter stepped. The counter had its previous value since
        ``since_ns``, one tick earlier, and not only since that was read."""
        if self._t_ns and reading.t_ns > self._t_ns[-1] > since_ns:
            least_ns = self._t_ns[-2] + 1 if len(self._t_ns) > 1 else since_ns
            # Never before the reading ahead of it: times must stay in order.
            self._t_ns[-1] = max(least_ns, since_ns)
        self.add(reading)

    def void(self, t_ns: int, reason: str, since_ns: int | None = None) -> None:
        """Void the time up to ``t_ns``: from the last reading on, or from ``since_ns`` if that is
        earlier."""
        last_ns = self._t_ns[-1] if self._t_ns else t_ns
        self._say("invalid", last_ns if since_ns is None else min(last_ns, since_ns), t_ns, reason)

    def series(self) -> Series:
        """The series since the last :meth:`begin`."""
        return Series(domain=self.domain, t_ns=tuple(self._t_ns), energy_j=tuple(self._energy_j))

    def events(self, now_ns: int) -> tuple[Event, ...]:
        """Events since the last :meth:`begin`, including a failure that still lasts."""
        if self._failing is None:
            return tuple(self._events)
        since, reason = self._failing
        lasting = Event(
            t0_ns=since, t1_ns=now_ns, kind="invalid", reason=reason, domain=self.domain.name
        )
        return (*self._events, lasting)

    def begin(self) -> None:
        """Discard all but the last reading."""
        # A span may begin before the next reading; this one then covers its start.
        del self._t_ns[:-1], self._energy_j[:-1]
        self._events.clear()

    def discard_before(self, t_ns: int) -> None:
        """Discard what a span from ``t_ns`` on does not need: the readings before the last one at
        or before that time, and the events that ended earlier."""
        unneeded = max(0, bisect_right(self._t_ns, t_ns) - 1)
        del self._t_ns[:unneeded], self._energy_j[:unneeded]
        self._events = [event for event in self._events if event.t1_ns >= t_ns]

    def _add_energy(self, t_ns: int, raw: float) -> None:
        last, self._raw = self._raw, raw
        if last is None:
            self._changed_ns = t_ns
            return
        step_j = raw - last
        wrap_j = self.domain.wrap_j
        if step_j < 0 and wrap_j is not None:
            step_j += wrap_j
        problem = self._implausible(step_j, t_ns)
        # Only this step is void: the next one counts from the new value.
        if problem is not None:
            self.void(t_ns, problem)
        else:
            self._total_j += step_j
        if raw != last:
            self._changed_ns = t_ns

    def _implausible(self, step_j: float, t_ns: int) -> str | None:
        """Why this step cannot be trusted, or None."""
        tick_s = UNKNOWN_TICK_S if self.domain.tick_s is None else self.domain.tick_s
        most_w = self.domain.max_power_w or UNKNOWN_MAX_POWER_W
        # A counter that stood still may then step by the energy of all that time.
        most_j = most_w * ((t_ns - self._changed_ns) / 1e9 + tick_s)
        if step_j < 0 or step_j > most_j:
            return (
                "the counter was reset, or jumped, between two readings: "
                f"{step_j:.6g} J is not possible at {most_w:.0f} W or less"
            )
        wrap_j = self.domain.wrap_j
        # Since the last reading, not the last step: a wrap in between would have been seen by it.
        since_s = (t_ns - self._t_ns[-1]) / 1e9
        if wrap_j is not None and step_j + wrap_j <= most_w * (since_s + tick_s):
            return (
                f"{since_s:.3g} s passed between two readings: the counter (range {wrap_j:.6g} J)"
                " may have wrapped more than once"
            )
        return None

    def _add_power(self, t_ns: int, power_w: float) -> None:
        last, self._power_w = self._power_w, power_w
        if last is None:
            return
        since_s = (t_ns - self._t_ns[-1]) / 1e9
        # Also over a gap, to keep the total continuous; no span that touches the gap has a figure.
        self._total_j += (last + power_w) / 2 * since_s
        # A meter that is renewed less often is not silent between its ticks.
        if since_s > max(LOST_POWER_S, 3 * (self.domain.tick_s or 0.0)):
            self.void(t_ns, f"{since_s:.3g} s without a reading of a meter that has no counter")

    def _say(self, kind: Literal["invalid", "notice"], t0_ns: int, t1_ns: int, reason: str) -> None:
        self._events.append(
            Event(t0_ns=t0_ns, t1_ns=t1_ns, kind=kind, reason=reason, domain=self.domain.name)
        )


def _fault(reading: Reading, domain: Domain) -> str | None:
    if reading.error is not None:
        return reading.error
    value = reading.power_w if reading.energy_j is None else reading.energy_j
    if value is None or not math.isfinite(value) or value < 0:
        return f"read {value!r}, which is not an energy or a power"
    most_w = domain.max_power_w or UNKNOWN_MAX_POWER_W
    if reading.power_w is not None and reading.power_w > most_w:
        # Many drivers report "not available" as the largest number of the field.
        return f"read {reading.power_w:.6g} W, which is not possible at {most_w:.0f} W or less"
    return None
