"""The reading of a counter at any time: linear between two readings, and nothing beyond them."""

from __future__ import annotations

from bisect import bisect_right

from permille.records.recording import Series, Span


class NotCovered(ValueError):
    """The series does not cover this time."""


def energy_at(series: Series, t_ns: int) -> float:
    """Cumulative joules at ``t_ns``, interpolated linearly between the readings around it.

    Raises:
        NotCovered: there is no reading at or before, or at or after, ``t_ns``.
    """
    before, fraction = locate(series, t_ns)
    left = series.energy_j[before]
    # At the last reading there is no next one.
    if fraction == 0.0:
        return left
    return left + fraction * (series.energy_j[before + 1] - left)


def energy_of(series: Series, span: Span) -> float:
    """Joules over a span.

    Raises:
        NotCovered: there is no reading on one side of it.
    """
    return energy_at(series, span.t1_ns) - energy_at(series, span.t0_ns)


def moved(series: Series, span: Span) -> bool:
    """Whether the counter is known to have moved over a span."""
    try:
        return energy_of(series, span) > 0
    except NotCovered:
        return False


def longest_still_s(series: Series, span: Span) -> float:
    """Seconds of the longest part of ``span`` with unchanged readings."""
    first = max(0, bisect_right(series.t_ns, span.t0_ns) - 1)
    # With the readings just outside: the counter may stand still across an edge.
    last = min(len(series.t_ns), bisect_right(series.t_ns, span.t1_ns) + 1)
    longest_ns, since = 0, first
    for i in range(first, last):
        if series.energy_j[i] != series.energy_j[since]:
            since = i
        stretch = min(series.t_ns[i], span.t1_ns) - max(series.t_ns[since], span.t0_ns)
        longest_ns = max(longest_ns, stretch)
    return longest_ns / 1e9


def power_trace(series: Series, points: int = 200) -> list[tuple[float, float]]:
    """Mean power over at most ``points`` equal intervals: (seconds from the start, watts)."""
    # A single reading has a level, and no power.
    if len(series.t_ns) < 2:
        return []
    start, end = series.t_ns[0], series.t_ns[-1]
    # No finer than the readings: between two of them the power is not known.
    steps = max(1, min(points, len(series.t_ns) - 1))
    edges = [start + (end - start) * i // steps for i in range(steps + 1)]
    levels = [energy_at(series, edge) for edge in edges]
    return [
        ((edges[i] - start) / 1e9, (levels[i + 1] - levels[i]) / ((edges[i + 1] - edges[i]) / 1e9))
        for i in range(steps)
        if edges[i + 1] > edges[i]
    ]


def locate(series: Series, t_ns: int) -> tuple[int, float]:
    """The index of the reading at or before ``t_ns``, and the fraction towards the next one (0 to
    1)."""
    times = series.t_ns
    if not times or t_ns < times[0]:
        raise NotCovered(f"no reading of {series.domain.name} at or before the span's edge")
    before = bisect_right(times, t_ns) - 1
    if times[before] == t_ns:
        return before, 0.0
    if before + 1 >= len(times):
        raise NotCovered(f"no reading of {series.domain.name} at or after the span's edge")
    # Integers are subtracted first: a float holds nanoseconds exactly for 104 days of uptime only.
    return before, (t_ns - times[before]) / (times[before + 1] - times[before])
