"""The quantile of Student's t that intervals need, in plain Python.

Loading SciPy, or interpolating the quantile with NumPy, takes longer than what most commands do.
The tests compare both with SciPy's.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

CONFIDENCE = 0.95

# Only for the explorer's page, which evaluates the series in JavaScript and shows nothing but 95 %.
# student_t itself takes any confidence and solves for the quantile.
# fmt: off
LOG_SERIES = (
    1.5338741831655647, 0.940108009482262, 0.07414875203239352, -0.005719475081384559,
    -0.000504949530687796, 0.0001982094781423891, -1.0444575412668795e-05, -4.693300023924335e-06,
    7.679067026640525e-07, 1.235015635193067e-07, -4.732090101158059e-08, -3.5893559121792643e-09,
    5.159138749733955e-09, -1.4413957110629438e-09, 1.5374892815887639e-10, 4.3633890142215733e-11,
    -3.482384424134673e-11, 1.5854829695585064e-11, -5.844882308848832e-12, 1.6594540266937647e-12,
    -2.4756325239482713e-13, -8.425768622684883e-14, 9.260992874315802e-14, -5.395354214787364e-14,
    1.7532370550659e-14,
)
"""Chebyshev coefficients of log t(95 %, two-sided) in u = 2/df - 1, for df from 1 up: the quantile
to 1e-8."""
# fmt: on

EXPANDED_FROM = 500.0
"""Degrees of freedom from which the expansion around the normal quantile is exact to 1e-12."""
_STEPS = 60


# The cells of a study mostly have equal numbers of repeats, so that tables of thousands of cells
# ask for the same few quantiles.
@lru_cache(maxsize=4096)
def student_t(df: float, confidence: float = CONFIDENCE) -> float:
    """The two-sided quantile of Student's t: 12.706 at one degree of freedom and 95 %.

    Raises:
        ValueError: no positive degrees of freedom, or a confidence outside (0, 1).
    """
    if not df > 0:
        raise ValueError(f"degrees of freedom must be positive, not {df:g}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence:g}")
    near = _around_normal(df, confidence)
    return near if df >= EXPANDED_FROM else _solved(df, confidence, near)


def _around_normal(df: float, confidence: float) -> float:
    """Fisher's expansion in powers of 1/df (Abramowitz & Stegun 1964, 26.7.5)."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    s = z * z
    terms = (
        (s + 1) / 4,
        ((5 * s + 16) * s + 3) / 96,
        (((3 * s + 19) * s + 17) * s - 15) / 384,
        ((((79 * s + 776) * s + 1482) * s - 1920) * s - 945) / 92160,
    )
    return z * (1 + math.fsum(term / df**power for power, term in enumerate(terms, start=1)))


def _solved(df: float, confidence: float, start: float) -> float:
    """Newton's steps for the logarithm of what lies beyond t, as a function of log t: it is concave
    and falls, so that the steps converge from any start."""
    wanted = math.log1p(-confidence)
    log_t = math.log(start)
    for _ in range(_STEPS):
        t = math.exp(log_t)
        beyond = _beyond(df, t)
        # The derivative of log(beyond) by log t is -2 t density / beyond.
        step = (math.log(beyond) - wanted) * beyond / (2 * t * _density(df, t))
        log_t += max(-1.0, min(1.0, step))  # so far at most that nothing underflows
        if abs(step) < 1e-8:  # what is left is of the order of its square
            break
    return math.exp(log_t)


def _density(df: float, t: float) -> float:
    # gamma itself overflows from 172 on.
    log_scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(df * math.pi) / 2
    return math.exp(log_scale - (df + 1) / 2 * math.log1p(t * t / df))


def _beyond(df: float, t: float) -> float:
    """What share lies outside of -t and t: the regularized incomplete beta function of
    df / (df + t²), a = df / 2, b = 1/2 (DLMF 8.17)."""
    a, b = df / 2, 0.5
    x, rest = df / (df + t * t), t * t / (df + t * t)
    # x^a (1 - x)^b / B(a, b), which is t times the density.
    front = t * _density(df, t)
    # The fraction converges quickly on this side only; the other is its complement (DLMF 8.17.4).
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, rest) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for numerator in (even, odd):
            d = 1 / (1 + numerator * d)
            c = 1 + numerator / c
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value
