"""The energy ratio of general-purpose to task-specific models at equal numbers of parameters.

Ordinary least squares of log energy on log parameters and category:

    ln E = a + b ln P + c [general-purpose]

with one point per model: the mean of its log energies over the datasets of the task. Cells of one
model share its peculiarities, so the model is the unit of variation (in a balanced design this is
equivalent to clustering by model). The ratio at equal size is exp(c). Its 95 % interval uses the
HC3 covariance (MacKinnon and White 1985; recommended for few points by Long and Ervin 2000) and
Student's t with n - 3 degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from permille.analysis.student import student_t
from permille.records import Record

MIN_DF = 3
"""The fewest degrees of freedom for an interval."""
MIN_OVERLAP = 3
"""The fewest models of each category in the size range that both categories share."""


class Point(Record):
    """A model: its parameters and its mean log energy (in any common unit)."""

    model: str
    params: int
    log_energy: float
    general: bool


class EqualSize(Record):
    """The ratio at equal size. ``value`` is None if it is unknown; ``reason`` says why. Only
    ``high`` is None if the upper end exceeds the range of a float. ``overlap_warning`` says that
    the sizes hardly overlap, so that the line is extrapolated."""

    value: float | None
    low: float | None
    high: float | None
    overlap_warning: str | None
    slope: float | None = None
    models: int = 0
    reason: str | None = None


def at_equal_size(points: Sequence[Point]) -> EqualSize:
    """The ratio general-purpose over task-specific at an equal parameter count."""
    general = [p for p in points if p.general]
    specific = [p for p in points if not p.general]
    n = len(points)
    if not general or not specific:
        return _none(n, "there are models of one category only")
    if n - 3 < MIN_DF:
        return _none(n, f"{n} models are too few for a line and an interval")
    if len({p.params for p in points}) < 2:
        return _none(n, "all models have the same size")
    fitted = _fit(points)
    if fitted is None:
        return _none(n, "size and category are collinear")
    slope, shift, error = fitted
    half = student_t(n - 3) * error
    return EqualSize(
        value=_exp(shift),
        low=_exp(shift - half),
        high=_exp(shift + half),
        overlap_warning=overlap_warning(general, specific),
        slope=slope,
        models=n,
    )


def _exp(x: float) -> float | None:
    return math.exp(x) if x < 700 else None  # beyond the range of a float: there is no upper bound


def _none(models: int, reason: str) -> EqualSize:
    return EqualSize(
        value=None, low=None, high=None, overlap_warning=None, models=models, reason=reason
    )


def _fit(points: Sequence[Point]) -> tuple[float, float, float] | None:
    """The slope, the category's shift and its HC3 standard error; None if degenerate."""
    import numpy as np

    x = np.array([[1.0, math.log(p.params), float(p.general)] for p in points])
    y = np.array([p.log_energy for p in points])
    x[:, 1] -= x[:, 1].mean()  # centring keeps the slope and the shift, and improves the numerics
    if np.linalg.matrix_rank(x) < 3:
        return None
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ x.T @ y
    leverage = np.einsum("ij,jk,ik->i", x, inverse, x)
    if np.any(leverage > 1 - 1e-9):
        return None  # one point determines a coefficient: HC3 is undefined
    residual = (y - x @ beta) / (1 - leverage)
    covariance = inverse @ (x.T * residual**2) @ x @ inverse
    return float(beta[1]), float(beta[2]), math.sqrt(float(covariance[2, 2]))


def overlap_warning(general: Sequence[Point], specific: Sequence[Point]) -> str | None:
    """A warning if the ratio relies on extrapolation, or None if enough sizes overlap."""
    sizes = [[p.params for p in group] for group in (general, specific)]
    low, high = max(map(min, sizes)), min(map(max, sizes))
    if low > high:
        return (
            f"no overlap: general-purpose models have {_size(min(sizes[0]))} to"
            f" {_size(max(sizes[0]))}, task-specific ones {_size(min(sizes[1]))} to"
            f" {_size(max(sizes[1]))}; the line is extrapolated"
        )
    inside = [sum(low <= params <= high for params in group) for group in sizes]
    if min(inside) >= MIN_OVERLAP:
        return None
    return (
        f"little overlap: between {_size(low)} and {_size(high)} there are {inside[0]}"
        f" general-purpose and {inside[1]} task-specific models; beyond that the line is"
        " extrapolated"
    )


def _size(params: int) -> str:
    return f"{params / 1e9:.1f}B" if params >= 1e9 else f"{params / 1e6:.0f}M"
