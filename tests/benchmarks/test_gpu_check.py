"""The check for GPU machines, as far as a fake NVML allows."""

from __future__ import annotations

import importlib
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from permille.meters import Reading
from tests.conftest import PATIENCE_S
from tests.nvml import FakeNvml

pytestmark = pytest.mark.measuring

MS = 1_000_000
ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu_check.py"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=PATIENCE_S,
    )


def test_without_a_gpu_it_is_not_run(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path)
    fake.script("init=9")
    done = run(**fake.environment)
    assert done.returncode == 0
    assert done.stdout.startswith("not run: NVML:")


def test_the_tick_and_the_power_of_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter of 70 W that steps every 20 ms, read every 5 ms; once the reader was late."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    gpu_check = importlib.import_module("gpu_check")
    at_ms = [*range(0, 400, 5), 450, *range(460, 1000, 5)]
    readings = [Reading("gpu:0", t * MS, energy_j=70.0 * (t // 20 * 20) / 1e3) for t in at_ms]
    found = gpu_check.ticks(readings)
    assert (found["tick_s"], found["tick_most_s"]) == (0.02, 0.07)
    assert found["idle_w"] == pytest.approx(70.0)
    assert gpu_check.mean_w(readings) == pytest.approx(70.0)
    powers = [(t / 1e3, 70.0) for t in range(0, 980, 7)]
    compared = gpu_check.compared(readings[0], readings[-4], powers)
    assert compared == pytest.approx({"counter_w": 70.0, "power_w": 70.0, "ratio": 1.0})


SENSOR = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import gpu_check
from permille.meters.nvml import open_meter
from pathlib import Path

script, watts = Path(sys.argv[2]), iter(range(200_000, 10_000_000, 100))
rest = script.read_text()

def infer():
    new = script.with_suffix(".new")
    new.write_text(rest.replace("instant_mw=50000", f"instant_mw={next(watts)}"))
    new.replace(script)
    time.sleep(0.05)

gpu_check.LOAD_STEPS = 1
found = gpu_check.sensor(open_meter(), infer)
print(json.dumps([found, gpu_check._sensor_lines(found)]))
"""


@pytest.mark.campaign
def test_the_sensor_step_on_a_fake_gpu_whose_power_follows_the_load(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path)
    fake.script("gpu0.capability=86", "gpu0.energy_rc=3", "gpu0.instant_mw=50000")
    program = [sys.executable, "-c", SENSOR, str(SCRIPT.parent), fake.environment["FAKE_NVML"]]
    done = subprocess.run(
        program, capture_output=True, text=True, env=os.environ | fake.environment, check=True
    )
    found, lines = json.loads(done.stdout)
    assert list(found) == ["gpu:0 instant", "gpu:0 power"]
    instant = found["gpu:0 instant"]
    assert instant["taken"]["window_s"] == 0.1
    assert instant["measured"]["steps"] == 1
    assert instant["measured"]["rise_s"] is None
    assert lines[0].startswith("gpu:0 instant: updated every ")
    assert "averaged over at most " in lines[0]
    assert lines[1] == "gpu:0 power: no step of load in it"


@pytest.mark.campaign
def test_on_a_fake_gpu_of_known_power_and_tick(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path)
    fake.script("count=2", "gpu0.power_mw=70000", "gpu0.tick_ms=20", "gpu1.energy_rc=3")
    out = tmp_path / "gpu.json"
    done = run(
        "--seconds", "4", "--steps", "counter,agreement,adding_up,reads,sensor,added,replicas",
        "--json", str(out),
        PERMILLE_METERS="nvml", TMPDIR=str(tmp_path), **fake.environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert found["devices"] == {"gpu:0": "Fake GPU", "gpu:1": "Fake GPU"}
    of_counter = found["counter"]["gpu:0"]
    assert of_counter["tick_least_s"] <= of_counter["tick_s"] <= of_counter["tick_most_s"]
    assert found["counter"]["gpu:1"]["tick_s"] is None
    assert found["agreement"]["gpu:0"]["power_w"] == pytest.approx(70.0)
    assert found["agreement"]["gpu:0"]["ratio"] > 0
    assert found["agreement"]["gpu:1"]["ratio"] is None
    sums = found["adding_up"]["gpu:0"]
    assert math.isclose(sums["first_j"] + sums["second_j"] + sums["rest_j"], sums["both_j"])
    assert abs(sums["rest_j"]) <= sums["stated_j"]
    tick = re.search(r"tick +([\d.]+) ms", done.stdout)
    assert tick is not None
    assert float(tick[1]) == pytest.approx(1e3 * of_counter["tick_s"], rel=0.01)
    assert set(found["reads"]["gpu:0"]) == {"1", "0.1", "0.01"}
    assert all(watts > 0 for watts in found["reads"]["gpu:0"].values())
    assert set(found["reads"]["gpu:1"].values()) == {None}
    for step in ("sensor", "added", "replicas"):
        assert found[step] == "not run: torch with CUDA cannot be imported"
        assert f"{step}: not run" in done.stdout
