"""Align another machine's clock with this one's by exchanges of messages. Pure.

An exchange bounds the offset between the clocks without any assumption about the network: the
request arrived after it was sent, and the answer was sent before it was received (Cristian,
*Probabilistic clock synchronization*, 1989). Exchanges at other times bound it too, only less, by
what the clocks may drift in between (Marzullo and Owicki, 1983).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from permille.records.recording import Event, Recording, Series

DRIFT = 700e-6
"""The most that two clocks may drift apart (seconds per second): by the quartz of two computers, at
most 100 ppm each, and by 500 ppm while the kernel slews one of them (adjtimex(2)). What drifts more
is refused."""


class ClocksDiffer(ValueError):
    """The exchanges contradict each other: a clock jumped, or the times are invented."""


class Exchange(NamedTuple):
    """A request and its answer: when it was sent and the answer was received, on this machine's
    clock, and when it arrived and was answered, on the other's (ns)."""

    sent_ns: int
    received_ns: int
    arrived_ns: int
    answered_ns: int


class _Bound(NamedTuple):
    """The offset (this clock less the other) at a time of the other clock: ``low`` to ``high``."""

    at_ns: int
    low_ns: int
    high_ns: int


class ClockMap:
    """The other clock's times on this machine's clock, from exchanges in order.

    Raises:
        ClocksDiffer: there are none, or they cannot all be right.
    """

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        bounds = [_bound(exchange) for exchange in exchanges]
        if not bounds:
            raise ClocksDiffer("no exchange of times succeeded")
        if any(later.at_ns <= earlier.at_ns for earlier, later in pairwise(bounds)):
            raise ClocksDiffer("the other machine's clock went back")
        # In both directions, so that each exchange is narrowed by all earlier and all later ones.
        forwards = _tightened(bounds)
        self._bounds = _tightened(forwards[::-1])[::-1]
        self._times = [bound.at_ns for bound in self._bounds]

    def here(self, there_ns: int) -> int:
        """A time of the other clock on this one."""
        low_ns, high_ns = self._offset(there_ns)
        return there_ns + (low_ns + high_ns) // 2

    def uncertainty_s(self, from_ns: int, to_ns: int) -> float:
        """How far :meth:`here` may be off at any time in between (half-width)."""
        gap_ns = 0
        first = max(0, bisect_right(self._times, from_ns) - 1)
        last = min(len(self._times), bisect_right(self._times, to_ns) + 1)
        inside = self._bounds[first:last]
        if len(inside) > 1:
            gap_ns = max(later.at_ns - earlier.at_ns for earlier, later in pairwise(inside))
        half_ns = max((bound.high_ns - bound.low_ns) / 2 for bound in inside)
        # Half-way between two exchanges the offset is known least; outside, it is known less still.
        away_ns = max(gap_ns / 2, self._times[0] - from_ns, to_ns - self._times[-1])
        return (half_ns + DRIFT * away_ns) / 1e9

    def _offset(self, at_ns: int) -> tuple[int, int]:
        """The least and the greatest possible offset at a time, by the exchanges around it."""
        after = bisect_right(self._times, at_ns)
        around = [_drifted(bound, at_ns) for bound in self._bounds[max(0, after - 1) : after + 1]]
        return max(bound.low_ns for bound in around), min(bound.high_ns for bound in around)


def on_this_clock(recording: Recording, clocks: ClockMap) -> Recording:
    """A recording of the other machine, dated by this machine's clock. Its series have the
    uncertainty of that; the CPU times, which need it more exactly, are left out."""
    return msgspec.structs.replace(
        recording,
        series=tuple(_series(series, clocks) for series in recording.series),
        cross_checks=tuple(_series(series, clocks) for series in recording.cross_checks),
        events=tuple(_event(event, clocks) for event in recording.events),
        cpu=None,
    )


def _series(series: Series, clocks: ClockMap) -> Series:
    if not series.t_ns:
        return series
    times: list[int] = []
    for there_ns in series.t_ns:
        here_ns = clocks.here(there_ns)
        # Two readings within some nanoseconds may otherwise be rounded to one time.
        times.append(max(here_ns, times[-1] + 1) if times else here_ns)
    uncertain_s = clocks.uncertainty_s(series.t_ns[0], series.t_ns[-1])
    return msgspec.structs.replace(series, t_ns=tuple(times), clock_s=uncertain_s)


def _event(event: Event, clocks: ClockMap) -> Event:
    """An event at its earliest and latest possible times."""
    margin_ns = math.ceil(clocks.uncertainty_s(event.t0_ns, event.t1_ns) * 1e9)
    return msgspec.structs.replace(
        event,
        t0_ns=clocks.here(event.t0_ns) - margin_ns,
        t1_ns=clocks.here(event.t1_ns) + margin_ns,
    )


def _bound(exchange: Exchange) -> _Bound:
    sent_ns, received_ns, arrived_ns, answered_ns = exchange
    if not (sent_ns <= received_ns and arrived_ns <= answered_ns):
        raise ClocksDiffer("a clock went back during an exchange of times")
    # The bounds are those at arrival and at the answer, and count for the middle.
    drift_ns = math.ceil(DRIFT * (answered_ns - arrived_ns))
    low_ns = sent_ns - arrived_ns - drift_ns
    high_ns = received_ns - answered_ns + drift_ns
    if low_ns > high_ns:
        raise ClocksDiffer("the other machine took longer for an answer than it was waited for")
    return _Bound((arrived_ns + answered_ns) // 2, low_ns, high_ns)


def _drifted(bound: _Bound, at_ns: int) -> _Bound:
    """What a bound means at another time."""
    drift_ns = math.ceil(DRIFT * abs(at_ns - bound.at_ns))
    return _Bound(at_ns, bound.low_ns - drift_ns, bound.high_ns + drift_ns)


def _tightened(bounds: Sequence[_Bound]) -> list[_Bound]:
    """Each bound within what the one before it allows."""
    kept = [bounds[0]]
    for bound in bounds[1:]:
        before = _drifted(kept[-1], bound.at_ns)
        low_ns, high_ns = max(bound.low_ns, before.low_ns), min(bound.high_ns, before.high_ns)
        if low_ns > high_ns:
            raise ClocksDiffer(
                "the clocks of the two machines moved against each other: one jumped or was"
                " adjusted"
            )
        kept.append(_Bound(bound.at_ns, low_ns, high_ns))
    return kept
