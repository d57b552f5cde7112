"""Goodput: which requests count, the share, the energy of each, and why there is no figure."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from permille.analysis.goodput import Goodput, TimedTrial, goodput, request_limits, times_of
from permille.analysis.quality import wilson
from permille.analysis.slo import Limit
from permille.records.answers import AnswerTimes, Latency
from permille.records.energy import Refused
from permille.records.recording import Span
from permille.records.trial import Protocol, Trial
from tests.records import trial

MS = 1_000_000
FAST, LATE, SLOW = (400, 100, 20), (900, 600, 20), (2000, 100, 130)
"""Milliseconds of a whole answer, to its first token, and per token after it."""


def answers(*rows: tuple[int, int | None, int | None], n: int | None = None) -> AnswerTimes:
    whole, first, token = zip(*rows, strict=True)
    return AnswerTimes(
        n=n or len(rows),
        whole_ns=tuple(ms * MS for ms in whole),
        first_ns=tuple(None if ms is None else ms * MS for ms in first),
        token_ns=tuple(None if ms is None else ms * MS for ms in token),
    )


def timed(*rows: tuple[int, int | None, int | None], repeat: int = 0, **changed: Any) -> TimedTrial:
    """A trial of 10 s and 40 J with these answers."""
    return TimedTrial(trial(40.0, inferences=len(rows), repeat=repeat, **changed), answers(*rows))


def of(*trials: TimedTrial, **limits: float) -> Goodput:
    return goodput(trials, limits, "compute")


def test_a_request_counts_if_each_of_its_times_is_within_its_limit() -> None:
    one = timed(FAST, FAST, LATE, SLOW)
    for limits, per_s in (
        ({"ttft": 0.5}, 0.3),
        ({"tpot": 0.05}, 0.3),
        ({"latency": 1.0}, 0.3),
        ({"ttft": 0.5, "tpot": 0.05}, 0.2),
        ({}, 0.4),
    ):
        found = of(one, **limits)
        assert found.per_s is not None
        assert found.per_s.value == pytest.approx(per_s), limits


def test_the_whole_energy_is_that_of_the_requests_that_count() -> None:
    found = of(timed(FAST, FAST, LATE, SLOW), ttft=0.5, tpot=0.05)
    assert found.energy is not None
    assert found.energy.mean == pytest.approx(1000 * 40.0 / 2)
    assert found.net is None  # there is no baseline


def test_failed_requests_count_in_the_share_alone() -> None:
    found = of(timed(FAST, FAST, LATE, counts={"failed": 1.0}), ttft=0.5)
    assert found.share is not None
    assert found.per_s is not None
    assert (found.share.value, found.per_s.value) == (0.5, 0.2)


def test_equal_shares_are_no_more_certain_than_so_many_requests() -> None:
    trials = [timed(*[FAST] * 20, repeat=repeat) for repeat in range(3)]
    found = of(*trials, ttft=0.5)
    assert found.share is not None
    assert (found.share.value, found.share.high) == (1.0, 1.0)
    assert found.share.low == pytest.approx(0.94, abs=0.005)  # Wilson's, of 60 requests


def test_a_part_of_the_answers_stands_for_all() -> None:
    whole = trial(40.0, inferences=100)
    found = of(TimedTrial(whole, answers(FAST, LATE, n=100)), ttft=0.5)
    assert found.per_s is not None
    assert found.per_s.value == pytest.approx(5.0)


def test_a_part_of_the_answers_is_no_more_certain_than_itself() -> None:
    """Three trials of 2,000 answers each, of which 20 were kept, all in time; 100 more failed."""
    trials = [
        TimedTrial(
            trial(40.0, inferences=2000, repeat=repeat, counts={"failed": 100.0}),
            answers(*[FAST] * 20, n=2000),
        )
        for repeat in range(3)
    ]
    found = of(*trials, ttft=0.5).share
    alone = wilson(2000 / 2100, 3 * 21)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high))
    # Whether they failed or not is known of all of them.
    everything, of_all = of(*trials).share, wilson(2000 / 2100, 3 * 2100)
    assert everything is not None
    assert (everything.low, everything.high) == pytest.approx((of_all.low, of_all.high))


def test_without_a_good_request_there_is_no_energy_of_one() -> None:
    found = of(timed(FAST, LATE), timed(LATE, LATE, repeat=1), ttft=0.5)
    assert found.energy is None
    assert found.reason == "in a trial, no request kept every limit"
    assert found.per_s is not None
    assert found.per_s.value == pytest.approx(0.05)


def test_a_single_unknown_time_leaves_no_figure() -> None:
    unstreamed = timed(FAST, (400, None, None))
    assert of(unstreamed, ttft=0.5).per_s is None
    assert of(unstreamed, ttft=0.5).reason == "a trial did not record the ttft of each request"
    assert of(unstreamed, latency=0.5).per_s is not None
    assert of().reason == "the store has no finished trial of it"


def test_the_limit_of_a_single_request_is_that_of_the_highest_percentile() -> None:
    promise = [
        Limit(name="ttft_p50", most=0.2),
        Limit(name="ttft_p99", most=1.0),
        Limit(name="ttft_p95", most=0.5),
        Limit(name="latency_p50", most=3.0),
        Limit(name="error_rate", most=0.01),
    ]
    assert request_limits(promise) == {"ttft": 1.0, "latency": 3.0}


# --- what a recording has ------------------------------------------------------------------------


def query(**attributes: Any) -> list[Span]:
    return [Span(name="query", t0_ns=0, t1_ns=10**10, attributes=attributes)]


def older(**changed: Any) -> Trial:
    latency = Latency(p50=0.4, p95=0.9, mean=0.5, n=2)
    return trial(inferences=2, latency=latency, **changed)


def test_an_older_trial_has_the_time_of_whole_answers_alone() -> None:
    kept = times_of(older(), query(inferences=2), (400 * MS, 900 * MS))
    found = of(kept, latency=0.5)
    assert found.per_s is not None
    assert found.per_s.value == pytest.approx(0.1)
    assert of(kept, ttft=0.5).reason == "a trial did not record the ttft of each request"


@pytest.mark.parametrize(
    ("changed", "spans", "durations_ns", "reason"),
    [
        ({}, [], (), "no times of its single requests"),
        ({}, query(), (MS,), "no times of its single requests"),  # only the first were kept
        ({"protocol": Protocol(inferences=2, batch_size=8)}, query(), (MS, MS), "batches"),
        ({}, query(answers={"n": "two"}), (), "are invalid"),
        ({}, query(answers=msgspec.to_builtins(answers(FAST, FAST, n=3))), (), "contradict"),
    ],
)
def test_recordings_without_usable_times_give_the_reason(
    changed: dict[str, Any], spans: list[Span], durations_ns: tuple[int, ...], reason: str
) -> None:
    kept = times_of(older(**changed), spans, durations_ns)
    assert isinstance(kept.times, Refused)
    assert reason in kept.times.reason
    assert of(kept, latency=1.0).per_s is None
