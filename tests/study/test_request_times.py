"""The times and tokens of requests that a worker reports: all of them, or none."""

from __future__ import annotations

import pytest

from permille.study.worker.request_times import answer_times, request_times
from permille.workload.outputs import Output

WHOLE = Output(
    sent_ns=2_000_000_000, first_token_s=0.5, last_token_s=1.5, tokens_in=100, tokens_out=5
)
EARLIER = Output(
    sent_ns=500_000_000, first_token_s=0.5, tokens_in=30, tokens_cached=10, tokens_out=1
)


def test_times_are_from_the_start_of_the_span_and_in_order() -> None:
    assert request_times([WHOLE, EARLIER], 1_000_000_000)["requests"] == {
        "sent_ns": (-500_000_000, 1_000_000_000),
        "first_ns": (0, 1_500_000_000),
        "last_ns": (0, 2_500_000_000),
        "tokens_in": (20, 100),
        "tokens_out": (1, 5),
    }


@pytest.mark.parametrize(
    "lacking",
    [
        Output(tokens_in=100, tokens_out=5),
        Output(sent_ns=1, first_token_s=0.5, tokens_in=100),
        Output(sent_ns=1, first_token_s=0.5, tokens_out=5),
    ],
)
def test_one_request_without_its_times_leaves_none(lacking: Output) -> None:
    assert request_times([WHOLE, lacking], 0) == {}


def test_more_requests_than_can_be_kept_leave_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("permille.study.worker.request_times.MOST_REQUESTS", 1)
    assert request_times([WHOLE], 0) != {}
    assert request_times([WHOLE, EARLIER], 0) == {}


# --- the answers that count --------------------------------------------------------------------


def test_the_times_of_answers_are_kept_whether_they_are_known_or_not() -> None:
    streamed = Output(first_token_s=0.5, last_token_s=1.5, tokens_out=5)
    in_one_piece = Output(first_token_s=0.5, tokens_out=5)
    uncounted = Output(first_token_s=0.5, last_token_s=1.5)
    whole = Output(tokens_out=5)
    outputs = [streamed, in_one_piece, uncounted, whole]
    assert answer_times([10, 20, 30, 40], outputs, calls_per_pass=2)["answers"] == {
        "n": 4,
        "whole_ns": (10, 20, 30, 40),
        "first_ns": (500_000_000, 500_000_000, 500_000_000, None),
        "token_ns": (250_000_000, 0, None, None),
    }


def test_of_many_answers_some_are_kept_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("permille.study.worker.request_times.MOST_ANSWERS", 5)
    kept = answer_times(range(10), [WHOLE] * 10, calls_per_pass=4)["answers"]
    assert kept["n"] == 10
    # Every second answer would be of the same two of the four requests each time.
    assert kept["whole_ns"] == (0, 3, 6, 9)
