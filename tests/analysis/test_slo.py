"""The cheapest operating point that keeps a promise: what counts as kept, broken, undecided."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from permille.analysis.cell_summary import Summary
from permille.analysis.quality import wilson
from permille.analysis.slo import Limit, OperatingChoice, check, choose, is_overloaded
from permille.analysis.summaries import summarise
from permille.errors import CompareError
from permille.records.answers import Latency
from permille.records.trial import Trial
from tests.records import trial

TTFT = Limit(name="ttft_p95", most=1.0)


def served(model: str, energy_j: float, ttft_s: float, **changed: Any) -> list[Trial]:
    """Three trials of a load whose figures differ by 2 % from each other."""
    plain: dict[str, Any] = {"counts": {"tokens_out": 2000.0, "failed": 0.0}}
    return [
        trial(
            energy_j * by,
            model=model,
            repeat=repeat,
            latency=Latency(
                p50=ttft_s, p95=2 * ttft_s, mean=ttft_s, n=1000,
                first_token_p50=ttft_s / 2, first_token_p95=ttft_s * by,
            ),
            **(plain | changed),
        )
        for repeat, by in enumerate((0.99, 1.0, 1.01))
    ]  # fmt: skip


def summaries(*loads: list[Trial]) -> list[Summary]:
    return summarise([one for load in loads for one in load], "compute")


def chosen(*loads: list[Trial], promise: tuple[Limit, ...] = (TTFT,)) -> OperatingChoice:
    return choose(summaries(*loads), promise)


def test_the_cheapest_that_keeps_it_is_not_the_cheapest_of_all() -> None:
    found = chosen(
        served("1 client", 300, 0.1), served("4 clients", 200, 0.5), served("16 clients", 100, 3.0)
    )
    assert [p.name for p in found.points] == ["16 clients", "4 clients", "1 client"]
    assert [p.meets for p in found.points] == [False, True, True]
    assert found.best is not None
    assert found.best.name == "4 clients"
    assert found.cheapest is not None
    assert found.cheapest.name == "16 clients"
    assert found.cost is not None
    assert found.cost.value == pytest.approx(2.0)
    assert found.as_cheap == found.undecided == ()


def test_head_room_is_the_share_of_the_limit_that_is_left() -> None:
    (point,) = chosen(served("4 clients", 200, 0.25)).points
    room = point.checks[0].head_room
    assert room is not None
    assert room.value == pytest.approx(0.75)
    # Student's t of two degrees of freedom: 4.303 * 0.0025 / sqrt(3).
    assert room.low == pytest.approx(0.75 - 4.303 * 0.0025 / 3**0.5, abs=1e-5)


def test_a_promise_that_costs_nothing_has_no_ratio() -> None:
    found = chosen(served("4 clients", 200, 0.5), served("1 client", 300, 0.1))
    assert found.best is found.cheapest
    assert found.cost is None


def test_an_interval_that_includes_the_limit_cannot_tell() -> None:
    found = chosen(served("4 clients", 200, 0.999), served("1 client", 300, 0.1))
    assert found.points[0].meets is None
    assert found.best is not None
    assert found.best.name == "1 client"
    assert [p.name for p in found.undecided] == ["4 clients"]


def test_where_none_keeps_it_the_nearest_is_named() -> None:
    found = chosen(served("4 clients", 200, 9.0), served("1 client", 300, 2.0))
    assert (found.best, found.undecided) == (None, ())
    assert found.nearest is not None
    assert found.nearest.name == "1 client"


def test_two_loads_within_error_are_both_named() -> None:
    found = chosen(served("4 clients", 200, 0.5), served("5 clients", 200.5, 0.6))
    assert [p.name for p in found.as_cheap] == ["5 clients"]


def test_a_single_trial_cannot_keep_a_promise() -> None:
    (point,) = chosen(served("4 clients", 200, 0.5)[:1]).points
    assert point.meets is None
    assert point.checks[0].reason == "a single trial has no interval"


def test_a_percentile_of_too_few_answers_cannot_keep_but_can_break() -> None:
    few = [
        trial(
            200.0, model="few", repeat=repeat, inferences=19,
            latency=Latency(p50=1.0, p95=p95, mean=1.0, n=19),
        )
        for repeat, p95 in enumerate((1.0, 1.01))
    ]  # fmt: skip
    (summary,) = summaries(few)
    kept = check(summary, [Limit(name="latency_p95", most=2.0)])
    assert kept.meets is None
    assert kept.checks[0].reason is not None
    assert "inferences = 20" in kept.checks[0].reason
    assert check(summary, [Limit(name="latency_p95", most=0.5)]).meets is False


def test_a_load_that_needs_nothing_above_idle_leaves_the_choice_without_a_cost() -> None:
    slow = served("16 clients", 10, 3.0, idle_j=20.0)
    loads = [s.above_idle() for s in summaries(served("1 client", 300, 0.1, idle_j=20.0), slow)]
    found = choose(loads, [TTFT])
    assert found.best is not None
    assert found.cheapest is not None
    assert (found.best.name, found.cheapest.name) == ("1 client", "16 clients")
    assert found.cost is None


def test_a_failed_trial_keeps_no_promise() -> None:
    failed = trial(model="4 clients", repeat=3, uid="f", status="failed", reason="overload")
    (point,) = chosen([*served("4 clients", 200, 0.5), failed]).points
    assert point.meets is None
    assert "1 trial failed and is in no figure" in (point.checks[0].reason or "")
    another = msgspec.structs.replace(failed, uid="g", repeat=4)
    (point,) = chosen([*served("4 clients", 200, 0.5), failed, another]).points
    assert "2 trials failed and are in no figure" in (point.checks[0].reason or "")


def test_no_errors_among_few_requests_do_not_show_a_low_rate() -> None:
    (few,) = summaries(served("4 clients", 200, 0.5, inferences=20))
    (many,) = summaries(served("4 clients", 200, 0.5, inferences=1000))
    # Wilson's upper end with no failure among n is z²/(n + z²): 6 % of 60, 0.13 % of 3,000.
    promise = [Limit(name="error_rate", most=0.01)]
    assert check(few, promise).meets is None
    assert check(many, promise).meets is True


def test_errors_that_come_in_bursts_do_not_show_a_low_rate() -> None:
    """One trial of three had 100 failures in 1,000: of independent requests, 2.4 to 3.8 %."""
    trials = served("4 clients", 200, 0.5, inferences=1000)
    burst = msgspec.structs.replace(trials[0], counts={"tokens_out": 2000.0, "failed": 100.0})
    promise = [Limit(name="error_rate", most=0.05)]
    (bursts,) = summaries([burst, *trials[1:]])
    assert check(bursts, promise).meets is None
    evenly = {"tokens_out": 2000.0, "failed": 33.0}
    (even,) = summaries(served("4 clients", 200, 0.5, inferences=1000, counts=evenly))
    assert check(even, promise).meets is True
    (single,) = summaries(served("4 clients", 200, 0.5, inferences=1000, counts=evenly)[:1])
    alone = wilson(33 / 1033, 1033)
    assert single.failures is not None
    assert (single.failures.low, single.failures.high) == (alone.low, alone.high)


def test_a_server_with_many_errors_breaks_the_promise() -> None:
    counts = {"tokens_out": 2000.0, "failed": 100.0}
    (summary,) = summaries(served("4 clients", 200, 0.5, counts=counts))
    assert check(summary, [Limit(name="error_rate", most=0.01)]).meets is False


def test_a_figure_that_was_not_recorded_is_no_promise_kept() -> None:
    (point,) = chosen(
        served("4 clients", 200, 0.5), promise=(Limit(name="tpot_p95", most=1),)
    ).points
    assert point.meets is None
    assert "stream = true" in (point.checks[0].reason or "")


def test_points_of_two_datasets_are_not_compared() -> None:
    from tests.records import cell

    other = [
        trial(model="b", repeat=n, cell=cell("b", dataset="other"), uid=f"o{n}") for n in range(2)
    ]
    with pytest.raises(CompareError, match="cannot be compared with each other"):
        chosen(served("a", 200, 0.5), other)


def test_no_points_and_points_without_a_figure_are_errors() -> None:
    with pytest.raises(CompareError, match="no operating points"):
        choose([], [TTFT])
    with pytest.raises(CompareError, match="no operating point has a figure"):
        chosen([trial(status="failed", reason="overload")])


OVERLOAD = "ModelError: the server cannot keep up with rate_per_s = 9: in 3 s it answered 4"


def overloaded(model: str, repeat: int = 0, **changed: Any) -> Trial:
    """A trial whose server could not keep up."""
    one = served(model, 100, 0.1)[repeat]
    plain: dict[str, Any] = {"status": "failed", "reason": OVERLOAD, "phases": {}, "latency": None}
    return msgspec.structs.replace(one, **(plain | {"failure_kind": "overload"} | changed))


@pytest.mark.parametrize(
    ("changed", "is_overload"),
    [
        ({"reason": "in other words"}, True),
        ({"failure_kind": None}, True),  # an older trial has only the text
        ({"failure_kind": "other"}, False),  # whatever its text
        ({"failure_kind": None, "reason": "no GPU"}, False),
        ({"failure_kind": None, "source": "vllm-bench"}, False),
    ],
)
def test_an_overload_is_a_kind_of_failure(changed: dict[str, Any], is_overload: bool) -> None:
    (alone,) = summaries([overloaded("9 per second", **changed)])
    assert is_overloaded(alone) is is_overload


def test_arrivals_that_the_server_cannot_keep_up_with_break_a_promise_of_latency() -> None:
    (alone,) = summaries([overloaded("9 per second"), overloaded("9 per second", 1)])
    assert check(alone, [TTFT]).meets is False
    assert check(alone, [Limit(name="error_rate", most=0.01)]).meets is None
    found = chosen([overloaded("9 per second")], served("1 per second", 300, 0.1))
    assert found.best is not None
    assert found.best.name == "1 per second"


def test_where_every_load_is_an_overload_none_keeps_the_promise() -> None:
    found = chosen([overloaded("9 per second")], [overloaded("7 per second")])
    assert [p.meets for p in found.points] == [False, False]
    assert (found.best, found.cheapest, found.nearest, found.undecided) == (None, None, None, ())
    with pytest.raises(CompareError, match="no operating point has a figure"):
        chosen([overloaded("9 per second")], promise=(Limit(name="error_rate", most=0.01),))


def test_one_overload_among_finished_trials_cannot_be_told() -> None:
    (mixed,) = summaries([overloaded("9 per second"), *served("9 per second", 100, 0.1)[1:]])
    assert check(mixed, [TTFT]).meets is None


@pytest.mark.parametrize(("inferences", "meets"), [(100, None), (200, True)])
def test_a_short_trial_of_random_arrivals_does_not_show_an_overload(
    inferences: int, meets: bool | None
) -> None:
    trials = served("4 per second", 200, 0.1)
    cell = msgspec.structs.replace(trials[0].cell, settings={"rate_per_s": 4.0})
    protocol = msgspec.structs.replace(trials[0].protocol, inferences=inferences)
    trials = [msgspec.structs.replace(t, cell=cell, protocol=protocol) for t in trials]
    (summary,) = summaries(trials)
    point = check(summary, [TTFT])
    assert point.meets is meets
    if meets is None:
        assert point.checks[0].reason == (
            "p95 of 100 answers a trial with random arrivals: it needs inferences = 200 or more"
        )
