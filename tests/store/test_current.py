"""The trials that count are the same from the roll-up as from the trials themselves."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from permille.analysis.current import current_groups, current_trials
from permille.analysis.rolled import BoundaryReading
from permille.records.machine import Environment
from permille.records.trial import Protocol, Stopping, Trial
from permille.store import Store
from tests.records import cell, trial


def _trials() -> list[Trial]:
    """Repeats in turn, of: older and newer code, two machines, rounds, sessions, failures,
    replicas, a precision, two protocols, and an import that is never superseded."""
    made = []
    for repeat in range(3):
        kinds: dict[str, dict[str, Any]] = {
            "old": {"cell": cell("a", id="old"), "started": f"2026-01-01T00:00:0{repeat}"},
            "new": {"cell": cell("a", id="new"), "started": f"2026-01-02T00:00:0{repeat}"},
            "there": {"cell": cell("a", id="old"), "environment": Environment(fingerprint="two")},
            "fresh": {"cell": cell("b"), "round": repeat % 2},
            "session": {"cell": cell("c"), "session": f"s{repeat}", "block": repeat},
            "failed": {"cell": cell("d"), "status": "failed", "reason": "boom"},
            "replica": {"cell": cell("a", id="replica", settings={"weights": "replica"})},
            "precise": {"cell": cell("e"), "stopping": Stopping(precision=0.1, max_repeats=5)},
            "short": {"cell": cell("e", id="short"), "protocol": Protocol(inferences=10)},
            "import": {"cell": cell("a", id=f"i{repeat}"), "source": "codecarbon"},
            "other": {"cell": cell("a", id="new"), "study": "another"},
        }
        for name, changed in kinds.items():
            made.append(trial(30.0 + repeat, uid=f"{name}-{repeat}", repeat=repeat, **changed))
    return made


@pytest.mark.parametrize(
    "damage",
    [
        (),
        ("UPDATE trial SET body = x'7b7d' WHERE uid = 'new-1'",),
        ("UPDATE rollup SET trials = 9 WHERE cell = 'new'",),
        ("DELETE FROM trial WHERE uid = 'session-1'",),
        ("UPDATE trial SET seal = seal + 1 WHERE uid = 'old-2'", "DELETE FROM rollup"),
    ],
)
@pytest.mark.parametrize("study", [None, "another"])
@pytest.mark.parametrize("rolled", [True, False])
def test_the_same_trials_count(
    tmp_path: Path, damage: Sequence[str], study: str | None, rolled: bool
) -> None:
    path = tmp_path / "s.db"
    store = Store(path)
    store.add_many((one, None) for one in _trials())
    store.close(roll_up=rolled)
    with closing(sqlite3.connect(path)) as db, db:
        for statement in damage:
            db.execute(statement)
    lines: list[str] = []
    with Store(path, readonly=True, damage=lines) as store:
        expected = current_trials(store.trials(study=study))
    again: list[str] = []
    with Store(path, readonly=True, damage=again) as store:
        kept = current_groups(store.cells(BoundaryReading("node"), study))
        assert list(store.of_groups(group for group, _ in kept)) == expected
    assert len(expected) > 2
    assert set(again) >= set(lines)
