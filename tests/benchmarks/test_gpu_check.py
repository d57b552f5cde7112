"""The check for GPU machines, as far as a fake NVML allows."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.nvml import FakeNvml

pytestmark = pytest.mark.measuring

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu_check.py"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=120,
    )


def test_without_a_gpu_it_is_not_run(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path)
    fake.script("init=9")
    done = run(**fake.environment)
    assert done.returncode == 0
    assert done.stdout.startswith("not run: NVML:")


@pytest.mark.campaign
def test_on_a_fake_gpu_of_known_power_and_tick(tmp_path: Path) -> None:
    fake = FakeNvml(tmp_path)
    fake.script("count=2", "gpu0.power_mw=70000", "gpu0.tick_ms=20", "gpu1.energy_rc=3")
    out = tmp_path / "gpu.json"
    done = run(
        "--seconds", "6", "--json", str(out),
        PERMILLE_METERS="nvml", TMPDIR=str(tmp_path), **fake.environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert found["devices"] == {"gpu:0": "Fake GPU", "gpu:1": "Fake GPU"}
    assert found["counter"]["gpu:0"]["tick_s"] == pytest.approx(0.02, rel=0.2)
    assert found["counter"]["gpu:0"]["idle_w"] == pytest.approx(70.0, rel=0.05)
    assert found["counter"]["gpu:1"]["tick_s"] is None
    assert found["agreement"]["gpu:0"]["ratio"] == pytest.approx(1.0, rel=0.05)
    assert found["agreement"]["gpu:1"]["ratio"] is None
    sums = found["adding_up"]["gpu:0"]
    assert math.isclose(sums["first_j"] + sums["second_j"] + sums["rest_j"], sums["both_j"])
    assert abs(sums["rest_j"]) <= sums["stated_j"]
    tick = re.search(r"tick +([\d.]+) ms", done.stdout)
    assert tick is not None
    assert float(tick[1]) == pytest.approx(20, rel=0.3)
    assert found["added"] == "not run: no load" or "added_us" in found["added"]
