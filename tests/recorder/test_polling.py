"""A mark: the poll, and the next step of a counter that ticks fast."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable

import pytest

from permille.meters import Observation, Reading
from permille.recorder.poller import Poller
from permille.recorder.series import SeriesBuilder
from permille.records.recording import Domain
from tests.records import domain

POWER_W = 60.0


class SteppingMeter:
    """A true counter of 60 W that shows its energy as of its last tick."""

    name = "stepping"
    slow = False
    max_interval_s = math.inf

    def __init__(self, tick_s: float, read: Callable[[int], float | None] | None = None) -> None:
        self.domains: tuple[Domain, ...] = (domain(tick_s=tick_s),)
        self.tick_ns = round(tick_s * 1e9)
        self.asked: list[frozenset[int]] = []
        self.reads = 0
        self.observation = Observation()
        self._read = read or self.energy_j

    def energy_j(self, t_ns: int) -> float | None:
        return POWER_W * (t_ns // self.tick_ns * self.tick_ns) / 1e9

    def read(self) -> list[Reading]:
        self.reads += 1
        t_ns = time.monotonic_ns()
        value = self._read(t_ns)
        error = "it is gone" if value is None else None
        return [Reading("cpu:0", t_ns, energy_j=value, error=error)]

    def observe(self, pids: frozenset[int]) -> Observation:
        self.asked.append(pids)
        return self.observation

    def close(self) -> None: ...


def test_a_mark_ends_at_a_step_and_dates_the_reading_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = itertools.count(10**12 + 300_000, 20_000)  # each look at it takes 20 us
    monkeypatch.setattr(time, "monotonic_ns", lambda: next(clock))
    recorder = Poller([SteppingMeter(0.001)])
    recorder.poll()
    for _ in range(200):
        next(clock)
    done_ns = recorder.mark()
    monkeypatch.undo()
    series = recorder.counters["cpu:0"].series()
    assert len(series.t_ns) == 3  # the poll, the mark's reading, the step
    assert series.t_ns[2] - series.t_ns[1] == 1_000_000
    for t_ns in series.t_ns[1:]:
        assert abs(t_ns - round(t_ns, -6)) <= 20_000  # the true steps are at whole milliseconds
    assert series.energy_j[2] - series.energy_j[1] == pytest.approx(0.001 * POWER_W)
    assert 0 <= done_ns - series.t_ns[2] < 100_000


@pytest.mark.parametrize(
    "meter",
    [
        SteppingMeter(0.1),  # a step to wait for would be too far
        SteppingMeter(0.001, read=lambda _: 5.0),  # it never steps: no power
        SteppingMeter(0.001, read=lambda _: None),  # it cannot be read
    ],
    ids=["slow", "still", "gone"],
)
def test_a_mark_without_a_step_adds_no_energy(meter: SteppingMeter) -> None:
    recorder = Poller([meter])
    done_ns = recorder.mark()
    series = recorder.counters["cpu:0"].series()
    assert set(series.energy_j) <= {0.0}
    assert all(t_ns <= done_ns for t_ns in series.t_ns)


def test_settling_never_reorders_the_readings() -> None:
    counter = SeriesBuilder(domain(tick_s=0.001))
    for t_ns, energy_j in ((1_000_000, 1.0), (5_000_000, 1.2), (5_100_000, 1.2)):
        counter.add(Reading("cpu:0", t_ns, energy_j=energy_j))
    counter.settle(Reading("cpu:0", 5_500_000, energy_j=1.3), 4_500_000)
    series = counter.series()
    assert series.t_ns == (1_000_000, 5_000_000, 5_000_001, 5_500_000)
    assert series.energy_j == pytest.approx((0.0, 0.2, 0.2, 0.3))
    # One from before the last reading is no step after it.
    counter.settle(Reading("cpu:0", 5_400_000, energy_j=1.4), 4_400_000)
    assert counter.series() == series


def test_processes_are_listed_only_for_a_meter_that_looks_at_them() -> None:
    indifferent, curious = SteppingMeter(0.1), SteppingMeter(0.1)
    curious.domains = (domain("gpu:0"),)
    indifferent.looks_at_pids = False  # type: ignore[attr-defined]
    alone = Poller([indifferent])
    alone.watch(1)
    alone.observe()
    assert indifferent.asked == [frozenset()]
    both = Poller([indifferent, curious])
    both.watch(1)
    both.observe()
    assert 1 in curious.asked[0]


def in_use(recorder: Poller) -> bool:
    (series,) = recorder.take().series
    return series.domain.in_use


def test_a_device_counts_as_in_use_unless_every_look_could_tell_that_it_is_not() -> None:
    gpu = SteppingMeter(0.1)
    recorder = Poller([gpu])
    unused, unknown = Observation(used=frozenset()), Observation()
    for looks, expected in (
        ([unused, unused], False),
        ([unused, unknown], True),  # it may have come into use since the first
        ([unknown, unused], True),
        ([unknown], True),  # what an earlier trial's looks could tell does not count
        ([unused], False),
        ([], True),
    ):
        recorder.begin()
        for gpu.observation in looks:
            recorder.observe()
        assert in_use(recorder) is expected, looks
    # Of consecutive spans each is judged by its own looks.
    for gpu.observation, expected in ((unknown, True), (unused, False)):
        recorder.observe()
        assert in_use(recorder) is expected
        recorder.discard_before(time.monotonic_ns())


def test_a_change_of_the_counters_origin_voids_the_time_since_the_look_before() -> None:
    rapl = SteppingMeter(0.1)
    recorder = Poller([rapl])
    rapl.observation = Observation(identity="one boot")
    recorder.observe()
    seen_ns = time.monotonic_ns()
    recorder.poll()  # the reset, taken for a wrap, may lie before this reading
    recorder.poll()
    rapl.observation = Observation(identity="another")
    recorder.observe()
    (event,) = recorder.take().events
    assert (event.kind, event.domain) == ("invalid", "cpu:0")
    assert event.t0_ns <= seen_ns < event.t1_ns
    recorder.observe()
    assert len(recorder.take().events) == 1


def test_a_suspension_lies_anywhere_since_the_poll_before_however_long_ago_that_was() -> None:
    asleep = [0]
    recorder = Poller([SteppingMeter(0.1)], suspended=lambda: asleep[0])
    recorder.poll()
    polled_ns = time.monotonic_ns()
    time.sleep(3 * recorder.interval_s)  # a busy machine
    asleep[0] += 10**9
    recorder.poll()
    (event,) = recorder.take().events
    assert event.t0_ns <= polled_ns < event.t1_ns
