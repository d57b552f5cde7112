"""Sensors that sample a part of the time: independent samples, beats, and changes of load."""

from __future__ import annotations

import math
import random
import statistics

import msgspec
import pytest

from permille.energy import part_time
from permille.records.recording import PowerSensor, Span

SENSOR = PowerSensor(window_s=0.025, period_s=0.1, sampled=0.25)


def readings(load_period_s: float, updates: int, phase_s: float = 0.0) -> list[float]:
    """Joules of each update: what the sensor sees of a square wave from 50 to 150 W."""
    energy = []
    for update in range(updates):
        looks = [phase_s + update * SENSOR.period_s + i * 0.001 for i in range(25)]
        high = sum((t % load_period_s) < load_period_s / 2 for t in looks) / 25
        energy.append((50 + 100 * high) * SENSOR.period_s)
    return energy


def test_a_constant_power_leaves_nothing_uncertain() -> None:
    assert part_time.uncertainty_j([5.0] * 40, SENSOR) == 0.0


def test_a_sensor_that_sees_everything_needs_no_least_span() -> None:
    assert part_time.least_s(None) == 0.0
    assert part_time.least_s(PowerSensor(window_s=0.1, period_s=0.1)) == 0.0
    assert part_time.least_s(SENSOR) == pytest.approx(2.5)


def test_only_a_sensor_that_sees_less_than_all_samples_in_part() -> None:
    assert part_time.samples_in_part(SENSOR)
    assert not part_time.samples_in_part(PowerSensor(window_s=0.1, period_s=0.1))
    assert not part_time.samples_in_part(None)


@pytest.mark.parametrize("period_s", [0.096, 0.097, 0.103, 0.104])
@pytest.mark.parametrize("updates", [25, 30, 40, 55, 80])
@pytest.mark.parametrize("phase_s", [0.0, 0.03, 0.06])
def test_a_slow_beat_is_within_twice_what_is_stated(
    period_s: float, updates: int, phase_s: float
) -> None:
    steps_j = readings(period_s, updates, phase_s)
    truth_j = 100 * SENSOR.period_s * updates
    assert abs(sum(steps_j) - truth_j) <= 2 * part_time.uncertainty_j(steps_j, SENSOR)


def test_a_load_that_starts_is_no_beat() -> None:
    step = [6.0] * 20 + [12.0] + [19.0] * 20
    assert part_time.beat_j(step) == 0.0
    assert 2 * part_time.uncertainty_j(step, SENSOR) < 0.025 * sum(step)


def test_independent_samples_are_as_uncertain_as_their_mean() -> None:
    draw = random.Random(1)
    steps_j = [draw.gauss(10.0, 1.0) for _ in range(4000)]
    beat_j = part_time.beat_j(steps_j)
    spread_j = math.sqrt(part_time.uncertainty_j(steps_j, SENSOR) ** 2 - beat_j**2 / 3)
    assert spread_j == pytest.approx(math.sqrt(0.75 * 4000), rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("parts", [2, 4, 10])
def test_of_work_that_changes_at_random_the_error_is_what_is_stated(parts: int) -> None:
    """The sensor sees one of so many equal parts of each update."""
    sensor = msgspec.structs.replace(SENSOR, sampled=1 / parts)
    draw = random.Random(2)
    scores = []
    for _ in range(200):
        steps_j, truth_j = [], 0.0
        for _ in range(200):
            part_j = [draw.gauss(10.0, 2.0) for _ in range(parts)]
            steps_j.append(parts * part_j[0])
            truth_j += sum(part_j)
        beat_j = part_time.beat_j(steps_j)
        spread_j = math.sqrt(part_time.uncertainty_j(steps_j, sensor) ** 2 - beat_j**2 / 3)
        scores.append((sum(steps_j) - truth_j) / spread_j)
    assert statistics.pstdev(scores) == pytest.approx(1.0, rel=0.1)


def test_work_in_step_with_the_sensor_leaves_no_trace() -> None:
    """Calls of exactly one update: why there are pauses."""
    steps_j = readings(0.1, 50, phase_s=0.01)
    assert part_time.uncertainty_j(steps_j, SENSOR) == pytest.approx(0.0, abs=1e-9)
    assert sum(steps_j) == pytest.approx(1.5 * 100 * 5.0)


def paused_span(seconds: float, draw: random.Random) -> Span:
    """A pause after every 25 updates, of up to one update, as the runner asks for."""
    t_ns, pauses = 0, []
    while (t_ns := t_ns + round(2.5e9)) < seconds * 1e9 - 1e9:
        pauses.append((t_ns, t_ns := t_ns + round(draw.uniform(0.0, 0.1e9))))
    return Span(name="query", t0_ns=0, t1_ns=round(seconds * 1e9), pauses=tuple(pauses))


def test_segments_lie_between_the_pauses() -> None:
    second = 10**9
    pauses = ((2 * second, 3 * second), (5 * second, 6 * second), (6 * second + 1, 7 * second))
    span = Span(name="query", t0_ns=0, t1_ns=9 * second, pauses=pauses)
    assert part_time.segments(span, SENSOR) == [
        (0, 2 * second),
        (3 * second, 5 * second),
        (7 * second, 9 * second),
    ]


def test_a_segment_has_ten_updates_at_least() -> None:
    whole = Span(name="query", t0_ns=0, t1_ns=10**9)
    assert part_time.segments(whole, SENSOR) == [(0, 10**9)]
    assert part_time.segments(msgspec.structs.replace(whole, t1_ns=10**9 - 1), SENSOR) == []


def test_segments_that_agree_leave_nothing_uncertain() -> None:
    assert part_time.between_segments_j([80.0] * 8, 20.0) == 0.0
    assert part_time.between_segments_j([79.0, 81.0] * 4, 20.0) == pytest.approx(
        20.0 * math.sqrt(7 / 5) * math.sqrt(8 / 7) / math.sqrt(8)
    )


@pytest.mark.slow
@pytest.mark.parametrize("load_period_s", [0.05, 0.1, 0.2, 0.0995])
def test_pauses_make_work_in_step_with_the_sensor_certain_to_its_bounds(
    load_period_s: float,
) -> None:
    """Of 100 spans, with the sensor's gain as in every figure."""
    outside, worst = 0, 0.0
    for seed in range(100):
        draw = random.Random(seed)
        span = paused_span(50.0, draw)
        steps_w, truth_j, at_s = [], 0.0, draw.uniform(0.0, 0.1)
        segments = part_time.segments(span, SENSOR)
        for t0_ns, t1_ns in segments:
            updates = round((t1_ns - t0_ns) / 1e8)
            phase_s = (at_s - t0_ns / 1e9) % load_period_s
            steps_w.append(sum(readings(load_period_s, updates, phase_s)) / updates / 0.1)
            truth_j += 100.0 * (t1_ns - t0_ns) / 1e9
        seconds = sum(b - a for a, b in segments) / 1e9
        energy_j = seconds * sum(steps_w) / len(steps_w)
        error_j = energy_j - truth_j
        stated_j = 2 * part_time.between_segments_j(steps_w, seconds)
        outside += abs(error_j) > math.hypot(stated_j, 0.05 * energy_j)
        worst = max(worst, abs(error_j) / truth_j)
    assert outside <= 5
    assert worst < 0.3


def course(*turns_j: float) -> list[float]:
    """From turn to turn in steps of 0.5 J, which are not abrupt in a range of 4 J."""
    steps_j = [turns_j[0]]
    for turn_j in turns_j[1:]:
        while steps_j[-1] != turn_j:
            steps_j.append(steps_j[-1] + math.copysign(0.5, turn_j - steps_j[-1]))
    return steps_j


@pytest.mark.parametrize(
    ("steps_j", "beat_j"),
    [
        # A slow rise about its middle of 0.45 J: the upper half has 0.05 + 0.15 + … + 0.45 J.
        ([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], 1.25),
        # From 3 J up to 5 J and down again: 0.5 + 1 + 1.5 + 2 + 1.5 + 1 + 0.5 J.
        (course(1, 5, 1), 8.0),
        # The longer of two such halves counts: this one has two updates more at 2 J above.
        ([*course(1, 5, 1, 5), 5.0, 5.0, *course(4.5, 1)], 12.0),
        # Two swings with the middle between them only touched are one half, above or below.
        (course(1, 5, 3, 5, 1), 16.0),
        (course(5, 1, 3, 1, 5), 16.0),
    ],
)
def test_a_beat_is_what_the_longer_half_has_too_much(steps_j: list[float], beat_j: float) -> None:
    assert part_time.beat_j(steps_j) == pytest.approx(beat_j, rel=1e-12)


@pytest.mark.parametrize("at", [1, 2, 3, 10, 18, 19])
@pytest.mark.parametrize("change_j", [6.0, -4.0])
def test_a_change_of_load_anywhere_in_a_span_is_no_beat(at: int, change_j: float) -> None:
    assert part_time.beat_j([5.0] * at + [5.0 + change_j] * (20 - at)) == 0.0


def slowly(from_j: float) -> list[float]:
    """Three updates at each of four levels on the way to 10 J, and two there."""
    levels = [from_j + i * (10.0 - from_j) / 4 for i in range(4)]
    return [level_j for level_j in levels for _ in range(3)] + [10.0, 10.0]


@pytest.mark.parametrize(
    ("steps_j", "beat_j"),
    [
        # Without the jump of 6 J, seven updates are 2 J below the middle of the rest, three 1 J.
        ([0.0, 0.0, 0.0, 0.0, *slowly(6.0)], 7 * 2.0 + 3 * 1.0),
        # Spread over three updates it is a jump, over four it is none.
        ([0.0, 0.0, 0.0, 0.0, 2.0, 4.0, *slowly(6.0)], 9 * 2.0 + 3 * 1.0),
        ([0.0, 0.0, 0.0, 0.0, 1.0, 2.5, 4.5, *slowly(6.0)], 3 * (1 + 2 + 3 + 4) + 2 * 5.0),
        # Less than six tenths of the range is none either.
        ([0.0, 0.0, 0.0, 0.0, *slowly(5.9)], 3 * (0.9 + 1.925 + 2.95 + 3.975) + 2 * 5.0),
    ],
)
def test_six_tenths_of_the_range_within_three_updates_are_a_change_of_load(
    steps_j: list[float], beat_j: float
) -> None:
    assert part_time.beat_j(steps_j) == pytest.approx(beat_j, rel=1e-12)
