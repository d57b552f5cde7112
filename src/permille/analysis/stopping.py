"""When a cell has been repeated often enough: the rule behind ``precision = p``.

After each repeat the rule looks at all values so far. It stops when

    CAUTION * t(n - 1) * s / sqrt(n)  <=  p * |mean|

where t is Student's 97.5 % quantile, and then reports mean ± p. This is the fixed-width
sequential interval of Chow and Robbins (Ann. Math. Stat. 36, 1965), which refines Stein's
two-stage sample size (Ann. Math. Stat. 16, 1945). Looking after every repeat picks the moments
at which s happens to be small, so that the interval that Student's t gives at the stop is too
narrow (90 % at worst from three repeats on, for a nominal 95 %). Two things mend that: the
reported interval is as wide as what was asked, never the narrower lucky one, and the
test of s is made stricter by the constant ``CAUTION``. It was chosen by simulation: the least
multiple of 0.05 with which normal draws of every spread, from a tenth of p to six times p, with
and without a cold first repeat and with up to 100 repeats allowed, are covered at 94.5 % or
more (94.7 % at worst, near spreads of 2 p); see ``benchmarks/stopping.py`` and
``docs/statistics.md``.

A cold first repeat (caches, clocks and compilers not yet warm) would keep the interval wide for
many repeats. From four repeats on, the first is compared with the others by the prediction
interval of Student's t; where it lies outside, it is left out, and the mean that is estimated
is that of a machine already running. At ``max_repeats`` the rule stops anyway and reports the
wider interval that it has; CAUTION stays in, because not having stopped before is a selection
too.

Everything here is a pure function of the values, so that a resumed run decides the same.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

from permille.analysis import intervals
from permille.records import Estimate, Record

CAUTION = 1.25
"""Factor on Student's half-width; simulated, see the module's head."""

RATIO_CAUTION = 1.4
"""Factor on the sd of a stopped cell in a ratio; simulated, see :func:`stopped_summary`."""

COLD_CONFIDENCE = 0.95
"""Two-sided confidence at which the first repeat is told apart from the rest."""

COLD_FROM = 4
"""Repeats from which the first can be left out: three others are the fewest with a spread that
says something about the first."""

FEWEST = 3
"""Two repeats agree by chance too often: the simulated coverage falls under 94.5 %."""


class Decision(Record, frozen=True, kw_only=True):
    """What to do after the repeats so far, and what they say.

    ``needed`` is the number of repeats in all at which the present spread would do; ``None``
    where it cannot be told or exceeds what is allowed. ``estimate`` is the figure to report with
    its 95 % interval; it rests on the last ``n_used`` values, which are all of them or, where
    ``first_left_out``, all but the first. ``within``: the interval is as tight as was asked.
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
    """Whether to stop after ``values``, one figure (any one unit) a repeat, in order.

    ``precision`` is the relative half-width wanted of the 95 % interval of the mean. Call it
    after each repeat with all values so far; it gives the same answer for the same values.

    Raises:
        ValueError: no values, one that is not finite, a precision outside (0, 1), min_repeats
            under 3 or max_repeats under min_repeats.
    """
    if not 0 < precision < 1:
        raise ValueError(f"precision must lie between 0 and 1, not {precision:g}")
    if min_repeats < FEWEST:
        raise ValueError(f"min_repeats must be {FEWEST} or more, not {min_repeats}")
    if max_repeats < min_repeats:
        raise ValueError(f"max_repeats {max_repeats} is under min_repeats {min_repeats}")
    cold = _first_is_apart(values)
    n = len(values)
    k, centre, sd = intervals.summary(values[1:] if cold else values)
    wanted = precision * abs(centre)
    half = None if sd is None else _half_width(k, sd)
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


def stopped_summary(values: Sequence[float]) -> tuple[int, float, float | None]:
    """Number, mean and sd of a stopped cell's repeats, for :func:`intervals.ratio_from`.

    The first is left out where it lies apart, and the sd is the sample's times
    ``RATIO_CAUTION``: between two cells that the rule has stopped, Welch's interval without it
    holds the ratio in 87 to 96 % of cases, with it in 94.4 to 98 % (``benchmarks/ratios.py``).

    Raises:
        ValueError: no values, or one that is not finite.
    """
    n, centre, sd = intervals.summary(values[1:] if _first_is_apart(values) else values)
    return n, centre, None if sd is None else RATIO_CAUTION * sd


def _half_width(n: int, sd: float) -> float:
    return CAUTION * intervals.student_t(n - 1) * sd / math.sqrt(n)


def _first_is_apart(values: Sequence[float]) -> bool:
    """Whether the first value lies outside the prediction interval of the others."""
    if len(values) < COLD_FROM:
        return False
    k, centre, sd = intervals.summary(values[1:])
    assert sd is not None
    reach = intervals.student_t(k - 1, COLD_CONFIDENCE) * sd * math.sqrt(1 + 1 / k)
    return abs(values[0] - centre) > reach


def _estimate(centre: float, half: float | None, wanted: float) -> Estimate:
    if half is None:
        return Estimate(value=centre, low=None, high=None)
    half = max(half, wanted)
    return Estimate(value=centre, low=centre - half, high=centre + half)


def _needed(
    n: int, k: int, sd: float | None, wanted: float, min_repeats: int, max_repeats: int
) -> int | None:
    """The least number of repeats, after n of which k are used, that the spread sd asks for."""
    if sd is None:
        return None
    left_out = n - k
    candidates = range(max(n, min_repeats), max_repeats + 1)
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
        text = f"{reached} after {repeats}, ±{precision:.3g} asked"
        if stop:
            text += ": the most repeats allowed"
        elif needed is not None:
            text += f": about {needed} needed"
    return f"{text}; the first lies apart from the rest and is left out" if cold else text
