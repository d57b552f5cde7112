"""Which operating point keeps a promise, by the whole interval."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.analysis.cell_summary import Summary
from permille.analysis.compare import ratio
from permille.analysis.slo import Limit, answers, hold, point
from permille.analysis.summaries import summarise
from permille.records import Latency, Trial
from tests.records import cell, trial

TTFT = Limit(quantity="ttft", percentile="p95", most=1.0)
ERRORS = Limit(quantity="error-rate", percentile=None, most=0.05)


def load(
    model: str, energy_j: float, first_token_s: float | None, *, failed: int = 0, repeats: int = 3
) -> list[Trial]:
    """A model's repeats, whose times to the first token differ by 1 % from each other."""
    return [
        trial(
            energy_j * (1 + 0.01 * repeat),
            model=model,
            cell=cell(model),
            uid=f"{model}-{repeat}",
            repeat=repeat,
            counts={"failed": failed, "tokens_out": 1000},
            latency=Latency(
                p50=0.5,
                p95=1.0,
                mean=0.6,
                n=100,
                first_token_p95=first_token_s and first_token_s * (1 + 0.01 * repeat),
            ),
        )
        for repeat in range(repeats)
    ]


def summaries(*loads: list[Trial]) -> list[Summary]:
    return summarise([one for trials in loads for one in trials], "compute")


def test_the_cheapest_that_keeps_the_promise_and_what_the_promise_costs() -> None:
    known = summaries(load("fast", 90.0, 0.1), load("middle", 60.0, 0.5), load("slow", 40.0, 3.0))
    (answer,) = answers(known, [TTFT])
    assert [one.summary.cell.model for one in answer.points] == ["slow", "middle", "fast"]
    assert [one.verdict for one in answer.points] == ["breaks", "keeps", "keeps"]
    assert answer.best is not None
    assert answer.best.summary.cell.model == "middle"
    assert answer.cheapest is not None
    assert answer.cheapest.summary.cell.model == "slow"
    assert answer.cost == ratio(known[1], known[2])
    assert (answer.verdict, answer.nearest) == ("keeps", None)


def test_a_promise_that_the_cheapest_keeps_costs_nothing() -> None:
    (answer,) = answers(summaries(load("a", 40.0, 0.2), load("b", 90.0, 0.1)), [TTFT])
    assert answer.best is answer.cheapest
    assert answer.cost is None


def test_none_keeps_it_and_the_nearest_is_named() -> None:
    (answer,) = answers(summaries(load("far", 40.0, 9.0), load("near", 90.0, 2.0)), [TTFT])
    assert (answer.verdict, answer.best) == ("breaks", None)
    assert answer.nearest is not None
    assert answer.nearest.summary.cell.model == "near"


def test_a_limit_within_the_interval_cannot_be_told() -> None:
    (summary,) = summaries(load("a", 40.0, 0.995))
    held = hold(summary, TTFT)
    assert (held.verdict, held.reason) == ("cannot-tell", "the interval includes the limit")
    (answer,) = answers([summary], [TTFT])
    assert (answer.verdict, answer.best) == ("cannot-tell", None)


def test_what_is_unknown_keeps_no_promise() -> None:
    (single,) = summaries(load("a", 40.0, 0.1, repeats=1))
    assert "one trial" in (hold(single, TTFT).reason or "")
    (unstreamed,) = summaries(load("a", 40.0, None))
    assert "stream = true" in (hold(unstreamed, TTFT).reason or "")
    (uncounted,) = summaries([msgspec.structs.replace(t, counts={}) for t in load("a", 40.0, 0.1)])
    assert hold(uncounted, ERRORS).verdict == "cannot-tell"
    overloaded = trial(model="o", status="failed", reason="overloaded", phases={})
    (broken,) = summaries([overloaded])
    assert point(broken, [TTFT]).verdict == "cannot-tell"
    assert hold(broken, TTFT).reason == "overloaded"


def test_few_requests_do_not_prove_a_low_error_rate() -> None:
    (few,) = summaries(load("a", 40.0, 0.1))
    strict = Limit(quantity="error-rate", percentile=None, most=0.0001)
    assert hold(few, strict).verdict == "cannot-tell"
    assert hold(few, ERRORS).verdict == "keeps"
    (failing,) = summaries(load("a", 40.0, 0.1, failed=400))
    assert hold(failing, ERRORS).verdict == "breaks"


def test_points_of_different_data_have_answers_of_their_own() -> None:
    other = [
        msgspec.structs.replace(t, cell=cell("b", dataset="other")) for t in load("b", 10.0, 0.1)
    ]
    assert len(answers(summaries(load("a", 40.0, 0.1), other), [TTFT])) == 2


@given(
    st.lists(st.tuples(st.floats(1, 1e3), st.floats(0.01, 10)), min_size=1, max_size=5),
    st.floats(0.01, 10),
)
def test_the_best_keeps_it_and_no_cheaper_one_does(
    points: list[tuple[float, float]], most: float
) -> None:
    known = summaries(*(load(f"m{i}", j, s) for i, (j, s) in enumerate(points)))
    (answer,) = answers(known, [Limit(quantity="ttft", percentile="p95", most=most)])
    energies = [one.summary.energy.value for one in answer.points if one.summary.energy]
    assert energies == pytest.approx(sorted(energies))
    for one in answer.points:
        figure = one.held[0].figure
        assert figure is not None
        assert figure.high is not None
        assert (one.verdict == "keeps") is (figure.high <= most)
    kept = [one for one in answer.points if one.verdict == "keeps"]
    assert answer.best is (kept[0] if kept else None)
