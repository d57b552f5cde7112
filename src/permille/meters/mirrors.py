"""Dies of one package that show one register: found by watching both. Pure.

Some kernels list the dies of an AMD package as ``package-N-die-M`` while the register is the
package's: every zone then counts the whole package (codecarbon#1274).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def is_mirror(first: Sequence[float | None], second: Sequence[float | None]) -> bool | None:
    """Whether two counters, read one just after the other many times, are one; None where
    neither has stepped meanwhile, so that nobody can tell.

    They are one where they never differ by more than the first's greatest step. The counters of
    two registers have run apart since the boot by far more than that.
    """
    looks = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    step = max((abs(b[0] - a[0]) for a, b in pairwise(looks)), default=0.0)
    if step == 0 and len({b for _, b in looks}) < 2:
        return None
    return all(abs(a - b) <= step for a, b in looks)
