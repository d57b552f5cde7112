"""The benchmark's page says what its JSON says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

WRITE = """
import json, sys
sys.path.insert(0, "benchmarks")
import report
names = ("peers", "gpu_traces", "fleet", "large_store")
results = [json.load(open(f"benchmarks/results/{name}.json")) for name in names]
print(report.markdown(*results), end="")
"""


def test_the_page_in_docs_is_that_of_the_figures() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITE], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout == (ROOT / "docs" / "benchmarks.md").read_text()


def test_the_figures_are_of_one_run_with_its_load() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "peers.json").read_text())
    assert found["schema"] == 1
    for part in ("accuracy", "overhead", "recorder", "start"):
        assert found[part]["load_before"] >= 0
    tools = {row["tool"] for row in found["accuracy"]["found"]["rows"]}
    assert tools == {"permille", "codecarbon", "zeus"}


def test_a_thousand_nodes_are_dealt_to_and_stored_within_what_is_promised() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "fleet.json").read_text())
    assert (found["trials"], found["nodes"]) == (1_000_000, 1_000)
    assert found["peak_mb"] < 1_000
    assert found["block_ms"] < 1
    assert found["trials_per_cpu_s"] > 1_000
