from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.analysis.regression import Point, at_equal_size


def points(
    general: list[int], specific: list[int], *, slope: float = 0.5, ratio: float = 3.0
) -> list[Point]:
    """Models on an exact power law, the general-purpose ones ``ratio`` times above it."""
    return [
        Point(
            model=f"{i}",
            params=params,
            log_energy=slope * math.log(params) + (math.log(ratio) if is_general else 0.0),
            general=is_general,
        )
        for i, (params, is_general) in enumerate(
            [(p, True) for p in general] + [(p, False) for p in specific]
        )
    ]


SIZES = [10**7, 3 * 10**7, 10**8, 3 * 10**8]


@given(st.floats(-1, 2), st.floats(0.05, 50))
def test_an_exact_law_is_found_exactly(slope: float, ratio: float) -> None:
    found = at_equal_size(points(SIZES, SIZES, slope=slope, ratio=ratio))
    assert found.value == pytest.approx(ratio, rel=1e-6)
    assert found.slope == pytest.approx(slope, abs=1e-6)
    assert found.low == pytest.approx(ratio, rel=1e-5)
    assert found.overlap_warning is None


def test_noise_widens_the_interval_around_the_value() -> None:
    exact = points(SIZES, SIZES)
    noisy = [
        Point(
            model=p.model,
            params=p.params,
            log_energy=p.log_energy + (0.3 if i % 2 else -0.3),
            general=p.general,
        )
        for i, p in enumerate(exact)
    ]
    found = at_equal_size(noisy)
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    assert found.high / found.low > 1.5


def test_sizes_that_do_not_overlap_are_warned_of() -> None:
    found = at_equal_size(points([10**10, 2 * 10**10, 3 * 10**10], [10**7, 2 * 10**7, 3 * 10**7]))
    assert found.value == pytest.approx(3)
    assert "no overlap" in str(found.overlap_warning)
    assert "10.0B to 30.0B" in str(found.overlap_warning)


def test_a_little_overlap_is_warned_of_with_its_models() -> None:
    found = at_equal_size(points([10**8, 10**9, 10**10], [10**7, 3 * 10**7, 2 * 10**8]))
    assert "1 general-purpose and 1 task-specific" in str(found.overlap_warning)


@pytest.mark.parametrize(
    ("general", "specific", "reason"),
    [
        ([], SIZES, "one category"),
        (SIZES, [], "one category"),
        ([10**7, 10**8], [10**7, 10**8], "too few"),
        ([10**7] * 4, [10**7] * 4, "same size"),
        ([10**8] * 4, [10**7] * 4, "collinear"),
        ([10**8], SIZES * 2, "collinear"),
    ],
)
def test_what_cannot_be_told_has_a_reason(
    general: list[int], specific: list[int], reason: str
) -> None:
    found = at_equal_size(points(general, specific))
    assert (found.value, found.low, found.high) == (None, None, None)
    assert reason in str(found.reason)
