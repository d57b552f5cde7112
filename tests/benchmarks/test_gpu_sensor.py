"""The window of a sensor from steps of load: on curves of known windows, and on real recordings."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.shared import shared

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
STEPS = [4.0, 8.033, 12.066, 16.099, 20.05, 24.071]
"""The load goes on and off, at other phases of the updates each time."""


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def energy_j(start_s: float, end_s: float) -> float:
    """50 W, and 250 W while the load is on."""
    on = zip(STEPS[::2], STEPS[1::2], strict=True)
    busy_s = sum(max(0.0, min(end_s, off) - max(start_s, at)) for at, off in on)
    return 50.0 * (end_s - start_s) + 200.0 * busy_s


def readings(window_s: float, period_s: float) -> list[tuple[float, float]]:
    """Polled every 5 ms: the mean of the window before the latest update, and a little noise."""
    points = []
    for poll in range(200, 5600):
        update = int(poll * 0.005 / period_s + 1e-9)
        update_s = update * period_s
        mean_w = energy_j(update_s - window_s, update_s) / window_s
        points.append((poll * 0.005, mean_w + (0.2 if update % 2 else -0.2)))
    return points


@pytest.mark.parametrize("window_s", [0.025, 0.1, 1.0])
def test_the_window_and_the_period_are_those_of_the_curve(load: Any, window_s: float) -> None:
    sensor = load("gpu_sensor").response(readings(window_s, 0.1), STEPS, energy_j)
    assert sensor.period_s == pytest.approx(0.1, abs=0.006)
    assert sensor.rise_s == pytest.approx(0.0, abs=1e-9)
    assert sensor.window_s == pytest.approx(window_s, abs=0.04)
    assert sensor.steps == 6


def test_without_a_step_there_is_nothing_to_say(load: Any) -> None:
    module = load("gpu_sensor")
    idle = [(i * 0.005, 50.0 + i % 2) for i in range(5000)]
    assert module.response(idle, STEPS, None) is None
    assert module.response(readings(0.1, 0.1), [], None) is None
    assert module.interpolated([(0.0, 1.0)]) is None


def test_a_counter_gives_the_rise_of_the_gpu_itself(load: Any) -> None:
    module = load("gpu_sensor")
    between = module.interpolated([(i * 0.02, energy_j(0.0, i * 0.02)) for i in range(1500)])
    assert between(2.0, 9.0) == pytest.approx(energy_j(2.0, 9.0), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "reading", "window_s"),
    [
        ("3090_step", "average", 1.0),
        ("3090_step", "instant", 0.1),
        ("A100_step", "average", 0.025),
        ("A100_step", "instant", 0.025),
    ],
)
def test_published_recordings_give_the_published_windows(
    load: Any, name: str, reading: str, window_s: float
) -> None:
    """Two steps each, so that the phase of the updates leaves a few hundredths of a second."""
    recording = load("gpu_recordings").load(shared(f"gpu_power_traces/{name}"))
    base_ns = recording.phases_ns[0]

    def at_ns(seconds: float) -> int:
        return int(base_ns + round(seconds * 1e9))

    points = [
        ((t_ns - base_ns) / 1e9, watts)
        for t_ns, watts in zip(recording.read_ns, recording.power_w[reading], strict=True)
    ]
    steps_s = [(t_ns - base_ns) / 1e9 for t_ns in recording.phases_ns]
    sensor = load("gpu_sensor").response(
        points, steps_s, lambda start, end: recording.truth_j(at_ns(start), at_ns(end))
    )
    assert sensor.period_s == pytest.approx(0.1, abs=0.005)
    assert sensor.window_s == pytest.approx(window_s, abs=0.07)
    bound = load("gpu_sensor").response(points, steps_s, None)
    assert bound.rise_s is None
    assert bound.window_s > window_s  # the GPU's own rise is in it


def test_the_summary_of_a_study_is_of_its_finished_trials(load: Any) -> None:
    line = {
        "trial": "t1", "task": "text-generation", "dataset": "d", "model": "m", "status": "done",
        "reason": None, "inferences": 100,
        "domains": {"gpu:0": {"energy_j": 50.0}, "cpu:0": {"energy_j": 9.0}},
    }  # fmt: skip
    failed = line | {"trial": "t2", "status": "failed", "reason": "out of memory", "domains": {}}
    lines = [json.dumps(one) for one in (line, line | {"trial": "t3"}, failed)]
    assert load("gpu_studies").summary(lines) == {
        "trials": {"done": 2, "failed": 1},
        "cells": 1,
        "gpu_j_per_1000": {"m": {"gpu:0": 500.0}},
        "reasons": ["out of memory"],
    }


@pytest.mark.slow
def test_a_study_that_cannot_run_says_why(load: Any, tmp_path: Path) -> None:
    found = load("gpu_studies").study([str(tmp_path / "none.toml")], 60.0)
    assert (found["trials"], found["cells"]) == ({}, 0)
    assert "none.toml" in found["reason"]
