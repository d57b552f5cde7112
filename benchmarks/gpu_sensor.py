"""How far a GPU's power reading lies behind its load, from steps of load.

A reading that is the mean over a window, renewed every period, lies behind by half of both: the
area between the load's step and the readings, in units of the step. That area needs no model of the
response. The GPU itself rises slowly too (clocks, voltage); its own rise is the same area under its
energy counter, where it has one, and is taken off. Without a counter the window is an upper bound.
"""

from __future__ import annotations

import statistics
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

SETTLE_S = 2.5
"""After so long every reading has reached the load: the slowest average of NVIDIA's is 1 s."""
LEVEL_S = 0.5
"""The level before a step is the median of the readings of this time."""
LEAST_STEP = 0.2
"""A step by less than this share of the higher level is no step."""

Point = tuple[float, float]


class SensorResponse(NamedTuple):
    """Seconds: between two updates, behind the load, the GPU's own rise (None: not known), and the
    averaging window that follows (at most, if the rise is not known); ``steps``: how many."""

    period_s: float
    behind_s: float
    rise_s: float | None
    window_s: float
    steps: int


def period_s(readings: Sequence[Point]) -> float | None:
    """The median time between two changes of the reading; None with fewer than two."""
    changes = [t for (_, before), (t, after) in pairwise(readings) if before != after]
    gaps = [after - before for before, after in pairwise(changes)]
    return statistics.median(gaps) if gaps else None


def levels(readings: Sequence[Point], step_s: float) -> tuple[float, float] | None:
    """Watts before a step of load at ``step_s`` and after it has settled; None if it is no step."""
    before = [w for t, w in readings if step_s - LEVEL_S <= t < step_s]
    after = [w for t, w in readings if step_s + SETTLE_S <= t < step_s + SETTLE_S + LEVEL_S]
    if not before or not after:
        return None
    low, high = statistics.median(before), statistics.median(after)
    return (low, high) if abs(high - low) >= LEAST_STEP * max(low, high) else None


def behind_s(readings: Sequence[Point], step_s: float, low_w: float, high_w: float) -> float:
    """The area between a step and the readings after it, over the step. A reading holds until the
    next."""
    area, last_s, last_w = 0.0, step_s, low_w
    for t, w in readings:
        if not step_s <= t < step_s + SETTLE_S:
            continue
        area += (t - last_s) * (high_w - last_w)
        last_s, last_w = t, w
    area += (step_s + SETTLE_S - last_s) * (high_w - last_w)
    return area / (high_w - low_w)


def rise_s(energy_j: float, low_w: float, high_w: float) -> float:
    """The same area for the power itself, from its energy over :data:`SETTLE_S` after the step."""
    return (high_w * SETTLE_S - energy_j) / (high_w - low_w)


def response(
    readings: Sequence[Point],
    steps_s: Sequence[float],
    energy_j: Callable[[float, float], float] | None,
) -> SensorResponse | None:
    """Of all steps together; ``energy_j``: the true energy between two times, with its levels just
    as the readings have theirs. None if the readings show no step."""
    period = period_s(readings)
    behind, rises = [], []
    for step_s in steps_s:
        of_step = levels(readings, step_s)
        if of_step is None:
            continue
        behind.append(behind_s(readings, step_s, *of_step))
        if energy_j is not None:
            settled_s = step_s + SETTLE_S
            low_w = energy_j(step_s - LEVEL_S, step_s) / LEVEL_S
            high_w = energy_j(settled_s, settled_s + LEVEL_S) / LEVEL_S
            rises.append(rise_s(energy_j(step_s, settled_s), low_w, high_w))
    if not behind or period is None:
        return None
    lag_s = statistics.fmean(behind)
    rise = statistics.fmean(rises) if rises else None
    window_s = max(0.0, 2 * (lag_s - (rise or 0.0)) - period)
    return SensorResponse(period, lag_s, rise, window_s, len(behind))


def record_steps(
    read: Mapping[str, Callable[[], float | None]],
    load_for: Callable[[float], object],
    steps: int,
    poll_s: float,
) -> tuple[dict[str, list[Point]], list[float]]:
    """What each of ``read`` answered (seconds, value), and when the load began and ended, over so
    many turns of rest and load. The load runs in this process, in a thread of its own."""
    points: dict[str, list[Point]] = {name: [] for name in read}
    edges: list[float] = []
    stretch_s = SETTLE_S + 2 * LEVEL_S

    def turns() -> None:
        for _ in range(steps):
            time.sleep(stretch_s)
            edges.append(time.monotonic())
            load_for(stretch_s)
            edges.append(time.monotonic())
        time.sleep(stretch_s)

    worker = threading.Thread(target=turns)
    worker.start()
    while worker.is_alive():
        for name, ask in read.items():
            if (value := ask()) is not None:
                points[name].append((time.monotonic(), value))
        time.sleep(poll_s)
    return points, edges


def interpolated(counter: Sequence[Point]) -> Callable[[float, float], float] | None:
    """The energy between two times by a counter's readings; None without any."""
    if len(counter) < 2:
        return None
    times = [t for t, _ in counter]

    def at(t: float) -> float:
        after = min(max(bisect_left(times, t), 1), len(counter) - 1)
        (t0, e0), (t1, e1) = counter[after - 1], counter[after]
        return e0 + (e1 - e0) * (t - t0) / (t1 - t0)

    return lambda start_s, end_s: at(end_s) - at(start_s)
