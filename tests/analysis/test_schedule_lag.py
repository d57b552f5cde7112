"""What of permille's own lag is said, and which verdicts it leaves open."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from permille.analysis import schedule_lag
from permille.analysis.schedule_lag import distortion, is_material
from permille.analysis.slo import Limit, LimitCheck, check
from permille.analysis.summaries import summarise
from permille.cli.slo_text import verdict_text
from permille.records.answers import Latency, ScheduleLag
from permille.records.trial import Trial
from tests.records import cell, trial

LATENCY = Latency(p50=0.5, p95=1.0, mean=0.5, n=1000)


@pytest.mark.parametrize(
    ("p95", "most", "material"),
    [(0.0, 0.0, False), (0.05, 1.0, False), (0.051, 0.1, True), (0.0, 1.01, True)],
)
def test_a_lag_matters_from_a_twentieth_of_the_latency_or_as_a_stall(
    p95: float, most: float, material: bool
) -> None:
    assert is_material(ScheduleLag(p50=0.0, p95=p95, most=most), LATENCY) is material


def test_a_trial_without_a_lag_has_no_note() -> None:
    assert schedule_lag.notes(None, LATENCY) == []
    assert schedule_lag.notes(ScheduleLag(p50=0.0, p95=0.01, most=0.1), LATENCY) == []


def late(p95: float, most: float, *, ttft_s: float = 0.5, **changed: Any) -> list[Trial]:
    """Three trials with arrivals, whose figures differ by 2 % and whose requests were late."""
    settings = cell("m", settings={"rate_per_s": 4.0})
    lag = ScheduleLag(p50=0.0, p95=p95, most=most)
    found = []
    for repeat, by in enumerate((0.99, 1.0, 1.01)):
        latency = Latency(
            p50=ttft_s, p95=2 * ttft_s * by, p99=3 * ttft_s * by, mean=ttft_s, n=1000,
            first_token_p50=ttft_s / 2, first_token_p95=ttft_s * by, first_token_p99=ttft_s * by,
            output_token_p50=0.01, output_token_p95=0.01 * by,
        )  # fmt: skip
        plain: dict[str, Any] = {
            "cell": settings, "uid": f"late-{repeat}", "latency": latency, "schedule_lag": lag,
            "notes": tuple(schedule_lag.notes(lag, latency)), "counts": {"tokens_out": 11_000.0},
        }  # fmt: skip
        found.append(trial(200.0 * by, repeat=repeat, **(plain | changed)))
    return found


def verdict(trials: list[Trial], name: str, most: float) -> LimitCheck:
    (summary,) = summarise(trials, "compute")
    (one,) = check(summary, [Limit(name=name, most=most)]).checks
    return one


# Latency p95: 1 s [0.975 s, 1.025 s].
@pytest.mark.parametrize(
    ("limit_s", "most_s", "keeps"),
    [
        (0.9, 0.0, False),
        (0.9, 0.03, False),
        (0.9, 0.3, None),  # without the lag, it might have been within the limit
        (0.5, 0.2, False),
        (1.1, 0.3, True),  # lag only makes a latency longer
        (1.1, 9.0, True),
    ],
)
def test_a_limit_that_the_lag_alone_may_have_broken_cannot_be_told(
    limit_s: float, most_s: float, keeps: bool | None
) -> None:
    found = verdict(late(0.0, most_s), "latency_p95", limit_s)
    assert found.keeps is keeps
    if keeps is None:
        assert found.reason == (
            "permille itself sent requests late (95 % within 0 s, at most 300 ms), which alone may"
            " decide it: run it again with --fresh on a less busy machine"
        )


# To the first token, p95 and p99: 0.5 s [0.4876 s, 0.5124 s], from when it was sent.
@pytest.mark.parametrize(
    ("name", "limit_s", "p95_s", "most_s", "keeps"),
    [
        ("ttft_p95", 0.4, 0.0, 0.04, False),
        ("ttft_p95", 0.4, 0.0, 0.2, None),
        ("ttft_p95", 0.6, 0.01, 0.2, True),
        ("ttft_p95", 0.6, 0.1, 0.2, None),  # sent on time, it might have waited in the server
        ("ttft_p99", 0.6, 0.01, 0.2, None),
        ("ttft_p99", 0.6, 0.01, 0.05, True),
    ],
)
def test_the_first_token_counts_from_sending_so_that_a_lag_may_hide_a_wait(
    name: str, limit_s: float, p95_s: float, most_s: float, keeps: bool | None
) -> None:
    assert verdict(late(p95_s, most_s), name, limit_s).keeps is keeps


@pytest.mark.parametrize(("most_s", "keeps"), [(0.001, False), (0.03, None)])
def test_a_lag_is_shared_out_among_the_tokens_of_an_answer(
    most_s: float, keeps: bool | None
) -> None:
    # 10 ms each; eleven tokens an answer: twice a lag of 30 ms is 6 ms for each after the first.
    assert verdict(late(0.0, most_s), "tpot_p95", 0.009).keeps is keeps


def test_without_a_token_count_the_whole_lag_may_be_that_of_one_token() -> None:
    lag = ScheduleLag(p50=0.0, p95=0.0, most=0.2)
    assert distortion(lag, "tpot_p95").too_long_s == 0.4
    assert distortion(lag, "tpot_p95", 1.0).too_long_s == 0.4
    assert distortion(lag, "tpot_p95", 5.0).too_long_s == pytest.approx(0.1)
    assert distortion(None, "latency_p95") == (0.0, 0.0)


def test_an_error_rate_knows_no_lag() -> None:
    counts = {"tokens_out": 11_000.0, "failed": 100.0}
    assert verdict(late(9.0, 9.0, counts=counts), "error_rate", 0.01).keeps is False


def test_the_search_for_a_knee_takes_it_as_cannot_tell() -> None:
    (summary,) = summarise(late(0.0, 0.3), "compute")
    point = check(summary, [Limit(name="latency_p95", most=0.9)])
    assert point.meets is None
    assert not point.straddles
    assert verdict_text(point) == (
        "cannot tell: p95 to the whole answer 1 s [975 ms, 1.02 s] of 900 ms (permille itself sent"
        " requests late (95 % within 0 s, at most 300 ms), which alone may decide it: run it again"
        " with --fresh on a less busy machine)"
    )


def test_trials_have_one_sentence_together_and_the_mean_of_their_lags() -> None:
    slow = late(0.2, 3.0)
    fine = ScheduleLag(p50=0.0, p95=0.001, most=0.003)
    trials = [
        slow[0],
        msgspec.structs.replace(slow[1], schedule_lag=fine, notes=()),
        msgspec.structs.replace(slow[2], schedule_lag=None, notes=("another",)),
    ]
    (summary,) = summarise(trials, "compute")
    another, sentence = summary.notes
    assert another == "another"
    assert sentence.startswith(
        "permille itself sent requests late in 1 of 3 trials (95 % within 200 ms, at most 3 s): the"
        " latency includes this delay; "
    )
    assert summary.schedule_lag is not None
    assert summary.schedule_lag.most == 3.0
    assert schedule_lag.over_all([trials[2]]) is None
