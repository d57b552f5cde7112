"""The preset is the study: the cells of its shipped figures, no more and no fewer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from permille import presets
from permille.analysis.paper import published
from permille.cli import dispatch
from permille.cli.planning import load
from permille.study.plan import file
from permille.study.plan.selection import grid
from tests.optional import later

pytestmark = pytest.mark.slow

later("diffusers", "diffusers")
NAME = "power-hungry-2023"


def test_its_cells_are_the_studys() -> None:
    study = file.parse(presets.text(NAME), where=NAME, folder=Path.cwd())
    wanted = {
        (c.summary.cell.task, c.summary.cell.dataset, c.summary.cell.model): c.summary.cell.category
        for c in published.load().cells
    }
    assert len(grid(study)) == 312
    assert set(grid(study)) == set(wanted)
    categories = {model.id: model.category for model in study.models}
    assert all(categories[model] == category for (_, _, model), category in wanted.items())
    assert study.settings.name != published.NAME  # or its trials were taken for the published ones


def test_as_replicas_it_is_planned_without_a_network() -> None:
    plan = load(NAME, [], weights="replica")
    assert len(plan.cells) == 312
    assert all(planned.wanted is None and not planned.network for planned in plan.cells)
    assert all(planned.cell.settings["weights"] == "replica" for planned in plan.cells)
    by_key = {(p.cell.task, p.cell.dataset, p.cell.model): p.cell.settings for p in plan.cells}
    summary = by_key["summarization", "XSum", "google/flan-t5-base"]
    assert summary["max_new_tokens"] == round(1.3 * 12.95) + 1
    assert by_key["text-generation", "WikiText", "gpt2"]["max_new_tokens"] == 10
    assert "max_new_tokens" not in by_key["fill-mask", "C4", "roberta-base"]


def test_the_dry_run_says_what_it_takes(tmp_path: Path, capsys: Any) -> None:
    chosen = ["--tasks", "text-classification", "--models", "*distilbert*", "--weights", "replica"]
    store = ["--store", str(tmp_path / "none.db")]
    assert dispatch(["run", NAME, "--dry-run", "--json", *chosen, *store]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["cells"], said["trials"], said["models"], said["datasets"]) == (6, 60, 2, 3)
    assert said["downloads_gb"] == 0
    assert said["expected"]["seconds"] > 6 * 10 * 5  # the idle baselines alone
    assert "rough" in said["expected"]["basis"]
    assert not (tmp_path / "none.db").exists()
