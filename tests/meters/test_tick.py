"""The tick found by watching a counter, on a clock of the test's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.meters.ticks import measure_ticks, median_step_s


class Clock:
    """Time that passes by sleeping, and a little with every look."""

    def __init__(self) -> None:
        self.ns = 0

    def now(self) -> int:
        self.ns += 1_000
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


@given(st.integers(2, 30))
def test_tick_of_a_steady_counter(tick_ms: int) -> None:
    clock = Clock()
    (tick_s,) = measure_ticks(
        lambda: [float(clock.ns // (tick_ms * 1_000_000))], 1.0, 0.0005, clock.now, clock.sleep
    )
    assert tick_s == pytest.approx(tick_ms / 1e3, abs=0.0006)


def test_a_counter_that_stands_still_or_fails_has_no_tick() -> None:
    clock = Clock()
    ticks = measure_ticks(
        lambda: [5.0, None, float(clock.ns // 10_000_000)], 0.2, 0.001, clock.now, clock.sleep
    )
    assert ticks[:2] == [None, None]
    assert ticks[2] == pytest.approx(0.01, abs=0.0011)
    assert 0.2e9 <= clock.ns < 0.25e9  # bounded: it gave up on the others in time


def test_a_watch_is_not_over_because_the_watcher_was_descheduled() -> None:
    clock = Clock()
    away_s = iter([0.0, 0.5, 0.3])

    def sleep(seconds: float) -> None:
        clock.sleep(seconds + next(away_s, 0.0))

    (tick_s,) = measure_ticks(lambda: [float(clock.ns // 10_000_000)], 0.2, 0.001, clock.now, sleep)
    assert tick_s == pytest.approx(0.01, abs=0.0011)


def test_one_step_is_no_tick() -> None:
    assert median_step_s([5]) is None
    assert median_step_s([5, 1_000_000_005]) == 1.0
