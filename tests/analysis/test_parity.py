from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from permille.analysis.estimates import Interval
from permille.analysis.paper import published
from permille.analysis.parity import (
    inferences,
    kwh_per_inference,
    mean_of_cells,
    row,
    study_rows,
)
from permille.analysis.study_cells import from_trials, sums
from permille.analysis.trial_sums import Sums
from permille.errors import CompareError
from permille.records.energy import Estimate
from permille.records.trial import Stopping
from tests.records import cell, trial


def test_the_four_models_of_the_study() -> None:
    rows = study_rows(published.load().cells, "node")
    assert [r.model for r in rows] == [
        "bigscience/bloomz-7b1",
        "bigscience/bloomz-3b",
        "bigscience/bloomz-1b7",
        "bigscience/bloomz-560m",
    ]
    smallest = rows[-1]
    assert (smallest.training_kwh, smallest.finetuning_kwh) == (10_505, 543)
    assert smallest.kwh_per_inference == pytest.approx(5.427e-5, rel=1e-4)
    assert smallest.inferences.value == pytest.approx(203_576_501, abs=1)
    for r in rows:
        found = r.inferences
        assert found.low is not None
        assert found.value is not None
        assert found.high is not None
        assert found.low < found.value < found.high
        assert found.high / found.low > 2  # the meter's uncertainty is most of it
    assert [r.published_inferences for r in rows] == [
        592_570_000, 395_602_740, 292_467_741, 204_592_592,
    ]  # fmt: skip


def of_sessions(drift: dict[str, float], dataset: str, energy_j: float) -> Sums:
    """A cell of one block in each session, whose energy the session changes by a factor."""
    of = cell("m", dataset=dataset, id=dataset)
    trials = [
        trial(energy_j * factor, model="m", repeat=i, cell=of, session=name, block=i)
        for i, (name, factor) in enumerate(drift.items())
    ]
    (found,) = from_trials(trials).cells
    energy = found.energy("compute")
    assert energy is not None
    return energy


def test_what_a_session_changes_in_every_cell_does_not_average_out() -> None:
    drift, other = ({f"{s}{i}": f for i, f in enumerate((1.0, 1.2, 0.9))} for s in "ab")
    one = mean_of_cells([of_sessions(drift, "x", 40.0)])
    same = mean_of_cells([of_sessions(drift, name, 40.0) for name in "xyz"])
    apart = mean_of_cells([of_sessions(drift, "x", 40.0), of_sessions(other, "y", 40.0)])
    partly = mean_of_cells(
        [of_sessions(drift, "x", 40.0), of_sessions(other | {"a0": 1.0}, "y", 40.0)]
    )
    assert one.high is not None
    assert (same.value, same.high) == pytest.approx((one.value, one.high))
    assert apart.high is not None
    assert apart.high - apart.value == pytest.approx((one.high - one.value) / math.sqrt(2))
    assert partly.high is not None
    assert partly.high - partly.value > (one.high - one.value) / math.sqrt(2)


def test_a_cell_of_one_session_may_lie_as_far_off_as_one_session_of_the_others() -> None:
    """Relative to its energy, which is another one."""
    several = of_sessions({"a0": 1.0, "a1": 1.2, "a2": 0.9}, "x", 40.0)
    session = of_sessions({"b0": 1.0}, "y", 400.0)
    one = replace(session, n=2, sd=session.mean / 100)
    found, alone, over = mean_of_cells([several, one]), one.spread(), several.spread()
    assert found.high is not None
    assert alone.high is not None
    assert over.high is not None
    shift = (over.high / over.value - 1) * math.sqrt(3) * one.mean
    halves = (alone.high - alone.value, over.high - over.value, shift)
    assert found.high - found.value == pytest.approx(math.hypot(*halves) / 2, rel=0.01)


def test_stopped_cells_of_the_same_sessions_are_not_independent() -> None:
    """A stopping rule's interval is over trials, and the sessions change all cells alike."""
    drift = {f"s{i}": f for i, f in enumerate((1.0, 1.2, 0.9))}
    rule = Stopping(precision=0.05, max_repeats=10)

    def half(*cells: Sums) -> float:
        found = mean_of_cells(cells)
        assert found.high is not None
        return found.high - found.value

    def stopped(drift: dict[str, float], name: str) -> Sums:
        return replace(of_sessions(drift, name, 40.0), asked=rule)

    one = half(stopped(drift, "x"))
    assert half(*(stopped(drift, name) for name in "xyz")) == pytest.approx(one)
    other = {f"t{i}": f for i, f in enumerate(drift.values())}
    apart = half(stopped(drift, "x"), stopped(other, "y"))
    assert apart == pytest.approx(one / math.sqrt(2))
    # One cell over sessions, one over trials of the same sessions.
    free = of_sessions(drift, "y", 40.0)
    assert half(stopped(drift, "x"), free) == pytest.approx((one + half(free)) / 2)


def test_a_narrower_boundary_makes_for_later_parity() -> None:
    cells = published.load().cells
    node = study_rows(cells, "node", model="bigscience/bloomz-3b")[0]
    gpu = study_rows(cells, "accelerator", model="bigscience/bloomz-3b")[0]
    facility = study_rows(cells, "facility", 1.5, model="bigscience/bloomz-3b")[0]
    assert gpu.inferences.value is not None
    assert node.inferences.value is not None
    assert gpu.inferences.value > 2 * node.inferences.value
    assert facility.inferences.value == pytest.approx(node.inferences.value / 1.5)


def ends(interval: Interval) -> dict[str, float | None]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def test_days_at_a_traffic() -> None:
    per_inference = Estimate(value=1e-4, low=0.8e-4, high=1.25e-4)
    found = row(
        "m", training_kwh=100.0, finetuning_kwh=None, per_inference=per_inference, per_day=1000.0
    )
    assert ends(found.inferences) == pytest.approx({"value": 1e6, "low": 8e5, "high": 1.25e6})
    assert found.days is not None
    assert ends(found.days) == pytest.approx({"value": 1000, "low": 800, "high": 1250})
    with_tuning = row("m", training_kwh=100.0, finetuning_kwh=50.0, per_inference=per_inference)
    assert with_tuning.inferences.value == pytest.approx(1.5e6)
    assert with_tuning.days is None


@given(st.floats(1, 1e9), st.floats(1e-9, 1e3), st.floats(0, 2))
def test_the_ends_of_the_interval_swap(spent: float, kwh: float, width: float) -> None:
    found = inferences(spent, Estimate(value=kwh, low=kwh * (1 - width), high=kwh * (1 + width)))
    assert found.low is not None
    assert found.low <= found.value * (1 + 1e-9)
    if width < 1:
        assert found.high is not None
        assert found.value <= found.high * (1 + 1e-9)
    else:
        assert found.high is None


@pytest.mark.parametrize("kwh", [0.0, -1.0, float("nan")])
def test_an_energy_that_is_not_above_0_is_refused(kwh: float) -> None:
    with pytest.raises(CompareError, match="above 0"):
        inferences(1.0, Estimate(value=kwh, low=None, high=None))


def test_an_energy_too_small_to_count_with_is_refused() -> None:
    with pytest.raises(CompareError, match="too small"):
        inferences(1e6, Estimate(value=1e-320, low=None, high=None))


def test_an_end_that_is_too_small_to_count_with_is_none() -> None:
    found = inferences(1e6, Estimate(value=1e-6, low=1e-320, high=1e-5))
    assert found.low == pytest.approx(1e11)
    assert found.high is None


def test_the_interval_of_one_cell_is_students() -> None:
    from permille.analysis.intervals import mean

    values = [5.0, 6.0, 4.0, 8.0]
    found, expected = mean_of_cells([sums(values)]), mean(values)
    assert (found.value, found.low, found.high) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )


def test_the_interval_of_one_cell_is_the_one_that_results_prints() -> None:
    (cell, *_) = published.load().cells
    energy = cell.energy("node")
    assert energy is not None
    assert mean_of_cells([energy]) == energy.estimate()


def test_the_meters_error_is_common_to_all_cells_and_the_spread_is_not() -> None:
    def of(low: float) -> Sums:
        return Sums(n=3, mean=10.0, sd=1.0, low=low, high=low)

    def half(cells: list[Sums]) -> float:
        found = mean_of_cells(cells)
        assert found.high is not None
        return found.high - found.value

    assert half([of(0.0)] * 4) == pytest.approx(half([of(0.0)]) / 2)
    spread = half([of(0.0)] * 4)
    assert half([of(0.3)] * 4) == pytest.approx(math.hypot(spread, 3.0))


def test_a_single_run_has_no_interval() -> None:
    cells = from_trials([trial(36.0, model="m")]).cells
    found = kwh_per_inference(cells, "m", "node")
    assert found.value == pytest.approx(36.0 / 3.6e6 / 1000)
    assert (found.low, found.high) == (None, None)


def test_unknown_models_are_refused() -> None:
    cells = published.load().cells
    with pytest.raises(CompareError, match="training energy"):
        study_rows(cells, "node", model="gpt2")
    with pytest.raises(CompareError, match="no energy of"):
        kwh_per_inference(cells, "nothing", "node")
