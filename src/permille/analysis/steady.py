"""Where a run of per-inference durations becomes steady, or that it does not.

MSER-5 (White, Simulation 69, 1997; White, Cobb and Spratt, WSC 2000): cut off as many values from
the front as make the squared standard error of the mean of the rest least. Three things differ:

- batches of five are taken at their medians, so that one stall (a page fault, another process) is
  not taken for a phase of the run; below 50 values the batches are smaller, so that there are ten;
- the cut is sought in the first half only. A cut in the second half means, by White's rule, that
  the series is too short to tell; but in steady noise it falls there by chance as well. So what
  remains after the cut is tested instead:
- it must not fall into two parts of different level (the greatest of the two-sample t statistics
  over all splits; Hawkins, JASA 72, 1977), nor rise or fall along a line, to which MSER is blind
  while the change is small against the noise.

A change of under ``MATERIAL`` of the mean is not held against a run. Many programs never become
steady (Barrett et al., OOPSLA 2017; Traini et al., Empirical Software Engineering 28, 2023), and
then ``None`` is the answer. Standard library only: the worker calls this between inferences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from statistics import fmean, median

FEWEST = 10
"""Values under which nothing is said, and batches that there are at least."""

BATCH = 5
"""Values in a batch of a long run: MSER-5."""

PART = 3
"""Batches that make a part: a level that one or two show is chance."""

MATERIAL = 0.01
"""Relative change over the rest that matters: a fifth of the ±5 % that one would ask for."""

STEP_ERRORS = 4.5
"""Standard errors between two levels. Normal noise exceeds it in under 3 runs of 100, as
simulated for 10 to 400 values; the split is the worst of many."""

TREND_ERRORS = 3.0
"""Standard errors of a slope; as STEP_ERRORS, but nothing is chosen."""


def steady_start(durations: Sequence[float]) -> int | None:
    """Index of the first duration (any unit) from which the series is steady.

    At most half the length, and a multiple of the batch of up to five. ``None``: not steady, or
    fewer than 10 values. Time and memory grow in proportion to the length.

    Raises:
        ValueError: a duration that is negative or not finite.
    """
    if not all(0 <= duration < math.inf for duration in durations):
        raise ValueError("a duration is negative or not a finite number")
    n = len(durations)
    if n < FEWEST:
        return None
    size = min(BATCH, n // FEWEST)
    batches = [median(durations[at : at + size]) for at in range(0, n - size + 1, size)]
    cut = _mser_cut(batches)
    rest = batches[cut:]
    return None if _has_step(rest) or _has_trend(rest) else cut * size


def is_steady(durations: Sequence[float]) -> bool:
    """Whether warm-up may end after these durations: their last half, at least, is steady.

    A call costs about a microsecond a duration; a worker that calls it every fifth inference of
    a warm-up of some hundreds spends milliseconds in all.

    Raises:
        ValueError: a duration that is negative or not finite.
    """
    return steady_start(durations) is not None


def _mser_cut(values: Sequence[float]) -> int:
    """The cut in the first half for which sum of squares / count squared of the rest is least.

    The earliest of those that are equal up to rounding.
    """
    centre = fmean(values)
    first_half = len(values) // 2
    total = squares = 0.0
    errors = []
    for count, value in enumerate(reversed(values), start=1):
        total += value - centre
        squares += (value - centre) ** 2
        errors.append(max(0.0, squares - total * total / count) / count**2)
    errors.reverse()
    candidates = errors[: first_half + 1]
    allowed = min(candidates) + 1e-12 * max(candidates)
    return next(cut for cut, error in enumerate(candidates) if error <= allowed)


def _has_step(values: Sequence[float]) -> bool:
    """Whether some split leaves two parts whose levels differ by enough, and surely."""
    n, centre = len(values), fmean(values)
    offsets = [value - centre for value in values]
    squares = sum(offset * offset for offset in offsets)
    least_change = MATERIAL * centre
    for count, total in enumerate(accumulate(offsets), start=1):
        if not PART <= count <= n - PART:
            continue
        change = abs(total) * (1 / count + 1 / (n - count))
        between = total * total * (1 / count + 1 / (n - count))
        variance = max(0.0, squares - between) / (n - 2)
        error = math.sqrt(variance * (1 / count + 1 / (n - count)))
        if change > least_change and change > STEP_ERRORS * error:
            return True
    return False


def _has_trend(values: Sequence[float]) -> bool:
    """Whether the least-squares line rises or falls by enough, and surely, from end to end.

    The error of the slope is widened for the first-order correlation r of the residuals by
    sqrt((1 + r) / (1 - r)) (Bence, Ecology 76, 1995), r at most 0.9.
    """
    n = len(values)
    middle, centre = (n - 1) / 2, fmean(values)
    spread = n * (n * n - 1) / 12
    slope = sum((i - middle) * (value - centre) for i, value in enumerate(values)) / spread
    residuals = [value - centre - slope * (i - middle) for i, value in enumerate(values)]
    squares = sum(residual * residual for residual in residuals)
    products = sum(a * b for a, b in pairwise(residuals))
    correlation = min(0.9, max(0.0, products / squares)) if squares > 0 else 0.0
    widening = (1 + correlation) / (1 - correlation)
    error = math.sqrt(squares / (n - 2) / spread * widening)
    return abs(slope) * n > MATERIAL * centre and abs(slope) > TREND_ERRORS * error
