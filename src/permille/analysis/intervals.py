"""The 95 % intervals of means and of ratios of means, from the trials themselves.

Pure functions over floats of any single unit. Repeats are treated as independent draws (fresh
processes). A single trial has no interval from repeats: ``low`` and ``high`` are ``None``.
``benchmarks/ratios.py`` simulates the coverage of a ratio's interval with few repeats. For repeats
that a stopping rule ended, use :mod:`permille.analysis.stopping`, which widens the interval.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from permille.analysis.student import CONFIDENCE, student_t
from permille.records.energy import Estimate

LARGEST_LOG = 700.0
"""A number whose logarithm is within plus or minus this is a float: e^700 is 1.0e304."""


def mean(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Estimate:
    """The mean of ``values`` with Student's t interval (Student 1908), n - 1 degrees of freedom.

    ``low`` is not clipped at 0: net energies can be negative.

    Raises:
        ValueError: no values, one that is not finite, or a confidence outside (0, 1).
    """
    n, centre, sd = summary(values)
    return mean_from(n, centre, sd, confidence=confidence)


def mean_from(n: int, mean: float, sd: float | None, *, confidence: float = CONFIDENCE) -> Estimate:
    """Like :func:`mean`, from the number of values, their mean and their sample sd (n - 1).

    ``sd`` is ``None`` if it is unknown or there is only one value: then there is no interval.

    Raises:
        ValueError: n < 1, a figure that is not finite, a negative sd.
    """
    _check(n, mean, sd)
    if n == 1 or sd is None:
        return Estimate(value=mean, low=None, high=None)
    half = student_t(n - 1, confidence) * sd / math.sqrt(n)
    return Estimate(value=mean, low=mean - half, high=mean + half)


def ratio(a: Sequence[float], b: Sequence[float], *, confidence: float = CONFIDENCE) -> Estimate:
    """mean(a) / mean(b) of two independent sets of trials, with its interval.

    Raises:
        ValueError: an empty side, a value that is not finite, a mean that is not positive.
    """
    na, ma, sa = summary(a)
    nb, mb, sb = summary(b)
    return ratio_from(na, ma, sa, nb, mb, sb, confidence=confidence)


def ratio_from(
    na: int,
    ma: float,
    sa: float | None,
    nb: int,
    mb: float,
    sb: float | None,
    *,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Like :func:`ratio`, from each side's number, mean and sample sd.

    The interval is Welch's (1947) for the difference of the logarithms of the two means, whose
    variances follow from the delta method, so it is positive and always bounded. Fieller's (1954)
    has the same coverage within simulation error at 3 to 10 repeats, but is unbounded in up to 17 %
    of cells at 3 noisy repeats. With one repeat on either side there is no interval.

    Raises:
        ValueError: n < 1, a figure that is not finite, a negative sd, a mean that is not positive.
    """
    _check(na, ma, sa)
    _check(nb, mb, sb)
    if ma <= 0 or mb <= 0:
        raise ValueError(f"a ratio needs positive means, not {ma:g} and {mb:g}")
    value = ma / mb
    if not 0 < value < math.inf:
        raise ValueError(f"the ratio of {ma:g} to {mb:g} exceeds the range of a float")
    if na == 1 or nb == 1 or sa is None or sb is None:
        return Estimate(value=value, low=None, high=None)
    ua = (sa / ma) ** 2 / na
    ub = (sb / mb) ** 2 / nb
    # Welch's degrees of freedom would be 0 / 0.
    if ua + ub == 0:
        return Estimate(value=value, low=value, high=value)
    # By shares: the squares of small variances would underflow.
    share = ua / (ua + ub)
    df = 1 / (share**2 / (na - 1) + (1 - share) ** 2 / (nb - 1))
    half = student_t(df, confidence) * math.sqrt(ua + ub)
    return on_log_scale(value, half, half)


def paired_ratio(
    a: Sequence[float], b: Sequence[float], *, confidence: float = CONFIDENCE
) -> Estimate:
    """The ratio of a to b where ``a[i]`` and ``b[i]`` were measured together: the geometric mean of
    the ratios, with Student's interval of the mean of their logarithms. What a pair shares, such
    as a neighbour on the machine or its temperature, cancels in each. One pair: no interval.

    Raises:
        ValueError: no pair, sides of different lengths, or a value that is not positive and finite.
    """
    if len(a) != len(b) or not a:
        raise ValueError(f"a paired ratio needs pairs, not {len(a)} and {len(b)} values")
    if not all(0 < value < math.inf for value in (*a, *b)):
        raise ValueError("a ratio needs positive values")
    # Not the logarithm of x / y, which may be beyond the range of a float.
    logs = [math.log(x) - math.log(y) for x, y in zip(a, b, strict=True)]
    n, mean, sd = summary(logs)
    if abs(mean) > LARGEST_LOG:
        raise ValueError("the ratio of such pairs exceeds the range of a float")
    value = math.exp(mean)
    if sd is None:
        return Estimate(value=value, low=None, high=None)
    half = student_t(n - 1, confidence) * sd / math.sqrt(n)
    return on_log_scale(value, half, half)


def on_log_scale(value: float, below: float, above: float) -> Estimate:
    """An estimate whose logarithm may be off by ``below`` and ``above``.

    Every ratio's interval is made here: 0 < low <= value <= high for any widths, whereas
    half-widths on the linear scale could reach below 0.

    Raises:
        ValueError: a value that is not positive and finite, or a negative width.
    """
    if not 0 < value < math.inf or not (below >= 0 and above >= 0):
        raise ValueError(f"no interval for {value:g} with widths {below:g} and {above:g}")
    return Estimate(
        value=value,
        # Never 0, even where exp underflows: the logarithm of an end is taken again.
        low=min(value, max(value * math.exp(-below), sys.float_info.min)),
        # Nor infinite: JSON has no infinity, and null would read as no interval.
        high=max(value, min(value * _exp(above), sys.float_info.max)),
    )


def half_above(value: float, half: float) -> float:
    """How far above a value its interval reaches on the linear scale, by its half-width on the
    logarithmic one."""
    estimate = on_log_scale(value, half, half)
    assert estimate.high is not None
    return estimate.high - value


def ratio_with_systematic(ratio: Estimate, below: float, above: float) -> Estimate:
    """Widen ``ratio`` by uncertainty that repeats cannot show: its logarithm may be off by
    ``below`` and ``above`` (k = 2). Each side is the root of the sum of squares on the log scale,
    where multiplicative errors add up (GUM, JCGM 100:2008, 5.1.6). Without an interval the ratio is
    returned unchanged.

    Raises:
        ValueError: see :func:`on_log_scale`.
    """
    if ratio.low is None or ratio.high is None:
        return ratio
    return on_log_scale(
        ratio.value,
        math.hypot(math.log(ratio.value) - math.log(ratio.low), below),
        math.hypot(math.log(ratio.high) - math.log(ratio.value), above),
    )


def geometric_mean(
    ratios: Sequence[Estimate],
    shared: Sequence[tuple[float, float]] = (),
    own: float | None = None,
) -> Estimate:
    """The geometric mean of ratios; their logarithmic half-widths combine in quadrature. There is
    no interval if one of them has none.

    ``shared`` is the part of each ratio's half-widths, below and above, that is one error common to
    all of them: these parts are averaged instead. ``own`` is the half-width of the mean from the
    other parts, where these are not independent; without it, they are.

    Raises:
        ValueError: there are none, one is not positive, or ``shared`` is of another number of them.
    """
    k = len(ratios)
    if k == 0:
        raise ValueError("there are no ratios to average")
    # As it is: the mean of several would lose its sessions and its rerun interval.
    if k == 1:
        return ratios[0]
    value = math.exp(math.fsum(math.log(r.value) for r in ratios) / k)
    if any(r.low is None or r.high is None for r in ratios):
        return Estimate(value=value, low=None, high=None)
    common = shared or [(0.0, 0.0)] * k
    apart = [own_halves(ratio, part) for ratio, part in zip(ratios, common, strict=True)]
    below, above = (
        math.hypot(*(halves[side] for halves in apart)) / k if own is None else own
        for side in (0, 1)
    )
    return on_log_scale(
        value,
        math.hypot(below, math.fsum(part for part, _ in common) / k),
        math.hypot(above, math.fsum(part for _, part in common) / k),
    )


def own_halves(ratio: Estimate, shared: tuple[float, float]) -> tuple[float, float]:
    """The logarithmic half-widths of a ratio with an interval, without the ``shared`` part."""
    assert ratio.low is not None
    assert ratio.high is not None
    at = math.log(ratio.value)
    below, above = at - math.log(ratio.low), math.log(ratio.high) - at
    # A half-width is the root of the sum of squares of its two parts (ratio_with_systematic), so
    # that the difference of squares gives the other part. It is below 0 by rounding, and where an
    # end was cut off at the range of a float.
    return (
        math.sqrt(max(0.0, below**2 - shared[0] ** 2)),
        math.sqrt(max(0.0, above**2 - shared[1] ** 2)),
    )


def with_systematic(estimate: Estimate, low: float, high: float) -> Estimate:
    """Widen ``estimate`` by a relative uncertainty that repeats cannot show.

    ``low`` and ``high`` are relative and cover k = 2, like ``Domain.accuracy_low`` and ``_high``:
    the truth is between ``(1 - low)`` and ``(1 + high)`` times the figure. Each side is the root of
    the sum of squares of the half-width from repeats and of the systematic part (GUM, JCGM
    100:2008, 5.1.2). Without an interval from repeats the estimate is returned unchanged; see
    :func:`systematic_only`.

    Raises:
        ValueError: ``low`` or ``high`` is negative or not finite.
    """
    value, least, most = estimate.value, estimate.low, estimate.high
    if least is None or most is None:
        _check_relative(low, high)
        return estimate
    lowest, highest = _systematic(value, low, high)
    return Estimate(
        value=value,
        low=value - math.hypot(value - least, value - lowest),
        high=value + math.hypot(most - value, highest - value),
    )


def systematic_only(value: float, low: float, high: float) -> Estimate:
    """The interval of ``value`` from only a relative systematic uncertainty (k = 2).

    Raises:
        ValueError: a figure that is not finite, or ``low`` or ``high`` negative.
    """
    lowest, highest = _systematic(value, low, high)
    return Estimate(value=value, low=lowest, high=highest)


def _systematic(value: float, low: float, high: float) -> tuple[float, float]:
    _check_relative(low, high)
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    # Where a meter reads too little, a negative net energy is further from 0 than it seems, so that
    # the accuracy above widens the lower end.
    below, above = (low, high) if value >= 0 else (high, low)
    return value - below * abs(value), value + above * abs(value)


def not_negative(estimate: Estimate) -> Estimate:
    """Clip the lower end of ``estimate`` at 0, for a quantity that cannot be negative.

    Removing impossible values does not reduce the coverage. Not for net energies.

    Raises:
        ValueError: the value itself is negative.
    """
    if estimate.value < 0:
        raise ValueError(f"{estimate.value:g} is negative")
    if estimate.low is None or estimate.low >= 0:
        return estimate
    return Estimate(value=estimate.value, low=0.0, high=estimate.high)


def summary(values: Sequence[float]) -> tuple[int, float, float | None]:
    """Number, mean and sample sd (n - 1; ``None`` for one value) of ``values``.

    Identical values have an sd of exactly 0.

    Raises:
        ValueError: no values, or one that is not finite.
    """
    n = len(values)
    if n == 0:
        raise ValueError("there are no values to average")
    if not all(map(math.isfinite, values)):
        raise ValueError("a value is not a finite number (missing values must be left out)")
    first = values[0]
    if n == 1:
        return 1, float(first), None
    # Their mean may be rounded, and would then give equal values a spread.
    if values.count(first) == n:
        return n, float(first), 0.0
    centre = math.fsum(values) / n
    squares = math.fsum([(value - centre) ** 2 for value in values])
    return n, centre, math.sqrt(squares / (n - 1))


def _exp(x: float) -> float:
    return math.exp(min(x, LARGEST_LOG))


def _check(n: int, mean: float, sd: float | None) -> None:
    if n < 1:
        raise ValueError(f"the number of values must be positive, not {n}")
    if not math.isfinite(mean) or (sd is not None and not 0 <= sd < math.inf):
        raise ValueError(f"mean {mean} and sd {sd} must be finite, and the sd not negative")


def _check_relative(low: float, high: float) -> None:
    if not (0 <= low < math.inf and 0 <= high < math.inf):
        raise ValueError(f"relative uncertainties must be 0 or more, not {low} and {high}")
