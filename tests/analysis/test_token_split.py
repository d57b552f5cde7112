"""What input and output tokens cost each, over a known power."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from permille.analysis.rows import row
from permille.analysis.summaries import summarise
from permille.analysis.token_split import token_split
from permille.records.answers import RequestTimes, TokenSplit
from permille.records.energy import Estimate
from permille.records.recording import CpuSeries, RecorderStats, Recording, Series, Span
from permille.records.trial import Trial
from tests.records import domain, trial

S = 1_000_000_000
POLL_NS = S // 10

Request = tuple[int, int, int, int, int]
"""Sent, first token, last token (tenths of a second), input tokens, output tokens."""


def timed(requests: list[Request]) -> RequestTimes:
    sent, first, last, tokens_in, tokens_out = zip(*requests, strict=True)
    return RequestTimes(
        sent_ns=tuple(t * POLL_NS for t in sent),
        first_ns=tuple(t * POLL_NS for t in first),
        last_ns=tuple(t * POLL_NS for t in last),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
    )


def drawn(
    requests: list[Request], polls: int, *, input_j: float, output_j: float, rest_w: float
) -> Recording:
    """A machine that draws ``rest_w``, and each token's energy evenly over its request's part."""
    spent = [rest_w / 10] * polls
    for sent, first, last, tokens_in, tokens_out in requests:
        for start, end, joules in (
            (sent, first, tokens_in * input_j),
            (first, last, (tokens_out - 1) * output_j),
        ):
            for at in range(start, end):
                if 0 <= at < polls:
                    spent[at] += joules / (end - start)
    levels = [0.0]
    for joules in spent:
        levels.append(levels[-1] + joules)
    series = Series(
        domain=domain(),
        t_ns=tuple(i * POLL_NS for i in range(polls + 1)),
        energy_j=tuple(levels),
    )
    stats = RecorderStats(
        cpu_s=0.0, wall_s=polls / 10, polls=polls, missed=0, interval_s=POLL_NS / S
    )
    return Recording(series=(series,), events=(), stats=stats)


def split(
    requests: list[Request], polls: int, *, others_share: float = 0.0, **power: float
) -> TokenSplit:
    """``others_share``: of the CPU time, used by other processes."""
    query = Span(
        name="query",
        t0_ns=0,
        t1_ns=polls * POLL_NS,
        attributes={"requests": msgspec.to_builtins(timed(requests))},
    )
    cpu = CpuSeries(
        cpus=2,
        t_ns=(0, query.t1_ns),
        busy_s=(0.0, 2 * others_share * polls / 10),
        own_s=(0.0, 0.0),
        steal_s=(0.0, 0.0),
    )
    found = token_split(msgspec.structs.replace(drawn(requests, polls, **power), cpu=cpu), query)
    assert found is not None
    return found


def one_at_a_time(n: int) -> list[Request]:
    """A prompt of 100 tokens in 1 s, and then 21 tokens in 2 s."""
    return [(30 * i, 30 * i + 10, 30 * i + 30, 100, 21) for i in range(n)]


def under_load(n: int, seed: int = 0) -> tuple[list[Request], int]:
    """Arrivals at random, up to four at once, with prompts and answers of all lengths."""
    chance, at, requests = random.Random(seed), 0, []
    for _ in range(n):
        at += chance.randrange(1, 40)
        first = at + chance.randrange(2, 12)
        tokens = chance.randrange(10, 400), chance.randrange(5, 60)
        requests.append((at, first, first + chance.randrange(10, 40), *tokens))
    return requests, at


def test_one_request_at_a_time_is_split_at_its_first_token() -> None:
    found = split(one_at_a_time(10), 300, input_j=0.5, output_j=2.0, rest_w=0.0)
    assert (found.method, found.n, found.problem, found.rest_w) == ("phases", 10, None, None)
    assert found.input_j is not None
    assert found.output_j is not None
    assert found.input_j.value == pytest.approx(0.5)
    assert found.output_j.value == pytest.approx(2.0)
    # What interpolation may move: (50 W - 20 W) * 0.1 s / 3 = 1 J of a prompt's 50.
    assert found.input_j.high == pytest.approx(0.5 * 51 / 50, rel=1e-6)


def test_one_at_a_time_includes_the_power_at_rest() -> None:
    found = split(one_at_a_time(10), 300, input_j=0.5, output_j=2.0, rest_w=10.0)
    assert found.input_j is not None
    assert found.input_j.value == pytest.approx(0.5 + 10 * 1 / 100)


def test_under_load_a_regression_finds_what_each_costs() -> None:
    requests, polls = under_load(120)
    found = split(requests, polls, input_j=0.05, output_j=1.5, rest_w=30.0)
    assert (found.method, found.problem, found.warning) == ("windows", None, None)
    for estimate, truth in (
        (found.input_j, 0.05), (found.output_j, 1.5), (found.rest_w, 30.0),
    ):  # fmt: skip
        assert estimate is not None
        assert estimate.value == pytest.approx(truth, rel=0.02)


def test_a_prompt_that_costs_nothing_is_not_negative() -> None:
    requests, polls = under_load(120)
    found = split(requests, polls, input_j=0.0, output_j=1.5, rest_w=30.0)
    assert found.input_j is not None
    assert found.input_j.low == 0.0
    assert 0.0 <= found.input_j.value < 0.01


def test_a_load_that_hardly_varies_warns_that_the_parts_cannot_be_told_apart() -> None:
    steady = [(7 * i, 7 * i + 4, 7 * i + 20, 100, 20) for i in range(100)]
    found = split(steady, 700, input_j=0.05, output_j=1.5, rest_w=30.0)
    assert found.warning is not None or found.problem is not None


def test_a_query_that_others_disturbed_is_not_regressed() -> None:
    requests, polls = under_load(120)
    found = split(requests, polls, others_share=0.25, input_j=0.05, output_j=1.5, rest_w=30.0)
    assert found.output_j is None
    assert "others used 25 % of the CPU time" in (found.problem or "")


def test_too_short_a_query_says_how_long_it_takes() -> None:
    found = split([(0, 1, 2, 10, 5), (1, 2, 3, 10, 5)], 20, input_j=1, output_j=1, rest_w=1)
    assert found.input_j is None
    assert "it needs 12 s" in (found.problem or "")


@pytest.mark.parametrize(
    "change",
    [
        {"tokens_in": [1]},
        {"first_ns": [-5] * 10},
        {"tokens_out": [0] * 10},
        {"tokens_in": "many"},
        {"sent_ns": []},
    ],
)
def test_what_a_worker_reports_wrongly_is_no_figure(change: dict[str, Any]) -> None:
    requests = msgspec.to_builtins(timed(one_at_a_time(10))) | change
    query = Span(name="query", t0_ns=0, t1_ns=30 * S, attributes={"requests": requests})
    recording = drawn(one_at_a_time(10), 300, input_j=1, output_j=1, rest_w=1)
    found = token_split(recording, query)
    assert found is not None
    assert found.problem is not None
    assert (found.input_j, found.output_j) == (None, None)


def test_without_times_of_the_requests_there_is_no_split() -> None:
    recording = drawn(one_at_a_time(1), 30, input_j=1, output_j=1, rest_w=1)
    assert token_split(recording, Span(name="query", t0_ns=0, t1_ns=S)) is None


# --- over the trials -----------------------------------------------------------------------------


def of_trial(repeat: int, input_j: float, **changed: Any) -> Trial:
    estimate = Estimate(value=input_j, low=0.9 * input_j, high=1.1 * input_j)
    tokens = TokenSplit(
        method="phases", input_j=estimate, output_j=estimate, n=10, accuracy_low=0.0,
        accuracy_high=0.1,
    )  # fmt: skip
    counts = {"tokens_in": 100.0, "tokens_out": 200.0}
    return trial(repeat=repeat, counts=counts, tokens=msgspec.structs.replace(tokens, **changed))


def test_over_trials_it_is_the_mean_with_the_meters_accuracy() -> None:
    (summary,) = summarise([of_trial(0, 0.9), of_trial(1, 1.1)], "compute")
    found = row(summary, intensity_g_per_kwh=100.0, pue=1.0, net=False)
    assert found.token_split is not None
    assert found.token_split.input is not None
    assert found.token_split.input.value == pytest.approx(1.0)
    # Student's t: 12.706 * 0.1; with the accuracy's 0.1 in quadrature.
    assert found.token_split.input.high == pytest.approx(1 + (1.2706**2 + 0.1**2) ** 0.5, abs=1e-4)
    assert found.per_token is not None
    assert found.per_token.input == found.token_split.input


def test_regressions_that_all_end_at_zero_do_not_agree_on_zero() -> None:
    unknown = Estimate(value=0.0, low=0.0, high=0.5)
    trials = [of_trial(n, 1.0, method="windows", output_j=unknown) for n in range(3)]
    (summary,) = summarise(trials, "compute")
    assert summary.token_split is not None
    assert summary.token_split.output_j == unknown


def test_a_split_of_another_boundary_is_not_shown_as_this_ones() -> None:
    (summary,) = summarise([of_trial(0, 0.9)], "node")
    found = row(summary, intensity_g_per_kwh=100.0, pue=1.0, net=False)
    assert found.per_token is not None
    assert found.per_token.input is None
    assert found.token_split is not None
    assert found.token_split.boundary == "compute"


def test_trials_that_differ_in_method_or_lack_it_have_none() -> None:
    (mixed,) = summarise([of_trial(0, 0.9), of_trial(1, 1.1, method="windows")], "compute")
    assert mixed.token_split is not None
    assert mixed.token_split.input_j is None
    assert "different methods" in (mixed.token_split.problem or "")
    (lacking,) = summarise([of_trial(0, 0.9), trial(repeat=1)], "compute")
    assert lacking.token_split is None
