"""A store from elsewhere executes nothing, and what is no longer a store is left alone."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from permille.errors import StoreError
from permille.store import Store
from permille.store.repair import check, repair
from permille.store.schema import SCHEMA_VERSION, entries, expected
from tests.conftest import Permille
from tests.records import trial

pytestmark = pytest.mark.slow

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
ADDED = {
    "trigger": "CREATE TRIGGER t AFTER INSERT ON trial BEGIN DELETE FROM trial; END",
    "view": f"CREATE VIEW v AS {ENDLESS}",
    "table": "CREATE TABLE extra (a INTEGER)",
    "index": "CREATE INDEX extra ON trial (length(body))",
    "index by an expression": "CREATE INDEX extra ON trial (study) WHERE abs(id) > 0",
    "generated column": "ALTER TABLE trial ADD COLUMN g TEXT AS (hex(zeroblob(9))) VIRTUAL",
    "column": "ALTER TABLE rollup ADD COLUMN g TEXT DEFAULT 'x'",
    "virtual table": "CREATE VIRTUAL TABLE f USING fts5 (a)",
    "missing index": "DROP INDEX trial_by_study",
    "replaced by a view": (
        f"DROP TABLE rollup; CREATE VIEW rollup AS {ENDLESS.replace('SELECT x FROM n', '')}"
        " SELECT 'a' study, 'b' source, 'c' cell, 'd' fingerprint, 'e' protocol, 0 round, x first,"
        " x newest, 1 trials, 0 seals, 0 fold, NULL body, 0 seal FROM n"
    ),
}


def _store(path: Path, count: int = 5) -> None:
    with Store(path) as store:
        store.add_many((trial(float(i + 1), repeat=i), None) for i in range(count))


@pytest.mark.parametrize("what", ADDED)
def test_a_schema_that_is_not_permilles_is_refused_and_left(
    permille: Permille, tmp_path: Path, what: str
) -> None:
    path = tmp_path / "permille.db"
    _store(path)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(ADDED[what])
    before = path.read_bytes()
    for readonly in (True, False):
        with pytest.raises(StoreError, match="damaged"):
            Store(path, readonly=readonly)
    for command in (["results"], ["export", "csv", "-"], ["import", "codecarbon", str(path)]):
        said = permille(*command, code=2).err
        assert len(said.strip().splitlines()) == 1
    assert path.read_bytes() == before
    report = repair(path)  # its trials are kept, and what was added is not
    assert report.trials == 5
    with closing(sqlite3.connect(path)) as db:
        assert entries(db) == expected(SCHEMA_VERSION)


def test_a_changed_check_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    _store(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'body        BLOB NOT NULL',"
            " 'body        BLOB NOT NULL CHECK (randomblob(9) IS NOT NULL)') WHERE name = 'trial'"
        )
    with pytest.raises(StoreError, match="table trial is not permille's"):
        Store(path)


def test_a_table_without_end_is_left_after_a_while(tmp_path: Path) -> None:
    """The limit itself: a statement that does not end is ended, and said."""
    path = tmp_path / "s.db"
    _store(path)
    with (
        Store(path, readonly=True) as store,
        pytest.raises(StoreError, match="does not terminate"),
        store._guard("read"),
    ):
        store._db.execute(f"SELECT count(*) FROM ({ENDLESS})").fetchone()


def test_nothing_in_a_store_is_trusted(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    _store(path)
    with Store(path, readonly=True) as store:
        assert store._db.execute("PRAGMA trusted_schema").fetchone() == (0,)
        assert store._db.execute("PRAGMA cell_size_check").fetchone() == (1,)


@pytest.mark.parametrize("first_page", [b"\0" * 4096, b"SQLite format 3\0", os.urandom(4096)])
def test_a_damaged_first_page_is_no_new_file(
    permille: Permille, tmp_path: Path, first_page: bytes
) -> None:
    path = tmp_path / "permille.db"
    _store(path, 25)
    with path.open("r+b") as file:
        file.write(first_page)
        if len(first_page) < 4096:  # a whole header of an empty database, the rest as it was
            file.seek(100)
            file.write(b"\x0d" + b"\0" * 7)
    before = path.read_bytes()
    assert "damaged" in permille("results", code=2).err
    with pytest.raises(StoreError, match="damaged"):
        Store(path)
    assert path.read_bytes() == before
    assert repair(path).trials == 25


@pytest.mark.parametrize("number", ["application_id", "user_version"])
def test_a_damaged_number_in_the_first_page_is_said(tmp_path: Path, number: str) -> None:
    path = tmp_path / "s.db"
    _store(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA {number} = 0")
    for readonly in (True, False):
        with pytest.raises(StoreError, match="first page"):
            Store(path, readonly=readonly)
    assert check(path).trials == 5


def test_an_empty_file_is_a_new_store_for_a_writer_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.touch()
    with pytest.raises(StoreError, match="is empty"):
        Store(path, readonly=True)
    _store(path)
    assert check(path).problems == ()


def test_a_log_without_its_file_or_beside_an_empty_one_is_not_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    log = tmp_path / "s.db-wal"
    log.write_bytes(b"x" * 5000)
    with pytest.raises(StoreError, match="log"):
        Store(path)
    path.touch()
    for readonly in (True, False):
        with pytest.raises(StoreError, match=r"log|empty"):
            Store(path, readonly=readonly)
    assert log.read_bytes() == b"x" * 5000


def test_a_new_store_appears_as_a_whole_without_hard_links_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    path = tmp_path / "s.db"
    _store(path)
    assert check(path).problems == ()
    assert [one.name for one in tmp_path.glob(".*")] == []
