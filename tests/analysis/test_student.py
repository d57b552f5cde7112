"""The quantile of Student's t beside SciPy's, and beside what can be written down."""

from __future__ import annotations

import math
import subprocess
import sys
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import chebyshev

from permille.analysis import student
from permille.analysis.student import EXPANDED_FROM, LOG_SERIES, student_t

CONFIDENCES = st.sampled_from([0.9, 0.95, 0.99]) | st.floats(0.01, 0.9999)


@given(st.floats(0.5, 2 * EXPANDED_FROM) | st.floats(0.5, 1e12), CONFIDENCES)
def test_it_is_scipys(df: float, confidence: float) -> None:
    from scipy.special import stdtrit

    expected = float(stdtrit(df, (1 + confidence) / 2))
    assert student_t(df, confidence) == pytest.approx(expected, rel=1e-11)


@given(st.floats(0.0001, 0.9999))
def test_one_and_two_degrees_of_freedom_have_a_formula(confidence: float) -> None:
    one = math.tan(math.pi * confidence / 2)
    two = confidence * math.sqrt(2 / (1 - confidence**2))
    assert student_t(1, confidence) == pytest.approx(one, rel=1e-11)
    assert student_t(2, confidence) == pytest.approx(two, rel=1e-11)


@given(CONFIDENCES)
def test_the_two_ways_meet(confidence: float) -> None:
    below = student_t(math.nextafter(EXPANDED_FROM, 0), confidence)
    assert below == pytest.approx(student_t(EXPANDED_FROM, confidence), rel=1e-11)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.9999])
def test_the_expansion_is_that_of_abramowitz_and_stegun(confidence: float) -> None:
    """26.7.5 as it is printed; at one degree of freedom every term has its full weight."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    printed = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    assert student._around_normal(1.0, confidence) == pytest.approx(sum(printed), rel=1e-12)


@pytest.mark.parametrize(("df", "confidence"), [(0, 0.95), (-1, 0.95), (math.nan, 0.95), (3, 1.0)])
def test_what_has_no_quantile_is_refused(df: float, confidence: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        student_t(df, confidence)


def test_the_series_is_the_interpolation_of_the_quantile() -> None:
    def log_t(u: Any) -> Any:
        return np.log([student_t(min(1e12, 2 / (x + 1))) for x in u])

    found = chebyshev.chebinterpolate(log_t, len(LOG_SERIES) - 1)
    assert list(LOG_SERIES) == pytest.approx(list(found), abs=1e-13)


def test_an_interval_needs_no_scipy() -> None:
    script = (
        "import sys; from permille.analysis.intervals import mean, ratio; mean([1.0, 2.0]);"
        "ratio([1.0, 2.0, 4.0], [3.0, 5.0]);"
        "print([m for m in ('scipy', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
