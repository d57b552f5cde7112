"""A power sensor that samples a part of the time: what that leaves uncertain. Pure.

Two parts. First, independent samples of a varying power have a mean that varies. Second, work whose
period is close to that of the sensor's updates beats with them: the readings rise and fall slowly
while the power does not, and only an average over many beats helps. A slow beat shows as gradual
change, because the sensor's window glides over the edges of the work, whereas load that starts or
stops is abrupt. Gradual change is therefore treated as a beat, which also widens the interval of
work whose power does change gradually: the readings alone cannot tell the two apart. Work that
keeps step with the sensor leaves no trace at all.

Random pauses in the work end both: after each, the sensor meets another part of it. The segments
between them are then independent samples, whose spread says how uncertain their mean is.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import groupby, pairwise

from permille.records.recording import PowerSensor, Span

LEAST_UPDATES = 25
"""Fewer cannot show a beat. In published recordings of an A100 (Yang et al., SC24) the readings of
one second were wrong by up to 47 %, those of two by 31 %, and one beat took 2.4 s."""

ABRUPT, WITHIN = 0.6, 3
"""This share of the whole range within so many updates is a change of load. A sharp edge is spread
over three at most: the sensor's window, the poll and the span's grid each may cut it in two."""

LEAST_SEGMENTS = 16
"""Of fewer, the spread says too little. Simulated calls that last exactly one update and draw power
for half of it: of spans with 8 segments nine in ten were refused, and of the others the truth was
outside in a third; with 16 in 4 %."""
SEGMENT_UPDATES = 10
"""A segment with fewer updates says little."""


def samples_in_part(sensor: PowerSensor | None) -> bool:
    """Whether the sensor sees only a part of the time."""
    return sensor is not None and sensor.sampled < 1


def least_s(sensor: PowerSensor | None) -> float:
    """Seconds below which a span holds too few updates; 0 for a sensor that sees everything."""
    if sensor is None or sensor.sampled >= 1:
        return 0.0
    return LEAST_UPDATES * sensor.period_s


def uncertainty_j(steps_j: Sequence[float], sensor: PowerSensor) -> float:
    """Standard uncertainty (joules) of the sum of ``steps_j``, the energy of each update."""
    # From successive differences: a load that is off and then on is no spread of samples.
    squares = [(after - before) ** 2 for before, after in pairwise(steps_j)]
    # A variance times 1 - f, where f of the whole is sampled (Cochran, Sampling Techniques, 1977,
    # theorem 2.2): what was not seen varies, too.
    unseen = 1 - sensor.sampled
    spread_j = math.sqrt(unseen * statistics.fmean(squares) / 2 * len(steps_j))
    # The greatest error of a beat is a half-width: rectangular, like an edge's (GUM 4.3.7).
    return math.hypot(spread_j, beat_j(steps_j) / math.sqrt(3))


def segments(span: Span, sensor: PowerSensor) -> list[tuple[int, int]]:
    """What lies between the pauses of a span, from when to when (ns); without short pieces."""
    starts = [span.t0_ns, *(t1_ns for _, t1_ns in span.pauses)]
    ends = [*(t0_ns for t0_ns, _ in span.pauses), span.t1_ns]
    least_ns = SEGMENT_UPDATES * sensor.period_s * 1e9
    pieces = zip(starts, ends, strict=True)
    return [(t0_ns, t1_ns) for t0_ns, t1_ns in pieces if t1_ns - t0_ns >= least_ns]


def between_segments_j(powers_w: Sequence[float], seconds: float) -> float:
    """Standard uncertainty (joules) of a span of ``seconds`` whose segments, at independent phases
    of the sensor, have these mean powers: the standard deviation of their mean, with the factor for
    few samples of Supplement 1 to the GUM, 6.4.9.4."""
    count = len(powers_w)
    few = math.sqrt((count - 1) / (count - 3))
    return seconds * few * statistics.stdev(powers_w) / math.sqrt(count)


def beat_j(steps_j: Sequence[float]) -> float:
    """Greatest error (joules) from a beat in ``steps_j``: what its longer half has too much."""
    smooth_j = _without_jumps(steps_j)
    middle_j = (max(smooth_j) + min(smooth_j)) / 2
    # An update exactly at the middle (readings come in whole watts) ends no half.
    excesses_j = [step_j - middle_j for step_j in smooth_j if step_j != middle_j]
    halves = groupby(excesses_j, key=lambda excess_j: excess_j > 0)
    return max((abs(sum(half)) for _, half in halves), default=0.0)


def _without_jumps(steps_j: Sequence[float]) -> list[float]:
    """The course of ``steps_j`` less its abrupt changes."""
    most_j = ABRUPT * (max(steps_j) - min(steps_j))
    changes = [after - before for before, after in pairwise(steps_j)]
    abrupt: set[int] = set()
    for first in range(len(changes) - WITHIN + 1):
        together = range(first, first + WITHIN)
        if abs(sum(changes[i] for i in together)) >= most_j:
            abrupt.update(together)
    smooth = [steps_j[0]]
    for i, change in enumerate(changes):
        smooth.append(smooth[-1] + (0.0 if i in abrupt else change))
    return smooth
