"""The command that a run proposes at its end reads the store of the run."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from permille.cli.run_end import _next_command


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
