"""Measure how often a counter steps, by watching it."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence

ENOUGH = 8
LOOKS = 20
"""The fewest readings of a watch, however long this process is descheduled between two of them."""


def measure_ticks(
    read: Callable[[], Sequence[float | None]],
    watch_s: float,
    pause_s: float,
    clock_ns: Callable[[], int] = time.monotonic_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> list[float | None]:
    """The seconds between steps of each counter returned by ``read``, or None.

    Watches for at most ``watch_s`` seconds, or until every counter has stepped ``ENOUGH`` times,
    reading every ``pause_s``; no more than 1 / ``LOOKS`` of them counts between two readings. A
    tick is the median time between steps, accurate to about ``pause_s``; None with fewer than two
    steps.
    """
    last = list(read())
    steps: list[list[int]] = [[] for _ in last]
    left_ns = watch_ns = round(watch_s * 1e9)
    before_ns = clock_ns()
    # One step more than ENOUGH: that many intervals have one end more.
    while any(len(s) <= ENOUGH for s in steps):
        now_ns = clock_ns()
        left_ns -= min(now_ns - before_ns, watch_ns // LOOKS)
        if left_ns <= 0:
            break
        before_ns = now_ns
        for i, value in enumerate(read()):
            if value is not None and last[i] is not None and value != last[i]:
                steps[i].append(now_ns)
            # Also a failed look (None): when the counter stepped meanwhile is unknown.
            last[i] = value
        sleep(pause_s)
    return [median_step_s(times) for times in steps]


def median_step_s(times_ns: Sequence[int]) -> float | None:
    """The median of the differences of ``times_ns``, in seconds; None with fewer than two."""
    if len(times_ns) < 2:
        return None
    # Not the mean: a reader that is descheduled misses steps and sees a single long one.
    return statistics.median(b - a for a, b in itertools.pairwise(times_ns)) / 1e9
