"""Random pauses between calls: when, how long, and what is reported of them."""

from __future__ import annotations

import math
from array import array
from typing import Any

import pytest

from permille.records.recording import Domain, PowerSensor, Provenance, Span
from permille.study.run.attempt import _believable
from permille.study.run.trial import least_query_s, pausing
from permille.study.worker.messages import Pausing
from permille.study.worker.pauses import PausedPass
from permille.study.worker.queries import one_pass

PAUSING = Pausing(every_s=2.5, up_to_s=0.1)


class Clock:
    """Time that passes in calls of ``call_s`` and in pauses."""

    def __init__(self, call_s: float) -> None:
        self.ns, self._call_s = 0, call_s
        self.slept_s: list[float] = []

    def infer(self, request: Any) -> Any:
        self.ns += round(self._call_s * 1e9)
        return request

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.ns += round(seconds * 1e9)


def run(call_s: float, calls: int, seed: int = 0) -> tuple[PausedPass, Clock, list[Any]]:
    clock = Clock(call_s)
    paused = PausedPass(PAUSING, seed, one_pass, clock_ns=lambda: clock.ns, sleep=clock.sleep)
    answers: list[Any] = []
    durations = array("q")
    for _ in range(2):  # two passes: the second continues where the first stopped
        paused(clock.infer, range(calls // 2), durations, answers)
    assert len(durations) == calls
    return paused, clock, answers


def test_a_pause_comes_after_so_much_work_whatever_the_pass() -> None:
    paused, clock, answers = run(0.1, 200)
    assert answers == [*range(100), *range(100)]
    assert len(paused.pauses) == len(clock.slept_s) == 7
    ends = [0, *(t1_ns for _, t1_ns in paused.pauses)]
    for since_ns, (t0_ns, t1_ns) in zip(ends, paused.pauses, strict=False):
        assert t0_ns - since_ns == 2_500_000_000
        assert 0 <= t1_ns - t0_ns <= 100_000_000


def test_a_long_call_is_not_cut_and_is_followed_by_one_pause() -> None:
    paused, _, _ = run(10.0, 4)
    assert len(paused.pauses) == 3


def test_the_seed_draws_the_pauses() -> None:
    first, again, other = (run(0.1, 200, seed)[1].slept_s for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) == len(first)


def domain(sensor: PowerSensor | None) -> Domain:
    return Domain(
        name="gpu:0",
        kind="gpu",
        meter="nvml",
        provenance=Provenance.MEASURED,
        accuracy_low=0.05,
        accuracy_high=0.07,
        tick_s=0.02,
        sensor=sensor,
    )


def test_only_a_sensor_that_samples_a_part_needs_pauses_and_the_time_for_them() -> None:
    whole = domain(PowerSensor(window_s=0.1, period_s=0.1))
    part = domain(PowerSensor(window_s=0.025, period_s=0.1, sampled=0.25))
    assert pausing([domain(None), whole]) is None
    assert pausing([domain(None), part, whole]) == PAUSING
    assert least_query_s([domain(None)]) == pytest.approx(2 * math.sqrt(2 / 3) * 0.02 / 0.01)
    assert least_query_s([part]) == pytest.approx(50.0)
    slow = domain(PowerSensor(window_s=5.0, period_s=0.1))
    assert least_query_s([slow]) == 60.0


@pytest.mark.parametrize("pauses", [((9, 12),), ((12, 11),), ((11, 13), (12, 14)), ((15, 21),)])
def test_a_worker_cannot_report_pauses_that_were_not_in_its_span(
    pauses: tuple[tuple[int, int], ...],
) -> None:
    load = Span(name="load", t0_ns=0, t1_ns=5)
    with pytest.raises(ValueError, match="pauses of the span query"):
        _believable(Span(name="query", t0_ns=10, t1_ns=20, pauses=pauses), [load])
    fine = Span(name="query", t0_ns=10, t1_ns=20, pauses=((11, 12), (15, 20)))
    assert _believable(fine, [load]) is fine
