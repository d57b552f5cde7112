"""Sensors that sample a part of the time: independent samples, beats, and changes of load."""

from __future__ import annotations

import math
import random

import pytest

from permille import part_time
from permille.records import PowerSensor

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
    assert 2 * part_time.uncertainty_j(step, SENSOR) < 0.02 * sum(step)


def test_independent_samples_are_as_uncertain_as_their_mean() -> None:
    draw = random.Random(1)
    steps_j = [draw.gauss(10.0, 1.0) for _ in range(4000)]
    beat_j = part_time.beat_j(steps_j)
    spread_j = math.sqrt(part_time.uncertainty_j(steps_j, SENSOR) ** 2 - beat_j**2 / 3)
    assert spread_j == pytest.approx(0.75 * math.sqrt(4000), rel=0.05)
