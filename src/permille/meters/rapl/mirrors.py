"""Detect zones that show the same register by watching both. Pure.

Some kernels list the dies of an AMD package as ``package-N-die-M`` while the register is the
package's: every zone then counts the whole package (codecarbon#1274).
Platform (psys) zones of two sockets may likewise show the one register of the board.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise


def is_mirror(
    first: Sequence[float | None], second: Sequence[float | None], wrap_j: float
) -> bool | None:
    """Whether two counters (joules, wrapping at ``wrap_j``), read in turn many times, are the same;
    None if neither has stepped in that time, so that it is unknown.

    They are the same if they are equal in most looks and never differ by more than the largest step
    of either: the reader may be delayed between the two, and then the second has stepped once more.
    A reader that is descheduled for long sees large steps, so the steps alone do not tell apart two
    registers that differ by little.
    """
    looks = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    step = max(
        (_apart(x, y, wrap_j) for a, b in pairwise(looks) for x, y in zip(a, b, strict=True)),
        default=0.0,
    )
    if step == 0:
        return None
    apart = [_apart(a, b, wrap_j) for a, b in looks]
    return statistics.median(apart) == 0 and max(apart) <= step


def _apart(a: float, b: float, wrap_j: float) -> float:
    """The distance of two values of a wrapping counter, the shorter way round."""
    return min(abs(a - b), wrap_j - abs(a - b))
