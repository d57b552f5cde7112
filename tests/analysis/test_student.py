"""The quantiles that are kept are SciPy's."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from scipy.special import stdtrit

from permille.analysis.student import AT_95, LOG_SERIES, student_t


def test_what_is_kept_is_what_scipy_computes() -> None:
    exact = [stdtrit(df, 0.975) for df in range(1, len(AT_95) + 1)]
    assert list(AT_95) == pytest.approx(exact, rel=1e-14)
    assert [student_t(df) for df in range(1, len(AT_95) + 1)] == list(AT_95)


@pytest.mark.parametrize("df", [0.5, 1.5, 100.5, 101, 1e6])
def test_others_are_computed(df: float) -> None:
    assert student_t(df) == stdtrit(df, 0.975)
    assert student_t(df, 0.99) == stdtrit(df, 0.995)


def test_the_series_is_the_interpolation_of_the_quantile() -> None:
    def log_t(u: Any) -> Any:
        return np.log([student_t(min(1e12, 2 / (x + 1))) for x in u])

    found = chebyshev.chebinterpolate(log_t, len(LOG_SERIES) - 1)
    assert list(LOG_SERIES) == pytest.approx(list(found), abs=1e-13)


def test_a_mean_of_few_values_loads_no_library() -> None:
    code = (
        "import sys; from permille.analysis import intervals; intervals.mean([1.0, 2.0, 4.0]);"
        " assert not {'numpy', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
