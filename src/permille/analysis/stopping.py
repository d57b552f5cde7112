"""The stopping rule behind ``precision = p``: when a cell has been repeated often enough.

After each repeat the rule examines all values so far. It stops when

    CAUTION * t(n - 1) * s / sqrt(n)  <=  p * |mean|

where t is Student's 97.5 % quantile, and then reports mean ± p. This is the fixed-width
sequential interval of Chow and Robbins (Ann. Math. Stat. 36, 1965), which refines Stein's
two-stage sample size (Ann. Math. Stat. 16, 1945). Checking after every repeat
selects the moments at which s happens to be small, so that Student's interval at the stop is too
narrow (90 % at worst from three repeats on, for a nominal 95 %). Two measures correct this: the
reported interval is as wide as requested, never the narrower one that was observed by luck; and the
test of s is made stricter by the constant ``CAUTION``. It was chosen by simulation: the smallest
multiple of 0.05 with which normal draws of every spread, from a tenth of p to six times p, with
and without a cold first repeat and with up to 100 repeats allowed, are covered at 94.5 % or
more (94.7 % at worst, near spreads of 2 p); see ``benchmarks/stopping.py`` and
``docs/statistics.md``.

A cold first repeat (caches, clocks and compilers not yet warm) would keep the interval wide for
many repeats. From four repeats on, the first is compared with the others by the prediction interval
of Student's t. If it is outside, it is left out, and the estimated mean is that of a machine that
is already warm. At ``max_repeats`` the rule stops anyway and reports its wider interval; CAUTION
still applies, because not having stopped earlier is also a selection.

Everything here is a pure function of the values, so that a resumed run makes the same decisions.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

from permille.analysis import intervals
from permille.analysis.student import student_t
from permille.records import Record
from permille.records.energy import Estimate
from permille.records.trial import Stopping

CAUTION = 1.25
"""Factor on Student's half-width, from simulation; see the module's docstring."""

RATIO_CAUTION = 1.4
"""Factor on the sd of a stopped cell in a ratio, from simulation; see :func:`stopped_summary`."""

COLD_CONFIDENCE = 0.95
"""Two-sided confidence of the test for a cold first repeat."""

COLD_FROM = 4
"""The first can be left out from this number of repeats on: three others are the fewest with a
useful spread."""

FEWEST = 3
"""Two repeats agree by chance too often: the simulated coverage falls below 94.5 %."""


class Decision(Record, frozen=True, kw_only=True):
    """The decision after the repeats so far, and their result.

    ``needed`` is the total number of repeats needed at the current spread; ``None`` if it is
    unknown or exceeds the maximum. ``estimate`` is the figure to report with its 95 % interval; it
    uses the last ``n_used`` values, which are all of them or, with ``first_left_out``, all but the
    first. ``within``: the interval is as tight as requested.
    """

    stop: bool
    needed: int | None
    estimate: Estimate
    reason: str
    n_used: int
    first_left_out: bool
    within: bool


def decide(
    values: Sequence[float], *, precision: float, min_repeats: int = FEWEST, max_repeats: int
) -> Decision:
    """Decide whether to stop after ``values``, one figure (in any unit) per repeat, in order.

    ``precision`` is the requested relative half-width of the 95 % interval of the mean. Call it
    after each repeat with all values so far; the same values always give the same decision.

    Raises:
        ValueError: no values, one that is not finite, a precision outside (0, 1), min_repeats
            under 3 or max_repeats under min_repeats.
    """
    if not 0 < precision < 1:
        raise ValueError(f"precision must be between 0 and 1, not {precision:g}")
    if min_repeats < FEWEST:
        raise ValueError(f"min_repeats must be {FEWEST} or more, not {min_repeats}")
    if max_repeats < min_repeats:
        raise ValueError(f"max_repeats {max_repeats} is below min_repeats {min_repeats}")
    cold = _first_is_apart(values)
    n = len(values)
    k, centre, sd = intervals.summary(values[1:] if cold else values)
    wanted = precision * abs(centre)
    half = None if sd is None else _half_width(k, sd)
    # By n and not by k: a first repeat that is left out was measured all the same.
    within = half is not None and half <= wanted and n >= min_repeats
    stop = within or n >= max_repeats
    needed = n if within else _needed(n, k, sd, wanted, min_repeats, max_repeats)
    return Decision(
        stop=stop,
        needed=needed,
        estimate=_estimate(centre, half, wanted),
        reason=_reason(n, half, centre, precision, within, stop, needed, min_repeats, cold),
        n_used=k,
        first_left_out=cold,
        within=within,
    )


def by_rule(values: Sequence[float], rule: Stopping) -> Decision:
    """The decision by a cell's rule. It may have more values than the rule allows (from merged
    stores, say), and a study may allow two, which are too few for the precision."""
    most = max(rule.max_repeats, len(values), FEWEST)
    return decide(values, precision=rule.precision, max_repeats=most)


def stopped_summary(values: Sequence[float]) -> tuple[int, float, float | None]:
    """Number, mean and sd of a stopped cell's repeats, for :func:`intervals.ratio_from`.

    A cold first repeat is left out, and the sd is the sample's times ``RATIO_CAUTION``. Between two
    cells that the rule has stopped, Welch's interval covers the ratio in 87 to 96 % of cases
    without that factor, and in 94.4 to 98 % with it (``benchmarks/ratios.py``).

    Raises:
        ValueError: no values, or one that is not finite.
    """
    n, centre, sd = intervals.summary(values[1:] if _first_is_apart(values) else values)
    return n, centre, None if sd is None else RATIO_CAUTION * sd


def _half_width(n: int, sd: float) -> float:
    return CAUTION * student_t(n - 1) * sd / math.sqrt(n)


def _first_is_apart(values: Sequence[float]) -> bool:
    """Whether the first value is outside the prediction interval of the others."""
    if len(values) < COLD_FROM:
        return False
    k, centre, sd = intervals.summary(values[1:])
    # COLD_FROM leaves at least three others, which have an sd.
    assert sd is not None
    reach = student_t(k - 1, COLD_CONFIDENCE) * sd * math.sqrt(1 + 1 / k)
    return abs(values[0] - centre) > reach


def _estimate(centre: float, half: float | None, wanted: float) -> Estimate:
    if half is None:
        return Estimate(value=centre, low=None, high=None)
    half = max(half, wanted)
    return Estimate(value=centre, low=centre - half, high=centre + half)


def _needed(
    n: int, k: int, sd: float | None, wanted: float, min_repeats: int, max_repeats: int
) -> int | None:
    """The smallest total number of repeats needed at the spread sd, after n of which k are used."""
    if sd is None:
        return None
    left_out = n - k
    candidates = range(max(n, min_repeats), max_repeats + 1)
    # The half-width falls with the number of repeats: halving finds the first that is enough.
    at = bisect.bisect_left(
        candidates, True, key=lambda total: _half_width(total - left_out, sd) <= wanted
    )
    return candidates[at] if at < len(candidates) else None


def _reason(
    n: int,
    half: float | None,
    centre: float,
    precision: float,
    within: bool,
    stop: bool,
    needed: int | None,
    min_repeats: int,
    cold: bool,
) -> str:
    repeats = f"{n} repeat" if n == 1 else f"{n} repeats"
    if within:
        text = f"within ±{precision:.3g} after {repeats}"
    elif half is None or n < min_repeats:
        text = f"{repeats} of at least {min_repeats}"
    else:
        reached = f"±{half / abs(centre):.2g}" if centre else "no relative interval"
        text = f"{reached} after {repeats}, ±{precision:.3g} requested"
        if stop:
            text += ": the maximum number of repeats"
        elif needed is not None:
            text += f": about {needed} needed"
    return f"{text}; the first differs from the others and is left out" if cold else text
