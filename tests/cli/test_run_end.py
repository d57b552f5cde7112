"""What a run proposes at its end: a command that reads its store, and a way to start over."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from permille.analysis.cell_summary import Summary
from permille.analysis.summaries import summarise
from permille.cli.run_end import _next_command, _not_made, _to_compare
from permille.study.run.tally import RunTally
from tests.records import cell, trial


@pytest.mark.parametrize(
    ("variable", "store", "named"),
    [
        (None, "permille.db", False),
        (None, "other.db", True),
        ("other.db", "other.db", False),
        ("other.db", "permille.db", True),
    ],
)
def test_the_proposed_command_reads_the_store_of_the_run(
    variable: str | None, store: str, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PERMILLE_STORE", raising=False)
    if variable is not None:
        monkeypatch.setenv("PERMILLE_STORE", variable)
    command = _next_command(["a", "b"], argparse.Namespace(store=Path(store), store_url=None))
    assert command.startswith("permille compare b a")
    assert (f"--store {store}" in command) is named


def test_only_models_that_can_be_compared_are_proposed() -> None:
    def summary(model: str, dataset: str = "reviews", **changed: Any) -> Summary:
        one = cell(model, id=f"{model}-{dataset}", dataset=dataset)
        (found,) = summarise([trial(uid=model, cell=one, **changed)], "compute")
        return found

    alone = summary("alone", "others")
    failed = summary("failed", status="failed", reason="boom")
    assert _to_compare([alone, summary("a"), failed]) == []
    assert _to_compare([alone, summary("a"), failed, summary("b")]) == ["a", "b"]


@pytest.mark.parametrize(
    ("engine", "way"), [("local", "--fresh"), ("ray", "--fresh"), ("slurm", "a new --store")]
)
def test_what_was_given_up_is_started_over_as_the_engine_allows(engine: str, way: str) -> None:
    ((line, _),) = _not_made(RunTally(given_up=2), engine)
    assert line.endswith(f"start over with {way}")
