from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.analysis.steady import FEWEST, is_steady, steady_start

Shape = Callable[[float], float]
SEEDS = range(100)
LENGTHS = (10, 20, 50, 100, 400)


def run(n: int, shape: Shape, seed: int, noise: float = 0.02) -> list[float]:
    """Durations around shape(fraction of the run), with relative normal noise."""
    rng = random.Random(seed)
    return [shape(i / n) * (1 + noise * rng.gauss(0, 1)) for i in range(n)]


def starts(n: int, shape: Shape, noise: float = 0.02) -> list[int | None]:
    return [steady_start(run(n, shape, seed, noise)) for seed in SEEDS]


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("noise", [0.001, 0.02, 0.2])
def test_steady_noise_is_steady(n: int, noise: float) -> None:
    # Under 3 % falsely unsteady by simulation: of 100, 9 or more is under one in a thousand.
    assert starts(n, lambda _: 1.0, noise).count(None) <= 8


@pytest.mark.parametrize("n", LENGTHS)
def test_a_short_warm_up_is_cut_off(n: int) -> None:
    found = starts(n, lambda at: 1 + 2 * math.exp(-at * 20))
    kept = [start for start in found if start is not None]
    assert len(kept) >= 88
    # After 2.5 time constants 2 * exp(-2.5) = 16 % is left: no cut may come before that.
    assert min(kept) >= 0.1 * n
    assert sorted(kept)[len(kept) // 2] <= 0.35 * n


@pytest.mark.parametrize("n", LENGTHS)
def test_an_early_step_is_cut_off_where_it_is(n: int) -> None:
    found = starts(n, lambda at: 1.2 if at < 0.3 else 1.0)
    kept = sorted(start for start in found if start is not None)
    assert len(kept) >= 88
    assert kept[0] >= 0.3 * n - 1e-9
    assert kept[len(kept) // 2] == pytest.approx(0.3 * n)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("level", [0.8, 1.2])
def test_a_late_step_is_not_steady(n: int, level: float) -> None:
    assert set(starts(n, lambda at: 1.0 if at < 0.7 else level)) == {None}


@pytest.mark.parametrize("n", [20, 50, 100, 400])
def test_a_warm_up_as_long_as_the_run_is_not_steady(n: int) -> None:
    assert set(starts(n, lambda at: 1 + 2 * math.exp(-at))) == {None}


def test_a_slow_drift_is_seen_where_there_is_enough_to_see_it() -> None:
    assert set(starts(400, lambda at: 1 + 0.1 * at)) == {None}
    assert set(starts(400, lambda at: 1 - 0.1 * at)) == {None}
    assert starts(100, lambda at: 1 + 0.1 * at).count(None) >= 80


def test_a_change_that_does_not_matter_is_let_pass() -> None:
    assert None not in starts(400, lambda at: 1 + 0.005 * at, noise=0.001)


def test_stalls_are_not_phases() -> None:
    found = []
    for seed in SEEDS:
        values = run(100, lambda _: 1.0, seed)
        for at in random.Random(seed).sample(range(100), 2):
            values[at] *= 6
        found.append(steady_start(values))
    assert found.count(None) <= 6


def test_a_cold_first_inference() -> None:
    for seed in SEEDS[:20]:
        values = run(20, lambda _: 1.0, seed, noise=0.001)
        values[0] = 30.0
        start = steady_start(values)
        assert start is not None
        assert start >= 2  # the batch of two that holds it


def test_exactly_constant_and_all_zero() -> None:
    assert steady_start([0.25] * 40) == 0
    assert steady_start([0.1] * 1003) == 0
    assert steady_start([0.0] * 12) == 0


def test_an_alternating_series_is_steady() -> None:
    assert is_steady([1.0 + 0.1 * (i % 2) for i in range(60)])


def test_too_few_to_say() -> None:
    assert steady_start([1.0] * (FEWEST - 1)) is None
    assert steady_start([]) is None
    assert is_steady([1.0] * FEWEST)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_durations_that_cannot_be(bad: float) -> None:
    with pytest.raises(ValueError, match="duration"):
        steady_start([1.0] * 20 + [bad])


def test_the_worker_ends_a_warm_up_that_has_settled() -> None:
    """As the worker asks: after each inference, with all durations so far."""
    values = run(200, lambda at: 1 + 3 * math.exp(-at * 200 / 4), seed=1)
    stopped = next(n for n in range(1, 201) if is_steady(values[:n]))
    assert 10 < stopped < 100


@given(st.lists(st.floats(1e-6, 1e3), max_size=120))
def test_the_start_lies_in_the_first_half(durations: list[float]) -> None:
    start = steady_start(durations)
    assert (start is not None) == is_steady(durations)
    if start is not None:
        assert 0 <= start <= len(durations) / 2


@given(st.lists(st.integers(1, 1000), min_size=10, max_size=80), st.sampled_from([0.25, 8.0]))
def test_the_unit_does_not_matter(durations: list[int], factor: float) -> None:
    """Powers of two scale floats exactly, so that the answer must be the same."""
    values = [float(d) for d in durations]
    assert steady_start(values) == steady_start([factor * v for v in values])
