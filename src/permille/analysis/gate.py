"""Whether a change costs more energy than is allowed: a verdict from the ratio's interval. Pure.

A gate passes if the whole interval is at or below the limit, fails if all of it is above, and
cannot tell otherwise. Two equal versions therefore fail in at most 2.5 % of gates (one side of a
95 % interval), however noisy the machine is.
"""

from __future__ import annotations

import math
from typing import Literal

from permille.records import Record
from permille.records.energy import Estimate

Verdict = Literal["pass", "fail", "cannot-tell"]

ERROR = 0.05
"""Of all looks together, two-sided."""
FIRST_OF_TWO, SECOND_OF_TWO = 0.99, 0.96
"""The confidence of two looks, which share the error (Bonferroni's inequality): the first takes
little of it, so that the second is nearly as sharp as a single one (as Haybittle and Peto have it,
doi:10.1038/bjc.1976.220)."""
MOST_ROUNDS = 10_000
"""More rounds than this are not recommended to anybody."""


class Judgement(Record):
    """The verdict on a ratio. ``more_rounds`` would probably tell, at the spread seen so far; None
    if the gate has told, or if the ratio is so close to the limit that no number would."""

    verdict: Verdict
    more_rounds: int | None = None


def confidence_of(look: int) -> float:
    """The confidence of the ``look``-th look (from 1) where measuring goes on until a look tells.

    Looking again and again finds a difference by chance sooner or later. So the looks share the
    error: look k has 6 / (pi k)^2 of it, which adds up to all of it over any number of looks
    (Bonferroni's inequality).
    """
    return 1 - ERROR * 6 / (math.pi * look) ** 2


def judged(ratio: Estimate | None, rounds: int, max_increase: float) -> Judgement:
    """The verdict on head / base after so many rounds.

    Args:
        ratio: with its interval; None if there is no figure.
        rounds: how many rounds the interval is of.
        max_increase: the allowed increase, such as 0.05 for 5 %.
    """
    limit = 1 + max_increase
    if ratio is None or ratio.low is None or ratio.high is None:
        return Judgement(verdict="cannot-tell", more_rounds=None)
    if ratio.high <= limit:
        return Judgement(verdict="pass")
    if ratio.low > limit:
        return Judgement(verdict="fail")
    return Judgement(verdict="cannot-tell", more_rounds=_more(ratio, rounds, limit))


def _more(ratio: Estimate, rounds: int, limit: float) -> int | None:
    """How many more rounds would bring the interval to one side of the limit: its half-width
    shrinks with the square root of their number."""
    assert ratio.low is not None
    assert ratio.high is not None
    # On the log scale, where the interval of a ratio is made.
    gap = abs(math.log(limit / ratio.value))
    below = ratio.value < limit
    # Only the end between the ratio and the limit has to move.
    half = math.log(ratio.high / ratio.value if below else ratio.value / ratio.low)
    # Exactly at the limit, which no number of rounds brings the interval to one side of.
    if gap <= 0:
        return None
    needed = rounds * (half / gap) ** 2
    return None if needed > MOST_ROUNDS else max(1, math.ceil(needed) - rounds)
