"""SQLite's errors: which of them are damage, and which say nothing of the file."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from permille.errors import StoreError
from permille.store import Store
from permille.store.failures import failure, is_corrupt
from tests.records import trial


def _error(db: sqlite3.Connection, statement: str) -> sqlite3.Error:
    with pytest.raises(sqlite3.Error) as raised:
        db.execute(statement)
    return raised.value


def test_a_store_that_is_closed_while_it_is_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("permille.store.sealed.CHUNK", 1)
    path = tmp_path / "s.db"
    with Store(path) as store:
        for repeat in range(3):
            store.add(trial(repeat=repeat))
    store = Store(path, readonly=True)
    reading = store.trials()
    next(reading)
    store.close()
    with pytest.raises(StoreError) as raised:
        list(reading)
    assert "closed" in str(raised.value)
    assert "damaged" not in str(raised.value)
    assert "repair" not in str(raised.value)


def _damage(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)


def test_a_count_that_cannot_be_read_is_not_taken_for_missing_trials(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        store.add(trial())
    _damage(path, "UPDATE rollup SET trials = 7")
    lines: list[str] = []
    with Store(path, readonly=True, damage=lines) as store:
        # SQLITE_AUTH stands for any error that says nothing of the file.
        store._db.set_authorizer(
            lambda action, table, *_: (
                sqlite3.SQLITE_DENY
                if (action, table) == (sqlite3.SQLITE_READ, "totals")
                else sqlite3.SQLITE_OK
            )
        )
        with pytest.raises(StoreError) as raised:
            list(store.trials())
    assert "prohibited" in str(raised.value)
    assert "repair" not in str(raised.value)
    assert not any("cannot be found" in line for line in lines)


def test_rows_next_to_damaged_ones_that_cannot_be_looked_up_are_not_left_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        for repeat in range(40):
            store.add(trial(repeat=repeat))
    _damage(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    with contextlib.closing(sqlite3.connect(path)) as db:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'trial'"
        (root,) = db.execute(query).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        # An interior page, which ends its header with the number of its last child
        # (sqlite.org/fileformat.html, 1.6).
        file.seek((root - 1) * size)
        header = file.read(12)
        assert header[0] == 5
        file.seek((int.from_bytes(header[8:]) - 1) * size)
        file.write(b"\xff" * 100)

    class Closing(list[str]):
        def append(self, line: str) -> None:
            super().append(line)
            store._db.close()

    lines = Closing()
    store = Store(path, readonly=True, damage=lines)
    with pytest.raises(StoreError) as raised:
        list(store.trials())
    assert lines
    assert "closed" in str(raised.value)
    assert "repair" not in str(raised.value)


def test_what_is_no_database_is_damage_and_a_wrong_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(b"no database" * 1000)
    db = sqlite3.connect(path)
    foreign = _error(db, "SELECT * FROM trial")
    db.close()
    closed = _error(db, "SELECT 1")
    with sqlite3.connect(":memory:") as empty:
        unknown = _error(empty, "SELECT * FROM trial")
    assert [is_corrupt(error) for error in (foreign, closed, unknown)] == [True, False, False]
    told = [str(failure("read", path, error)) for error in (foreign, closed, unknown)]
    assert ["store repair" in text for text in told] == [True, False, False]
