"""Tokens and waiting times: from trials to rows."""

from __future__ import annotations

from typing import Any

import pytest

from permille.analysis.rows import CellRow, row
from permille.analysis.summaries import summarise
from permille.records.answers import Latency
from permille.records.trial import Trial
from permille.workload.outputs import Output
from tests.records import cell, trial


def generated(energy_j: float = 36.0, repeat: int = 0, **changed: Any) -> Trial:
    """A trial of 10 s with 100 input and 200 output tokens, two thirds of the energy above idle."""
    latency = Latency(
        p50=1.0, p95=2.0, p99=3.0, mean=1.0, n=10,
        first_token_p50=0.1 + repeat / 10, first_token_p95=0.2, first_token_p99=0.3,
        output_token_p50=0.01, output_token_p95=0.02, output_token_p99=0.03,
    )  # fmt: skip
    plain: dict[str, Any] = {
        "repeat": repeat,
        "idle_j": 12.0,
        "latency": latency,
        "counts": {"tokens_in": 100.0, "tokens_out": 200.0},
    }
    return trial(energy_j, **(plain | changed))


def shown(*trials: Trial, net: bool = False, pue: float = 1.0) -> CellRow:
    (summary,) = summarise(trials, "facility" if pue > 1 else "compute")
    return row(summary, intensity_g_per_kwh=100.0, pue=pue, net=net)


def test_energy_per_token_is_the_whole_energy_over_the_tokens() -> None:
    found = shown(generated(36.0), generated(44.0, repeat=1))
    assert found.per_token is not None
    assert found.per_token.output.value == pytest.approx(0.2)
    assert found.per_token.all is not None
    assert found.per_token.all.value == pytest.approx(40 / 300)
    assert found.per_token.input is None
    # Student t, one degree of freedom: 12.706 * 4 J / 200 tokens.
    assert found.per_token.output.high == pytest.approx(0.2 + 12.706 * 4 / 200, abs=1e-4)
    assert found.per_token.output.low == 0.0


def test_energy_per_token_follows_net() -> None:
    found = shown(generated(), net=True)
    assert found.per_token is not None
    assert found.per_token.output.value == pytest.approx(24 / 200)


def test_net_energy_per_token_needs_a_baseline() -> None:
    assert shown(generated(idle_j=None), net=True).per_token is None


def test_tokens_that_one_trial_does_not_know_give_no_figure() -> None:
    found = shown(generated(), generated(repeat=1, counts={}))
    assert (found.per_token, found.tokens_per_s) == (None, None)


def test_unknown_input_tokens_leave_the_figure_of_the_output() -> None:
    found = shown(generated(counts={"tokens_out": 200.0}))
    assert found.per_token is not None
    assert found.per_token.output.value == pytest.approx(36 / 200)
    assert found.per_token.all is None


def test_no_output_tokens_are_not_a_figure_of_zero() -> None:
    found = shown(generated(counts={"tokens_in": 100.0, "tokens_out": 0.0}))
    assert (found.per_token, found.tokens_per_s) == (None, None)


def test_rates_and_times_are_means_over_the_trials_with_intervals() -> None:
    found = shown(generated(), generated(repeat=1))
    assert found.tokens_per_s is not None
    assert found.tokens_per_s == pytest.approx(20.0)
    assert found.ttft_s is not None
    assert found.ttft_s.p50 == pytest.approx(0.15)
    assert found.ttft_s.intervals.p50.high == pytest.approx(0.15 + 12.706 * 0.05, abs=1e-3)
    assert found.tpot_s is not None
    assert found.tpot_s.p99 == pytest.approx(0.03)
    assert found.request_s is not None
    assert found.request_s.p99 == pytest.approx(3.0)


def test_reasoning_tokens_are_shown_apart() -> None:
    counts = {"tokens_in": 1000.0, "tokens_out": 3000.0, "tokens_reasoning": 2000.0}
    each = shown(generated(counts=counts), generated(repeat=1, counts=counts)).tokens_each
    assert each is not None
    assert each.reasoning is not None
    assert each.output is not None
    assert (each.reasoning.value, each.output.value) == (2.0, 3.0)
    lacking = shown(generated(counts=counts), generated(repeat=1)).tokens_each
    assert lacking is not None
    assert lacking.reasoning is None


def test_energy_per_unit_of_work_where_it_is_counted() -> None:
    heard = {"audio_seconds": 72.0}
    found = shown(generated(36.0, counts=heard), generated(36.0, repeat=1, counts=heard))
    assert list(found.per_unit) == ["audio_second"]
    assert found.per_unit["audio_second"].value == pytest.approx(0.5)
    assert shown(generated(counts=heard), net=True).per_unit["audio_second"].value == pytest.approx(
        24 / 72
    )
    assert shown(generated(counts=heard), generated(repeat=1)).per_unit == {}
    pictures = shown(generated(36.0, counts={"images": 18.0}), pue=2.0)
    assert pictures.per_unit["image"].value == pytest.approx(4.0)


def test_embeddings_have_a_figure_per_token_of_the_text() -> None:
    embeds = cell(task="feature-extraction")
    read = {"tokens_in": 1800.0}
    found = shown(*(generated(cell=embeds, counts=read, repeat=i) for i in range(2)))
    assert list(found.per_unit) == ["embedded_token"]
    assert found.per_unit["embedded_token"].value == pytest.approx(0.02)
    assert found.per_token is None  # nothing was generated
    assert shown(generated(cell=embeds, counts={})).per_unit == {}
    assert shown(generated(counts=read)).per_unit == {}  # a classifier


def test_one_trial_has_no_interval() -> None:
    found = shown(generated())
    assert found.ttft_s is not None
    assert found.ttft_s.p95 == pytest.approx(0.2)
    assert found.ttft_s.intervals.p95.low is None


def test_an_older_trial_without_a_percentile_leaves_it_out() -> None:
    older = Latency(p50=1.0, p95=2.0, mean=1.0, n=10, first_token_p50=0.1, first_token_p95=0.2)
    found = shown(generated(), generated(repeat=1, latency=older))
    assert found.ttft_s is not None
    assert found.ttft_s.p99 is None
    assert found.ttft_s.p95 == pytest.approx(0.2)
    assert found.tpot_s is None


@pytest.mark.parametrize(
    ("output", "seconds"),
    [
        (Output(first_token_s=1.0, last_token_s=2.0, tokens_out=5), 0.25),
        (Output(first_token_s=1.0, last_token_s=2.0, tokens_out=1), None),
        (Output(first_token_s=1.0, last_token_s=2.0), None),
        (Output(first_token_s=1.0, tokens_out=5), None),
        (Output(tokens_out=5), None),
    ],
)
def test_the_time_per_output_token_counts_those_after_the_first(
    output: Output, seconds: float | None
) -> None:
    assert output.output_token_s == seconds
