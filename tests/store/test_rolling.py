"""Folding in several processes comes to the same as here, and what they do not finish is left."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from permille import plugins
from permille.analysis.rolled import CELLS
from permille.records.trial import Trial
from permille.store import Group, Store, rolling, rollup
from permille.store.repair import check
from tests.records import trial

pytestmark = pytest.mark.slow

TRIALS = [
    trial(30.0 + number, model=f"m{number % 5}", repeat=number, idle_j=1.0 + number % 3)
    for number in range(40)
]


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes for any number of trials, of which few are folded at a time."""
    monkeypatch.setattr(rolling, "SEVERAL_FROM", 1)
    monkeypatch.setattr(rolling, "AT_ONCE", 20)
    monkeypatch.setattr(rolling, "KEPT_AT_ONCE", 2)
    monkeypatch.setattr(rolling, "_cores", lambda: 2)


def _stored(path: Path, trials: list[Trial]) -> None:
    with Store(path) as store:
        store.add_many((one, None) for one in trials)


def _bodies(path: Path) -> dict[str, bytes | None]:
    with closing(sqlite3.connect(path)) as db:
        return {kept.group.cell: kept.body for kept in rollup.read(db)}


def test_several_processes_come_to_the_same(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    _stored(tmp_path / "one.db", TRIALS)
    request.getfixturevalue("several")
    _stored(tmp_path / "several.db", TRIALS)
    bodies = _bodies(tmp_path / "several.db")
    assert len(bodies) == 5
    assert None not in bodies.values()
    assert bodies == _bodies(tmp_path / "one.db")
    assert check(tmp_path / "several.db").problems == ()


@pytest.mark.usefixtures("several")
def test_only_groups_with_new_trials_are_folded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.db"
    _stored(path, TRIALS)
    before = _bodies(path)
    parts: list[rolling._Part] = []
    real = rolling._folded_by_processes

    def watched(some: Sequence[rolling._Part]) -> Iterator[tuple[Group, bytes]]:
        parts.extend(some)
        return real(some)

    monkeypatch.setattr(rolling, "_folded_by_processes", watched)
    _stored(path, [trial(99.0, model="m3", repeat=99)])
    assert [[group.cell for group in part.groups] for part in parts] == [["cell-m3"]]
    after = _bodies(path)
    assert {cell for cell in after if after[cell] != before[cell]} == {"cell-m3"}


@pytest.mark.usefixtures("several")
def test_what_a_process_did_not_finish_is_read_from_the_trials_and_folded_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.db"
    with monkeypatch.context() as broken:
        broken.setattr(plugins, "target", lambda *_: "permille.analysis.rolled:NOTHING")
        broken.setattr(plugins, "load_target", lambda _: CELLS)
        _stored(path, TRIALS)
    assert set(_bodies(path).values()) == {None}
    with Store(path, readonly=True) as store:
        found = [rolled.cell for _, rolled in store.cells(CELLS)]
    _stored(path, [])
    with Store(path, readonly=True) as store:
        rolled_up = [rolled.cell.summary.energy for _, rolled in store.cells(CELLS)]
    assert None not in _bodies(path).values()
    assert [sums and sums.estimate() for sums in rolled_up] == [
        cell.summary.energy and cell.summary.energy.estimate() for cell in found
    ]


@pytest.mark.usefixtures("several")
def test_of_a_damaged_trial_only_its_own_group_is_left(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = Store(path)
    store.add_many((one, None) for one in TRIALS)
    store.close(roll_up=False)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE trial SET body = x'7b7d' WHERE uid = ?", (TRIALS[7].uid,))
    _stored(path, [])
    assert {cell for cell, body in _bodies(path).items() if body is None} == {"cell-m2"}


def test_a_truncated_answer_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    _stored(path, TRIALS)
    with Store(path, readonly=True) as store:
        groups = tuple(kept.group for kept in store._rows.groups())
    part = rolling._Part(path=str(path), fold="", groups=groups)
    whole = rolling._HEAD.pack(1, 3) + b"abc"
    for cut in range(len(whole)):
        answers = tmp_path / "answers"
        answers.write_bytes(whole + whole[:cut])
        with answers.open("rb") as file:
            assert list(rolling._answers(part, file)) == [(groups[1], b"abc")]
