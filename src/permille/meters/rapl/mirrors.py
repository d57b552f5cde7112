"""Zones that show one register: found by watching both. Pure.

Some kernels list the dies of an AMD package as ``package-N-die-M`` while the register is the
package's: every zone then counts the whole package (codecarbon#1274).
Platform (psys) zones of two sockets may likewise show the one register of the board.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def is_mirror(
    first: Sequence[float | None], second: Sequence[float | None], wrap_j: float
) -> bool | None:
    """Whether two counters (joules, wrapping at ``wrap_j``), read one just after the other many
    times, are one; None where neither has stepped meanwhile, so that nobody can tell.

    They are one where they never differ by more than the greatest step of either: whoever reads
    them may be held up between the two, and then the second has stepped once by as much. The
    counters of two registers have run apart since the boot by far more than that.
    """
    looks = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    step = max(
        (_apart(x, y, wrap_j) for a, b in pairwise(looks) for x, y in zip(a, b, strict=True)),
        default=0.0,
    )
    if step == 0:
        return None
    return all(_apart(a, b, wrap_j) <= step for a, b in looks)


def _apart(a: float, b: float, wrap_j: float) -> float:
    """How far two values of a counter lie apart, the shorter way round."""
    return min(abs(a - b), wrap_j - abs(a - b))
