from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.analysis import intervals
from permille.analysis.student import student_t
from permille.records.energy import Estimate

ENERGIES = st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=12)
RELATIVE = st.floats(0, 0.9)


def ends(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def test_mean_is_students_interval() -> None:
    # t(2, 0.975) = 4.302653 (any table); sd 1, so half-width 4.302653 / sqrt(3).
    found = intervals.mean([1.0, 2.0, 3.0])
    low, high = ends(found)
    assert found.value == 2.0
    assert high - 2.0 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert 2.0 - low == pytest.approx(high - 2.0)


def test_confidence_is_heeded() -> None:
    assert student_t(1) == pytest.approx(12.7062, rel=1e-5)
    assert student_t(10, 0.99) == pytest.approx(3.16927, rel=1e-5)
    wide, narrow = (ends(intervals.mean([1, 2, 4.0], confidence=c)) for c in (0.99, 0.5))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_one_value_has_no_interval() -> None:
    assert intervals.mean([3.5]) == Estimate(value=3.5, low=None, high=None)
    assert intervals.mean_from(4, 3.5, None).low is None
    assert intervals.ratio([3.0], [1.0, 2.0]).high is None
    assert intervals.ratio([3.0, 4.0], [1.5]).low is None


def test_a_single_values_spread_is_unknown_and_not_0() -> None:
    assert intervals.summary([3.5]) == (1, 3.5, None)
    assert intervals.summary([3.5, 3.5]) == (2, 3.5, 0.0)
    assert intervals.summary([3.0, 5.0]) == (2, 4.0, math.sqrt(2))


def test_identical_values_have_no_spread() -> None:
    # 0.1 * 3 / 3 is not 0.1 in floats: the sd must still be exactly 0.
    assert ends(intervals.mean([0.1] * 3)) == (0.1, 0.1)
    assert ends(intervals.ratio([0.3] * 3, [0.1] * 4)) == (0.3 / 0.1, 0.3 / 0.1)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf, 1.0]])
def test_values_that_are_none(values: list[float]) -> None:
    with pytest.raises(ValueError, match="value"):
        intervals.mean(values)
    with pytest.raises(ValueError, match="value"):
        intervals.ratio([1.0, 2.0], values)


@pytest.mark.parametrize(
    ("n", "mean", "sd"),
    [(0, 1.0, 1.0), (3, math.nan, 1.0), (3, math.inf, 1.0), (3, 1.0, -1.0), (3, 1.0, math.inf)],
)
def test_summaries_that_cannot_be(n: int, mean: float, sd: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        intervals.mean_from(n, mean, sd)
    with pytest.raises(ValueError, match="must be"):
        intervals.ratio_from(3, 1.0, 0.1, n, mean, sd)


@pytest.mark.parametrize("a", [[0.0, 0.0], [-1.0, 0.5]])
def test_a_ratio_needs_positive_means(a: list[float]) -> None:
    with pytest.raises(ValueError, match="positive means"):
        intervals.ratio(a, [1.0, 2.0])
    with pytest.raises(ValueError, match="positive means"):
        intervals.ratio([1.0, 2.0], a)


@pytest.mark.parametrize("confidence", [95, 1.0, 1.5, 0.0, -0.5, math.nan])
def test_a_confidence_outside_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        intervals.mean([1.0, 2.0], confidence=confidence)


@given(ENERGIES, ENERGIES)
def test_a_ratio_is_positive_and_inverts(a: list[float], b: list[float]) -> None:
    there, back = intervals.ratio(a, b), intervals.ratio(b, a)
    low, high = ends(there)
    assert 0 < low <= there.value <= high < math.inf
    assert ends(back) == pytest.approx((1 / high, 1 / low), rel=1e-9)


@given(ENERGIES, st.floats(1e-3, 1e3))
def test_a_mean_scales_with_its_unit(values: list[float], factor: float) -> None:
    found = ends(intervals.mean([factor * v for v in values]))
    size = factor * max(values)
    for scaled, end in zip(found, ends(intervals.mean(values)), strict=True):
        assert scaled == pytest.approx(factor * end, rel=1e-9, abs=1e-6 * size)


def test_the_ratio_of_quiet_sides_is_welchs() -> None:
    # At small spreads log(a/b) is (a - b)/b: compare with scipy's own Welch interval.
    from scipy import stats

    a, b = [1000.0, 1001.0, 1003.0, 999.0], [1000.5, 1000.0, 1002.0]
    reference = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    low, high = ends(intervals.ratio(a, b))
    centre = sum(b) / 3
    assert (low - 1) * centre == pytest.approx(reference.low, rel=5e-3)
    assert (high - 1) * centre == pytest.approx(reference.high, rel=5e-3)


def test_the_interval_of_a_ratio_covers() -> None:
    """Three and five repeats of 10 % and 3 %: 95 % nominal; 0.6 % is 3 binomial errors."""
    rng = np.random.default_rng(4)
    hits, cells = 0, 4000
    for _ in range(cells):
        a = 2 * (1 + 0.10 * rng.standard_normal(3))
        b = 1 + 0.03 * rng.standard_normal(5)
        low, high = ends(intervals.ratio(a.tolist(), b.tolist()))
        hits += low <= 2 <= high
    assert 0.93 < hits / cells < 0.97


def test_systematic_parts_add_in_quadrature_on_each_side() -> None:
    widened = intervals.with_systematic(Estimate(value=100.0, low=97.0, high=103.0), 0.04, 0.6)
    low, high = ends(widened)
    assert widened.value == 100.0
    assert low == pytest.approx(95.0)
    assert high == pytest.approx(100 + math.hypot(3, 60))


def test_no_interval_stays_none_but_the_meters_alone_can_be_asked_for() -> None:
    for low, high in ((None, None), (9.0, None), (None, 11.0)):
        single = Estimate(value=10.0, low=low, high=high)
        assert intervals.with_systematic(single, 0.1, 0.2) == single
    alone = intervals.systematic_only(10.0, 0.1, 0.2)
    assert (alone.value, *ends(alone)) == pytest.approx((10.0, 9.0, 12.0))


def test_a_negative_net_energy_keeps_its_sides() -> None:
    # True energy between (1 - 0.1) and (1 + 0.2) times -10.
    assert ends(intervals.systematic_only(-10.0, 0.1, 0.2)) == pytest.approx((-12.0, -9.0))
    assert ends(intervals.systematic_only(0.5, 0.1, 0.2)) == pytest.approx((0.45, 0.6))
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not a finite number"):
            intervals.systematic_only(value, 0.1, 0.2)


@pytest.mark.parametrize(
    ("low", "high"), [(-0.1, 0.1), (0.1, -0.1), (0.1, math.nan), (math.inf, 0.1), (0.1, math.inf)]
)
def test_systematics_that_cannot_be(low: float, high: float) -> None:
    for estimate in (intervals.mean([1.0, 2.0]), intervals.mean([1.0])):
        with pytest.raises(ValueError, match="relative uncertainties"):
            intervals.with_systematic(estimate, low, high)


@given(ENERGIES, RELATIVE, RELATIVE)
def test_widening_never_narrows(values: list[float], low: float, high: float) -> None:
    before = intervals.mean(values)
    after = ends(intervals.with_systematic(before, low, high))
    slack = 1e-9 * max(values)
    assert after[0] <= ends(before)[0] + slack
    assert after[1] >= ends(before)[1] - slack


@pytest.mark.parametrize(
    ("value", "low", "clipped"),
    [(5.0, -1.0, 0.0), (5.0, 0.0, 0.0), (5.0, 0.5, 0.5), (5.0, None, None), (0.0, -1.0, 0.0)],
)
def test_what_cannot_be_negative_has_no_negative_end(
    value: float, low: float | None, clipped: float | None
) -> None:
    found = intervals.not_negative(Estimate(value=value, low=low, high=9.0))
    assert found == Estimate(value=value, low=clipped, high=9.0)


def test_a_negative_value_of_what_cannot_be_negative_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        intervals.not_negative(Estimate(value=-0.5, low=None, high=None))


def test_importing_loads_neither_numpy_nor_scipy() -> None:
    code = (
        "import sys, permille.analysis.intervals, permille.analysis.stopping,"
        " permille.analysis.steady; sys.exit('numpy' in sys.modules or 'scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
