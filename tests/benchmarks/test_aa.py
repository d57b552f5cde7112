"""The A/A benchmark: real runs, and the counting."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from permille.recorder.client import Recorder
from permille.records.energy import Estimate
from tests.conftest import LIMIT_W
from tests.powercap import Constant, FakePowercap

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def aa(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("aa")


def test_intervals_that_leave_out_1_are_counted(aa: ModuleType) -> None:
    energies = [
        Estimate(value=1.0, low=0.8, high=1.25),
        Estimate(value=1.5, low=1.25, high=1.8),
        Estimate(value=0.5, low=0.4, high=0.99),
        Estimate(value=1.0, low=None, high=None),
        None,
    ]
    of_times = Estimate(value=1.0, low=0.5, high=2.0)
    found = aa.summary([(energy, of_times) for energy in energies])
    assert found["time_half_width_median"] == pytest.approx(1.0)
    assert (found["ratios"], found["refused"], found["without_1"]) == (5, 2, 2)
    assert found["half_width_median"] == pytest.approx(0.25, abs=0.05)


@pytest.mark.measuring
def test_a_command_measured_against_itself(
    aa: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """At a constant power its energy is its time: the ratio is that of the times."""
    tree = FakePowercap(tmp_path / "powercap", dram=False, limit_w=LIMIT_W)
    monkeypatch.setenv("PERMILLE_POWERCAP", str(tree.root))
    monkeypatch.setenv("PERMILLE_METERS", "rapl")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with tree.drive({"cpu:0": Constant(60.0)}), Recorder(shared=True) as recorder:
        ((found, of_times),) = aa.same_twice(recorder, 1, 3, ["import time; time.sleep(0.3)"])
    assert found is not None
    assert found.low < of_times.value < found.high


def test_the_documentation_has_the_figures_of_the_run() -> None:
    cases = json.loads((BENCHMARKS / "results" / "aa.json").read_text())["cases"]
    text = (BENCHMARKS.parent / "docs" / "statistics.md").read_text()
    for case in cases.values():
        count, of = case["without_1"], case["ratios"]
        widths = (case["half_width_median"], case["time_half_width_median"])
        energy, time = (f"±{100 * width:.1f} %" for width in widths)
        assert f"| {count} of {of} ({100 * count / of:.1f} %) | {energy} | {time} |" in text
