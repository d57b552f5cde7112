"""What a run proposes at its end: a command that reads its store, and a way to start over."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from permille.cli.run_end import _next_command, _not_made
from permille.study.run.tally import RunTally


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


@pytest.mark.parametrize(
    ("engine", "way"), [("local", "--fresh"), ("ray", "--fresh"), ("slurm", "a new --store")]
)
def test_what_was_given_up_is_started_over_as_the_engine_allows(engine: str, way: str) -> None:
    ((line, _),) = _not_made(RunTally(given_up=2), engine)
    assert line.endswith(f"start over with {way}")
