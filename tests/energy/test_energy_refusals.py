"""The limits at which a span's figure is refused, on both sides of each."""

from __future__ import annotations

import itertools
import math

import pytest

from permille.energy import edges, levels
from permille.energy.span_energy import span_energy
from permille.records.energy import Refused
from permille.records.recording import Event, PowerSensor, Series, Span
from tests.energy_series import (
    S,
    constant,
    figure_of,
    readings,
    reason_of,
    span,
    stopping,
)


@pytest.mark.parametrize(("t0_s", "t1_s"), [(0.0, 5.0), (5.0, 10.0), (0.0, 10.0)])
def test_a_span_may_begin_and_end_with_the_series(t0_s: float, t1_s: float) -> None:
    figure = figure_of(span_energy(constant(60.0, 10.0, tick_s=0.01), span(t0_s, t1_s)))
    assert figure.energy_j == pytest.approx(60.0 * (t1_s - t0_s))


@pytest.mark.parametrize(("t0_s", "t1_s"), [(1.0, 2.0), (4.0, 5.0), (1.0, 5.0), (3.0, 3.5)])
def test_an_event_that_touches_an_edge_voids_the_span(t0_s: float, t1_s: float) -> None:
    reset = Event(t0_ns=round(t0_s * S), t1_ns=round(t1_s * S), kind="invalid", reason="reset")
    result = span_energy(constant(60.0, 10.0), span(2, 4), [reset])
    assert result == Refused(reason="reset")


# --- too short -------------------------------------------------------------------------------


@pytest.mark.parametrize("power_w", [60.0, 5.0])
def test_how_uncertain_and_how_long_would_be_enough(power_w: float) -> None:
    """Two edges of one tick of 0.1 s are √(2/3) of the energy of 0.1 s, k = 1: ±163 % of it, k = 2.
    1.3 s at that power have them at half of the quarter that is acceptable."""
    reason = reason_of(span_energy(constant(power_w, 10.0, tick_s=0.1), span(1.0, 1.1)))
    assert reason == (
        "too short for rapl: 0.1 s is uncertain by ±163 % from its edges alone;"
        " about 1.3 s is enough"
    )


def test_ten_ticks_are_the_least_that_is_advised() -> None:
    sensor = PowerSensor(window_s=0.1, period_s=0.1)
    series = constant(60.0, 10.0, tick_s=0.1, sensor=sensor)
    reason = reason_of(span_energy(series, span(1.0, 1.3)))
    assert reason.endswith("is uncertain by ±27 % from its edges alone; about 1 s is enough")


def test_a_small_energy_with_sharp_edges_is_a_figure() -> None:
    """Half a joule in 0.1 s, by a counter that ticks every millisecond."""
    series = constant(5.0, 10.0, tick_s=0.001)
    assert figure_of(span_energy(series, span(1.0, 1.1))).energy_j == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("tick_s", "still_s", "enough"), [(0.001, 0.5, "0.5"), (0.1, 0.5, "1"), (0.2, 1.0, "2")]
)
def test_a_still_counter_counts_from_half_a_second_and_five_ticks_on(
    tick_s: float, still_s: float, enough: str
) -> None:
    off = readings((0, 0.0), (10, 0.0), name="ane:0", tick_s=tick_s)
    assert figure_of(span_energy(off, span(2.0, 2.0 + still_s))).energy_j == 0.0
    reason = reason_of(span_energy(off, span(2.0, 2.0 + still_s - 0.01)))
    assert reason.endswith(f"passed between two of its ticks; about {enough} s is enough")


@pytest.mark.parametrize("resolution_j", [0.0, None])
@pytest.mark.parametrize("moves_after", [True, False])
def test_a_counter_that_moves_around_a_still_span_may_have_moved_in_it(
    resolution_j: float | None, moves_after: bool
) -> None:
    """It moves up to 2 s: at that edge a tick of 60 W may be missing. With no resolution stated,
    nothing may."""
    after_j = 240.0 if moves_after else 120.0
    series = readings(
        (0, 0.0),
        (2, 120.0),
        (4, 120.0),
        (6, after_j),
        name="ane:0",
        tick_s=0.001,
        resolution_j=resolution_j,
    )
    assert "too short" in reason_of(span_energy(series, span(2.0, 4.0)))


# --- a sensor that samples a part of the time ------------------------------------------------

PART = PowerSensor(window_s=0.025, period_s=0.1, sampled=0.25)


def uneven(sensor: PowerSensor) -> Series:
    """Joules in each 0.1 s: 4 and 6 in turn, from 4 s on 3 and 7, from 8 s on 5."""
    swing_j = [1.0] * 40 + [2.0] * 40 + [0.0] * 100
    levels_j = [0.0]
    for i, most_j in enumerate(swing_j):
        levels_j.append(levels_j[-1] + 5.0 + (-most_j if i % 2 else most_j))
    return readings(*((i / 10, level_j) for i, level_j in enumerate(levels_j)), sensor=sensor)


def only_edges_j(series: Series, query: Span) -> float:
    """The uncertainty of the two edges alone."""
    return math.hypot(*(edges.edge_j(series, t_ns) for t_ns in (query.t0_ns, query.t1_ns)))


def test_25_updates_are_enough_for_a_sensor_that_samples_in_part() -> None:
    series = constant(60.0, 20.0, sensor=PART)
    assert figure_of(span_energy(series, span(5.0, 7.5)))
    assert reason_of(span_energy(series, span(5.0, 7.499))) == (
        "too short for rapl: its sensor samples 25 % of the time, every 0.1 s; 2.5 s is enough"
    )


def test_what_the_sensor_did_not_sample_is_in_the_edges() -> None:
    """Readings that differ by 4 J from one to the next, three quarters of them unseen: 40 updates
    of √(0.75 · 4² / 2) J each."""
    series, query = uneven(PART), span(4.0, 8.0)
    unseen_j = math.sqrt(0.75 * 4**2 / 2 * 40)
    expected_j = math.hypot(only_edges_j(series, query), unseen_j)
    assert figure_of(span_energy(series, query)).edge_j == pytest.approx(expected_j)


def test_an_even_power_leaves_only_the_edges() -> None:
    series, query = uneven(PART), span(10.0, 14.0)
    figure = figure_of(span_energy(series, query))
    assert figure.edge_j == pytest.approx(only_edges_j(series, query))


def test_a_sensor_that_samples_all_of_the_time_sees_a_slow_swing_as_it_is() -> None:
    """The same swing might be a beat to one that samples a quarter."""
    swing_j = [5.0 + math.sin(i / 10) for i in range(200)]
    points = [(i / 10, level_j) for i, level_j in enumerate(itertools.accumulate(swing_j))]
    query = span(4.0, 10.0)
    whole = readings(*points, sensor=PowerSensor(window_s=0.025, period_s=0.1))
    figure = figure_of(span_energy(whole, query))
    assert figure.edge_j == pytest.approx(only_edges_j(whole, query))
    in_part = figure_of(span_energy(readings(*points, sensor=PART), query))
    assert in_part.edge_j > 10 * figure.edge_j


# --- less than hardware draws ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpu:0", "node:0"])
def test_the_least_power_of_hardware_in_use_is_a_power(name: str) -> None:
    least = constant(0.5, 10.0, step_s=1.0, name=name)
    assert figure_of(span_energy(least, span(2.0, 8.0))).energy_j == 3.0
    less = constant(0.49, 10.0, step_s=1.0, name=name)
    assert reason_of(span_energy(less, span(2.0, 8.0))) == (
        f"rapl reads 0.49 W: a {name[:-2]} in use draws more, so that is not its power"
    )


@pytest.mark.parametrize(
    ("edges_s", "longest_s"),
    [
        ((4.0, 6.0), 0.25),  # a tenth of the span would be 0.2 s: at least 0.25 s
        ((3.0, 7.0), 0.4),  # a tenth of the span
        ((1.0, 9.0), 0.5),  # a tenth would be 0.8 s: at most 0.5 s
    ],
)
def test_a_counter_may_stand_still_for_a_tenth_of_the_span(
    edges_s: tuple[float, float], longest_s: float
) -> None:
    still = stopping("cpu:0", (5.0, 5.0 + longest_s), per_s=100)
    assert figure_of(span_energy(still, span(*edges_s)))
    stopped = stopping("cpu:0", (5.0, 5.01 + longest_s), per_s=100)
    reason = reason_of(span_energy(stopped, span(*edges_s)))
    assert reason == (
        f"rapl stopped: its counter stood still for {longest_s + 0.01:.3g} s"
        f" of {edges_s[1] - edges_s[0]:.3g} s"
    )


def test_a_slow_counter_may_stand_still_for_ten_ticks() -> None:
    slow = stopping("gpu:0", (4.0, 5.0), tick_s=0.1)
    assert figure_of(span_energy(slow, span(0.0, 10.0)))
    stopped = stopping("gpu:0", (4.0, 5.1), tick_s=0.1)
    assert "stood still for 1.1 s" in reason_of(span_energy(stopped, span(0.0, 10.0)))


@pytest.mark.parametrize(("stop_s", "is_a_stop"), [(1.9, False), (2.2, True)])
def test_a_coarse_counter_may_stand_still_for_three_steps(stop_s: float, is_a_stop: bool) -> None:
    """Steps of 30 J. Of 8 s at 60 W, 1.9 s are missing: 45.75 W, so three steps take 1.97 s. With
    2.2 s missing it is 43.5 W: 2.07 s."""
    coarse = stopping("node:0", (4.0, 4.0 + stop_s), resolution_j=30.0)
    result = span_energy(coarse, span(1.0, 9.0))
    assert isinstance(result, Refused) == is_a_stop


def test_a_counter_of_unknown_resolution_has_no_steps_to_wait_for() -> None:
    levels = [0.1 * min(i, 40) + 0.1 * max(0, i - 60) for i in range(101)]
    points = ((i / 10, level_j) for i, level_j in enumerate(levels))
    dram = readings(*points, name="dram:0", tick_s=0.001, resolution_j=None)
    assert "stood still for 2 s" in reason_of(span_energy(dram, span(0.0, 10.0)))


@pytest.mark.parametrize(
    ("t0_s", "t1_s", "longest_s"),
    [
        (0.5, 6.0, 2.0),
        (0.25, 2.5, 0.75),  # within the first gap of the series
        (3.5, 4.25, 0.75),  # cut off at both edges
        (0.5, 4.0, 1.0),
        (4.5, 6.5, 0.5),
        (1.0, 3.0, 0.0),  # it moves from reading to reading
    ],
)
def test_the_longest_time_without_a_change_is_that_within_the_span(
    t0_s: float, t1_s: float, longest_s: float
) -> None:
    series = readings(
        (0, 0.0), (1, 0.0), (2, 10.0), (3, 20.0), (4, 20.0), (5, 20.0), (6, 30.0), (7, 40.0)
    )
    assert levels.longest_still_s(series, span(t0_s, t1_s)) == longest_s
