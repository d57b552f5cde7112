"""The simulated fleet goes through the real driver and store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_trial_of_a_small_fleet_is_stored_once_over_two_runs() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/fleet.py", "2000", "20"],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["trials"] == 2000
    assert found["cells"] == 1000
