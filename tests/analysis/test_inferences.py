"""The energy of single inferences, over a known power."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.analysis.inferences import each_inference
from permille.records.recording import RecorderStats, Recording, Series, Span
from tests.records import domain

S = 1_000_000_000


def recording(watts: Sequence[float], poll_s: float = 0.1) -> Recording:
    """A cpu that draws ``watts[i]`` in second i, read exactly every ``poll_s``."""
    n = round(len(watts) / poll_s)
    per_second = round(1 / poll_s)
    levels = [0.0]
    for i in range(n):
        levels.append(levels[-1] + watts[i // per_second] * poll_s)
    series = Series(
        domain=domain(),
        t_ns=tuple(round(i * poll_s * S) for i in range(n + 1)),
        energy_j=tuple(levels),
    )
    stats = RecorderStats(cpu_s=0.0, wall_s=float(len(watts)), polls=n, missed=0, interval_s=poll_s)
    return Recording(series=(series,), events=(), stats=stats)


def query(seconds: float) -> Span:
    return Span(name="query", t0_ns=0, t1_ns=round(seconds * S))


def test_inferences_that_cost_differently_are_told_apart() -> None:
    found = each_inference(recording([10, 10, 10, 50, 10, 10, 10, 90]), query(8), [S] * 8)
    assert found is not None
    assert (found.n, found.refused) == (8, 0)
    assert found.p50_j == pytest.approx(10)
    # Like the latency's: linear between the closest ranks, here the 6.65th of 0 to 7.
    assert found.p95_j == pytest.approx(50 + 0.65 * 40)


def test_inferences_shorter_than_the_polls_are_not_tried() -> None:
    assert each_inference(recording([60] * 4), query(4), [S // 10] * 40) is None
    assert each_inference(recording([60] * 4), query(4), []) is None


def test_inferences_that_overlap_have_no_energy_of_their_own() -> None:
    """A server under load answers several at once: their durations are more than the span."""
    assert each_inference(recording([60] * 4), query(4), [S] * 16) is None


def test_what_the_meter_cannot_carry_is_refused_and_counted() -> None:
    # The first five begin and end with a poll of 0.1 s, the other five between two.
    durations = [round(0.4 * S)] * 5 + [round(0.23 * S)] * 5
    found = each_inference(recording([60] * 4), query(5 * 0.63), durations)
    assert found is not None
    assert (found.n, found.refused) == (5, 5)
    assert found.p50_j == pytest.approx(24)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=10))
def test_whole_seconds_add_up_to_the_span(seconds: list[int]) -> None:
    whole = sum(seconds)
    watts = [20.0 + 7 * (i % 5) for i in range(whole)]
    found = each_inference(recording(watts), query(whole), [n * S for n in seconds])
    assert found is not None
    edges = [sum(seconds[:i]) for i in range(len(seconds) + 1)]
    truth = [sum(watts[a:b]) for a, b in pairwise(edges)]
    assert found.p50_j == pytest.approx(statistics.median(truth))
