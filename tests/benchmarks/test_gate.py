"""The benchmark of the gate: one real gate, the counting, and what the page says of the run."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import LIMIT_W
from tests.powercap import Constant, FakePowercap

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("gate")


def made(case: str, verdict: str, ratio: tuple[float, float, float] | None) -> dict[str, Any]:
    value, low, high = ratio or (None, None, None)
    return {
        "case": case, "load": 2.0, "verdict": verdict, "blocks": 12, "provenance": "estimated",
        "ratio": {"value": value, "low": low, "high": high},
        "reason": None if ratio else "too short", "took_s": 8.0,
    }  # fmt: skip


def test_verdicts_are_counted_at_the_limit_and_without_one(gate: ModuleType) -> None:
    gates = [
        made("equal", "pass", (1.02, 1.01, 1.03)),
        made("equal", "cannot-tell", (1.0, 0.9, 1.1)),
        made("equal", "cannot-tell", None),
        made("slower", "fail", (1.1, 1.08, 1.12)),
    ]
    equal, slower = gate.cases(gates).values()
    assert (equal["gates"], equal["refused"], equal["load"]) == (3, 1, 2.0)
    counts = {at: {v: equal[at][v]["count"] for v in gate.VERDICTS} for at in ("at_limit", "at_0")}
    assert counts["at_limit"] == {"pass": 1, "fail": 0, "cannot-tell": 2}
    assert counts["at_0"] == {"pass": 0, "fail": 1, "cannot-tell": 2}
    assert equal["at_limit"]["pass"]["low"] < 1 / 3 < equal["at_limit"]["pass"]["high"]
    assert slower["at_limit"]["fail"]["share"] == 1.0


@pytest.mark.measuring
def test_a_gate_runs_from_the_command_line_on(
    gate: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tree = FakePowercap(tmp_path / "powercap", dram=False, limit_w=LIMIT_W)
    monkeypatch.setenv("PERMILLE_POWERCAP", str(tree.root))
    monkeypatch.setenv("PERMILLE_METERS", "rapl")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(gate, "WORK", "import time; time.sleep({loops})")
    with tree.drive({"cpu:0": Constant(60.0)}):
        output = gate.gate(0.1, 2.4, 4)  # so much more that no delay makes up for it
    assert (output["blocks"], output["provenance"]) == (4, "measured")
    assert output["verdict"] == "fail"


def test_the_documentation_has_the_figures_of_the_run() -> None:
    runs = json.loads((BENCHMARKS / "results" / "gate.json").read_text())["runs"]
    text = (BENCHMARKS.parent / "docs" / "gate.md").read_text()
    rows = [(name, case, row) for name, run in runs.items() for case, row in run["cases"].items()]
    assert len(rows) == 3
    for name, case, row in rows:
        cells = [
            f"{row[at][verdict]['count']} ({100 * row[at][verdict]['low']:.0f} to"
            f" {100 * row[at][verdict]['high']:.0f} %)"
            for at, verdict in (("at_limit", "fail"), ("at_limit", "pass"), ("at_0", "fail"))
        ]
        assert f"| {name} | {case} | {row['gates']} | {' | '.join(cells)} |" in text
