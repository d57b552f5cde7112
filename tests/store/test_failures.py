"""SQLite's errors: which of them are damage, and which say nothing of the file."""

from __future__ import annotations

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
