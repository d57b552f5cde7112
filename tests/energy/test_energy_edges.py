"""How uncertain one edge of a span is, worked out by hand from the readings around it."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from permille.energy import edges
from permille.records.recording import PowerSensor, Series
from tests.energy_series import S, constant, readings
from tests.records import domain


def half_width_j(series: Series, t_s: float) -> float:
    """The half-width (joules) of the rectangular distribution that stands for the edge."""
    return edges.edge_j(series, round(t_s * S)) * math.sqrt(3)


def exactly(value: float) -> object:
    return pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("t_s", "expected_j"),
    [
        # 6 J lie in the gap of 0.1 s. On the nearer side at most five times 60 W is possible.
        (1.01, 300.0 * 0.01),
        (1.09, 300.0 * 0.01),
        # Further in, at most what lies on the longer side can have been on the shorter one.
        (1.02, 6.0 * 0.8),
        (1.05, 6.0 * 0.5),
        (1.07, 6.0 * 0.7),
        (1.0, 0.0),
    ],
)
def test_between_two_readings_the_energy_of_the_nearer_side_is_unknown(
    t_s: float, expected_j: float
) -> None:
    assert half_width_j(constant(60.0, 10.0), t_s) == pytest.approx(expected_j, rel=1e-9)


@pytest.mark.parametrize(("most_w", "expected_j"), [(100.0, 1.0), (1000.0, 3.0), (None, 3.0)])
def test_no_power_above_the_domains_greatest_is_expected(
    most_w: float | None, expected_j: float
) -> None:
    series = constant(60.0, 10.0, max_power_w=most_w)
    assert half_width_j(series, 1.01) == exactly(expected_j)


def test_a_domain_that_states_no_greatest_power_has_two_kilowatts() -> None:
    series = constant(1000.0, 10.0, max_power_w=None)
    assert half_width_j(series, 1.01) == pytest.approx(2000.0 * 0.01, rel=1e-9)


def test_three_parts_of_an_edge_add_in_quadrature() -> None:
    """3 J by interpolation, one tick of 60 W, half the resolution: 3² + 6² + 2² = 7²."""
    series = constant(60.0, 10.0, tick_s=0.1, resolution_j=4.0)
    assert half_width_j(series, 1.01) == pytest.approx(7.0, rel=1e-9)


def step_up(step_s: float = 0.02, **changed: Any) -> Series:
    """60 W to 7.0 s, 600 W after it; read every ``step_s`` from 5 s to 9 s."""
    times = [5 + i * step_s for i in range(round(4 / step_s) + 1)]
    points = [(t_s, 60 * (min(t_s, 7.0) - 5) + 600 * max(0.0, t_s - 7.0)) for t_s in times]
    return readings(*points, **changed)


def backwards(series: Series) -> Series:
    """The same course of the power from its end to its start, in the same seconds."""
    first, last = series.t_ns[0], series.t_ns[-1]
    return msgspec.structs.replace(
        series,
        t_ns=tuple(first + last - t_ns for t_ns in reversed(series.t_ns)),
        energy_j=tuple(series.energy_j[-1] - level_j for level_j in reversed(series.energy_j)),
    )


@pytest.mark.parametrize(
    ("tick_s", "t_s", "nearby_w"),
    [
        # The window is 0.1 s. It ends where the power rises, or holds 0.02 s of 600 W.
        (0.01, 6.9, 60.0),
        (0.01, 6.92, (0.08 * 60 + 0.02 * 600) / 0.1),
        (0.01, 7.0, 600.0),
        # The window is two ticks.
        (0.1, 6.8, 60.0),
        (0.1, 6.82, (0.18 * 60 + 0.02 * 600) / 0.2),
    ],
)
def test_a_tick_is_of_the_greater_mean_power_before_and_after(
    tick_s: float, t_s: float, nearby_w: float
) -> None:
    series = step_up(tick_s=tick_s)
    assert half_width_j(series, t_s) == pytest.approx(nearby_w * tick_s, rel=1e-9)
    # What lies before an edge counts as what lies after it.
    assert half_width_j(backwards(series), 14 - t_s) == pytest.approx(nearby_w * tick_s, rel=1e-9)


def test_near_the_ends_of_a_series_the_window_is_what_there_is() -> None:
    """600 W in the first and in the last 0.02 s, 60 W in between: no window is empty or goes on."""
    times = [5 + i * 0.02 for i in range(51)]
    levels = [0.0, *(12.0 + 1.2 * i for i in range(49)), 12.0 + 1.2 * 48 + 12.0]
    series = readings(*zip(times, levels, strict=True), tick_s=0.01)
    for t_s in (5.0, 5.02, 5.98, 6.0):
        power_w = 600.0 if t_s in (5.02, 5.98) else (12.0 + 4 * 1.2) / 0.1
        assert half_width_j(series, t_s) == pytest.approx(power_w * 0.01, rel=1e-9)


@pytest.mark.parametrize("after_s", [0.0005, 0.001, 0.009])
def test_a_step_right_before_the_end_of_a_series_is_the_energy_of_a_tick(after_s: float) -> None:
    """60 W in steps of 0.01 s. After the edge at 6 s the series holds one step and ends: that is
    0.6 J in a tick, and not in what is left of the series."""
    steps = [(5 + i * 0.01, 0.6 * i) for i in range(101)]
    series = readings(*steps, (6 + after_s, 0.6 * 101), tick_s=0.01)
    assert half_width_j(series, 6.0) == exactly(60.0 * 0.01)
    assert half_width_j(backwards(series), 5.0 + after_s) == exactly(60.0 * 0.01)


def test_of_a_sensor_the_power_counts_over_all_that_a_reading_may_describe() -> None:
    """A window of 1 s renewed every 0.1 s: 1.1 s on each side, and an edge of a quarter of it."""
    series = step_up(sensor=PowerSensor(window_s=1.0, period_s=0.1))
    assert half_width_j(series, 5.9) == pytest.approx(60.0 * 1.1 / 4, rel=1e-9)
    nearby_w = (1.04 * 60 + 0.06 * 600) / 1.1
    assert half_width_j(series, 5.96) == pytest.approx(nearby_w * 1.1 / 4, rel=1e-9)


def test_the_edge_of_a_counter_is_its_tick() -> None:
    assert edges.edge_s(domain(tick_s=0.02)) == 0.02
    assert edges.edge_s(domain(tick_s=None)) == edges.UNKNOWN_TICK_S == 0.1
    assert edges.edge_s(domain(sensor=PowerSensor(window_s=0.5, period_s=0.1))) == 0.15


# --- a counter that had not stepped when it was read -----------------------------------------


def test_a_value_that_just_changed_or_is_no_older_than_a_tick_holds_back_one_tick() -> None:
    """Nearby is 96 W: 120 J in the 1.25 s after it."""
    moved = readings((0, 0.0), (1, 60.0), (2, 120.0), (3.25, 240.0), tick_s=0.5)
    assert half_width_j(moved, 2.0) == exactly(96.0 * 0.5)
    young = readings((0, 0.0), (1, 60.0), (1.5, 60.0), (2.75, 180.0), tick_s=0.5)
    assert half_width_j(young, 1.5) == exactly(96.0 * 0.5)


def test_a_value_older_than_a_tick_holds_back_what_has_not_come() -> None:
    """At 96 W, 168 J are expected in the 1.75 s since the reading before the last step, and 60 J
    came with that step. One and a half ticks is the age from which on that counts."""
    late = readings((0, 0.0), (1, 60.0), (2, 120.0), (2.75, 120.0), (4, 240.0), tick_s=0.5)
    assert half_width_j(late, 2.75) == exactly(168.0 - 60.0)
    soon = readings((0, 0.0), (1, 60.0), (2, 120.0), (2.74, 120.0), (3.99, 240.0), tick_s=0.5)
    assert half_width_j(soon, 2.74) == exactly(96.0 * 0.5)


def test_the_step_before_may_be_the_series_first() -> None:
    late = readings((0, 0.0), (1, 20.0), (1.75, 20.0), (3, 140.0), tick_s=0.5)
    assert half_width_j(late, 1.75) == exactly(168.0 - 20.0)


def test_before_the_first_step_all_the_time_is_held_back() -> None:
    late = readings((0, 0.0), (0.75, 0.0), (2, 120.0), tick_s=0.5)
    assert half_width_j(late, 0.75) == exactly(96.0 * 0.75)


def test_what_came_in_excess_lessens_only_what_was_missing_before() -> None:
    """100 J came with the last step, more than 96 W explains: the 0.75 s since then remain."""
    late = readings((0, 0.0), (1, 100.0), (1.75, 100.0), (3, 220.0), tick_s=0.5)
    assert half_width_j(late, 1.75) == exactly(96.0 * 0.75)


def test_a_counter_without_ticks_holds_nothing_back_where_it_moved() -> None:
    uneven = readings((0, 0.0), (1, 10.0), (2, 110.0), tick_s=0.0)
    assert half_width_j(uneven, 1.0) == 0.0


def test_the_uncertainty_of_two_clocks_reaches_the_power_at_its_ends() -> None:
    """10 W until 5 s, then 100 W: 0.2 s before the step the mean of the next 0.4 s is 55 W."""
    points = [(i / 10, i if i <= 50 else 50 + 10.0 * (i - 50)) for i in range(101)]
    series = readings(*points)
    assert half_width_j(series, 4.8) == 0
    uncertain = msgspec.structs.replace(series, clock_s=0.2)
    assert half_width_j(uncertain, 4.8) == pytest.approx(55.0 * 0.2, rel=1e-9)
    assert half_width_j(uncertain, 2.0) == pytest.approx(10.0 * 0.2, rel=1e-9)
