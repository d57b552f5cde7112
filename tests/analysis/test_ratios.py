"""Ratios and their intervals, worked out by hand.

At 50 % confidence Student's t is 1 with one degree of freedom, and √(2/3) with two.
"""

from __future__ import annotations

import math
import sys

import pytest

from permille.analysis import intervals
from permille.records.energy import Estimate

T2 = math.sqrt(2 / 3)


def close(value: float, low: float | None, high: float | None) -> tuple[object, ...]:
    return tuple(None if end is None else pytest.approx(end) for end in (value, low, high))


def parts(estimate: Estimate) -> tuple[float | None, ...]:
    return estimate.value, estimate.low, estimate.high


# --- of two sets of trials -------------------------------------------------------------------


def test_two_sides_alike_have_the_degrees_of_freedom_of_both() -> None:
    """Each mean is uncertain by a quarter / √2: together a quarter, with two degrees of freedom."""
    found = intervals.ratio_from(2, 6.0, 1.5, 2, 2.0, 0.5, confidence=0.5)
    half = T2 * 0.25
    assert parts(found) == close(3.0, 3 * math.exp(-half), 3 * math.exp(half))


def test_one_side_without_spread_leaves_the_others_degrees_of_freedom() -> None:
    found = intervals.ratio_from(3, 6.0, 0.6, 9, 2.0, 0.0, confidence=0.5)
    half = T2 * 0.1 / math.sqrt(3)
    assert parts(found) == close(3.0, 3 * math.exp(-half), 3 * math.exp(half))


def test_unequal_sides_have_welchs_degrees_of_freedom() -> None:
    """Variances of 0.2² / 4 and 0.1² / 3 are three and one quarter of the whole: with three and two
    degrees of freedom, together 1 / (9/16 / 3 + 1/16 / 2) = 32/7."""
    from scipy import stats

    found = intervals.ratio_from(4, 1.0, 0.2, 3, 1.0, 0.1)
    half = stats.t.ppf(0.975, 32 / 7) * math.sqrt(0.01 + 0.01 / 3)
    assert parts(found) == close(1.0, math.exp(-half), math.exp(half))


def test_the_ratio_of_values_takes_their_confidence() -> None:
    from_values = intervals.ratio([1.0, 3.0], [1.0, 1.0], confidence=0.5)
    assert from_values == intervals.ratio_from(2, 2.0, math.sqrt(2), 2, 1.0, 0.0, confidence=0.5)
    assert parts(from_values) == close(2.0, 2 * math.exp(-0.5), 2 * math.exp(0.5))


@pytest.mark.parametrize(
    ("na", "sa", "nb", "sb"),
    [(1, 0.1, 3, 0.1), (3, 0.1, 1, 0.1), (3, None, 3, 0.1), (3, 0.1, 3, None), (1, None, 3, 0.1)],
)
def test_a_side_without_a_spread_leaves_no_interval(
    na: int, sa: float | None, nb: int, sb: float | None
) -> None:
    found = intervals.ratio_from(na, 6.0, sa, nb, 2.0, sb)
    assert found == Estimate(value=3.0, low=None, high=None)


@pytest.mark.parametrize("sd", [-0.1, math.nan, math.inf])
def test_a_spread_that_cannot_be_is_refused_on_either_side(sd: float) -> None:
    with pytest.raises(ValueError, match="sd"):
        intervals.ratio_from(3, 1.0, sd, 3, 1.0, 0.1)
    with pytest.raises(ValueError, match="sd"):
        intervals.ratio_from(3, 1.0, 0.1, 3, 1.0, sd)


@pytest.mark.parametrize(("ma", "mb"), [(1e300, 1e-300), (1e-300, 1e300)])
def test_a_ratio_that_no_float_holds_is_refused(ma: float, mb: float) -> None:
    with pytest.raises(ValueError, match="exceeds the range of a float"):
        intervals.ratio_from(2, ma, 0.0, 2, mb, 0.0)
    with pytest.raises(ValueError, match="exceeds the range of a float"):
        intervals.paired_ratio([ma, ma], [mb, mb])


# --- of pairs --------------------------------------------------------------------------------


def test_a_paired_ratio_is_the_geometric_mean_of_the_pairs() -> None:
    """Ratios of 2 and 8: their logarithms differ from their mean by ln 2, so sd / √2 = ln 2."""
    found = intervals.paired_ratio([2.0, 0.8], [1.0, 0.1], confidence=0.5)
    assert parts(found) == close(4.0, 2.0, 8.0)


def test_a_paired_ratio_has_one_degree_of_freedom_less_than_pairs() -> None:
    found = intervals.paired_ratio([1.0, 2.0, 4.0], [1.0, 1.0, 1.0], confidence=0.5)
    half = T2 * math.log(2) / math.sqrt(3)
    assert parts(found) == close(2.0, 2 * math.exp(-half), 2 * math.exp(half))


def test_the_intervals_of_pairs_are_of_95_percent() -> None:
    found = intervals.paired_ratio([2.0, 8.0], [1.0, 1.0])
    half = 12.7062047 * math.log(2)
    assert parts(found) == close(4.0, 4 * math.exp(-half), 4 * math.exp(half))


def test_one_pair_has_a_ratio_and_no_interval() -> None:
    assert parts(intervals.paired_ratio([1.0], [4.0])) == close(0.25, None, None)


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], []), ([1.0, 2.0], [1.0])])
def test_what_is_not_paired_is_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match=f"not {len(a)} and {len(b)} values"):
        intervals.paired_ratio(a, b)


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_pair_needs_positive_values(value: float) -> None:
    with pytest.raises(ValueError, match="a ratio needs positive values"):
        intervals.paired_ratio([1.0, value], [1.0, 1.0])
    with pytest.raises(ValueError, match="a ratio needs positive values"):
        intervals.paired_ratio([1.0, 1.0], [value, 1.0])


# --- on the scale of logarithms --------------------------------------------------------------


def test_widths_are_of_the_logarithm() -> None:
    found = intervals.on_log_scale(6.0, math.log(2), math.log(3))
    assert parts(found) == close(6.0, 3.0, 18.0)
    assert intervals.on_log_scale(6.0, 0.0, 0.0) == Estimate(value=6.0, low=6.0, high=6.0)


def test_a_width_without_bound_ends_where_floats_do() -> None:
    found = intervals.on_log_scale(6.0, math.inf, math.inf)
    assert parts(found) == close(6.0, sys.float_info.min, 6.0 * math.exp(700.0))
    large = intervals.on_log_scale(6.0e10, 1.0, math.inf)
    assert large.high == sys.float_info.max


@pytest.mark.parametrize(
    ("value", "below", "above"),
    [
        (0.0, 1.0, 1.0),
        (-1.0, 1.0, 1.0),
        (math.inf, 1.0, 1.0),
        (math.nan, 1.0, 1.0),
        (6.0, -0.1, 1.0),
        (6.0, 1.0, -0.1),
        (6.0, math.nan, 1.0),
        (6.0, 1.0, math.nan),
    ],
)
def test_what_has_no_logarithm_or_no_width_is_refused(
    value: float, below: float, above: float
) -> None:
    with pytest.raises(ValueError, match="no interval for"):
        intervals.on_log_scale(value, below, above)


def on_logs(value: float, below: float, above: float) -> Estimate:
    return Estimate(value=value, low=value * math.exp(-below), high=value * math.exp(above))


def test_a_systematic_part_adds_in_quadrature_to_each_side() -> None:
    widened = intervals.ratio_with_systematic(on_logs(4.0, 3.0, 0.6), 4.0, 0.8)
    assert parts(widened) == close(4.0, 4 * math.exp(-5), 4 * math.exp(1))


@pytest.mark.parametrize(("low", "high"), [(None, None), (None, 5.0), (3.0, None)])
def test_a_ratio_without_both_ends_is_not_widened(low: float | None, high: float | None) -> None:
    ratio = Estimate(value=4.0, low=low, high=high)
    assert intervals.ratio_with_systematic(ratio, 1.0, 1.0) == ratio


def test_independent_ratios_have_the_geometric_mean() -> None:
    """Of two, half the root of the sum of the squares on each side."""
    found = intervals.geometric_mean([on_logs(2.0, 3.0, 0.6), on_logs(8.0, 4.0, 0.8)])
    assert parts(found) == close(4.0, 4 * math.exp(-2.5), 4 * math.exp(0.5))
    three = intervals.geometric_mean([on_logs(value, 1.0, 1.0) for value in (1.0, 2.0, 4.0)])
    third = math.sqrt(3) / 3
    assert parts(three) == close(2.0, 2 * math.exp(-third), 2 * math.exp(third))


def test_what_the_ratios_share_does_not_average_out() -> None:
    """Of 5 and 13, a part of 3 and 5 is the same error in both: 4 and 12 are each one's own."""
    both = [on_logs(2.0, 5.0, 13.0), on_logs(8.0, 5.0, 13.0)]
    found = intervals.geometric_mean(both, [(3.0, 5.0), (3.0, 5.0)])
    below, above = math.sqrt(2 * 4**2 + 6**2) / 2, math.sqrt(2 * 12**2 + 10**2) / 2
    assert parts(found) == close(4.0, 4 * math.exp(-below), 4 * math.exp(above))


def test_a_shared_part_is_kept_where_an_end_was_cut_off_below_it() -> None:
    both = [on_logs(2.0, 1.0, 1.0), on_logs(8.0, 1.0, 1.0)]
    found = intervals.geometric_mean(both, [(2.0, 3.0), (2.0, 3.0)])
    assert parts(found) == close(4.0, 4 * math.exp(-2), 4 * math.exp(3))


def test_a_shared_part_is_of_every_ratio() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        intervals.geometric_mean([on_logs(2.0, 1.0, 1.0)] * 2, [(0.5, 0.5)])


def test_the_mean_of_one_ratio_is_that_ratio() -> None:
    one = on_logs(2.0, 3.0, 0.6)
    assert intervals.geometric_mean([one]) == one


@pytest.mark.parametrize(("low", "high"), [(None, None), (None, 9.0), (7.0, None)])
def test_a_ratio_without_an_interval_leaves_the_mean_without_one(
    low: float | None, high: float | None
) -> None:
    ratios = [on_logs(2.0, 3.0, 0.6), Estimate(value=8.0, low=low, high=high)]
    assert parts(intervals.geometric_mean(ratios)) == close(4.0, None, None)


def test_no_ratios_have_no_mean() -> None:
    with pytest.raises(ValueError, match="there are no ratios"):
        intervals.geometric_mean([])
