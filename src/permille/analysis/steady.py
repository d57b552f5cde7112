"""Find where a series of per-inference durations becomes steady, if it does.

MSER-5 (White, Simulation 69, 1997; White, Cobb and Spratt, WSC 2000) removes as many values from
the front as minimise the squared standard error of the mean of the rest. This version differs in
three points:

- a batch of five is represented by its median, so that one stall (a page fault, another process)
  does not look like a phase of the run; below 50 values the batches are smaller, so that there are
  ten;
- the cut must be in the first half. By White's rule, a cut in the second half means that the series
  is too short; but in steady noise it also occurs there by chance. Therefore the values after the
  cut are tested instead:
- they must not split into two parts with different levels (the largest of the two-sample t
  statistics over all splits; Hawkins, JASA 72, 1977), nor follow a rising or falling line, which
  MSER does not detect while the change is small compared with the noise.

A change of less than ``MATERIAL`` of the mean is ignored. Many programs never become steady
(Barrett et al., OOPSLA 2017; Traini et al., Empirical Software Engineering 28, 2023); the result is
then ``None``. Standard library only, because the worker calls this between inferences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from statistics import fmean, median

FEWEST = 10
"""The fewest values for a result, and the fewest batches."""

BATCH = 5
"""Values in a batch of a long run: MSER-5."""

PART = 3
"""The fewest batches in a part: a level of one or two may be chance."""

MATERIAL = 0.01
"""The smallest relative change that matters: a fifth of a typical precision of ±5 %."""

STEP_ERRORS = 4.5
"""The threshold between two levels, in standard errors. Normal noise exceeds it in under 3 of 100
runs, as simulated for 10 to 400 values; the split is the worst of many."""

TREND_ERRORS = 3.0
"""The threshold of a slope, in standard errors; like STEP_ERRORS, but without a choice of split."""


def steady_start(durations: Sequence[float]) -> int | None:
    """Index of the first duration (any unit) from which the series is steady.

    It is at most half the length, and a multiple of the batch size (up to five). ``None``: not
    steady, or fewer than 10 values. Time and memory grow in proportion to the length.

    Raises:
        ValueError: a duration that is negative or not finite.
    """
    if not all(0 <= duration < math.inf for duration in durations):
        raise ValueError("a duration is negative or not a finite number")
    n = len(durations)
    if n < FEWEST:
        return None
    size = min(BATCH, n // FEWEST)
    # Values at the end that do not fill a batch are left out: their median would vary more.
    batches = [median(durations[at : at + size]) for at in range(0, n - size + 1, size)]
    cut = _mser_cut(batches)
    rest = batches[cut:]
    return None if _has_step(rest) or _has_trend(rest) else cut * size


def is_steady(durations: Sequence[float]) -> bool:
    """Whether warm-up may end after these durations: at least their last half is steady.

    A call costs about a microsecond per duration; a worker that calls it at every fifth inference
    of a warm-up of some hundreds spends milliseconds in total.

    Raises:
        ValueError: a duration that is negative or not finite.
    """
    return steady_start(durations) is not None


def _mser_cut(values: Sequence[float]) -> int:
    """The cut in the first half that minimises sum of squares / count squared of the rest.

    Of cuts that are equal up to rounding, the earliest.
    """
    centre = fmean(values)
    first_half = len(values) // 2
    total = squares = 0.0
    errors = []
    for count, value in enumerate(reversed(values), start=1):
        # About the mean: the squares of durations that hardly differ would cancel.
        total += value - centre
        squares += (value - centre) ** 2
        # The two terms may be equal up to rounding, and their difference below 0.
        errors.append(max(0.0, squares - total * total / count) / count**2)
    errors.reverse()
    candidates = errors[: first_half + 1]
    allowed = min(candidates) + 1e-12 * max(candidates)
    return next(cut for cut, error in enumerate(candidates) if error <= allowed)


def _has_step(values: Sequence[float]) -> bool:
    """Whether the levels of the two parts of some split differ significantly and by enough."""
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
    """Whether the least-squares line rises or falls significantly and by enough from end to end.

    The error of the slope is widened for the first-order correlation r of the residuals by
    sqrt((1 + r) / (1 - r)) (Bence, Ecology 76, 1995), r at most 0.9.
    """
    n = len(values)
    middle, centre = (n - 1) / 2, fmean(values)
    # The sum of (i - middle)².
    spread = n * (n * n - 1) / 12
    slope = sum((i - middle) * (value - centre) for i, value in enumerate(values)) / spread
    residuals = [value - centre - slope * (i - middle) for i, value in enumerate(values)]
    squares = sum(residual * residual for residual in residuals)
    products = sum(a * b for a, b in pairwise(residuals))
    # Not below 0: a series that alternates would leave next to no error, and any slope would count.
    correlation = min(0.9, max(0.0, products / squares)) if squares > 0 else 0.0
    widening = (1 + correlation) / (1 - correlation)
    error = math.sqrt(squares / (n - 2) / spread * widening)
    return abs(slope) * n > MATERIAL * centre and abs(slope) > TREND_ERRORS * error
