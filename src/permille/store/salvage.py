"""Read what can be read of a damaged store, and say what cannot."""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from permille.errors import StoreError
from permille.records.machine import MachineSession
from permille.records.trial import Trial
from permille.store import rollup, sessions, windows
from permille.store.connecting import Budget, harden
from permille.store.gate import refusal
from permille.store.rows import Raw, Row, columns_of, read_raw, read_trial
from permille.store.schema import APPLICATION_ID, SCHEMA_VERSION, create, entries, expected
from permille.store.sealed import raw_of
from permille.store.seals import DamageError, added, total

_MOST_IDS = 10_000_000
_FIRST_PAGE = 4096
"""Bytes of SQLite's default page; the first page only contains the schema."""
_RESERVED_AT = 20  # bytes at the end of each page that SQLite leaves to extensions
_SIZE_AT = slice(28, 32)  # the file's size in pages, big-endian (sqlite.org/fileformat2.html)


def remains(copy: Path, path: Path, problems: list[str]) -> sqlite3.Connection:
    """A connection to the copy. A lost first page is replaced with that of an empty store, because
    a store's tables always begin on the same pages."""
    _unreserve(copy, problems)
    try:
        return _readable(copy)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        problems.append(f"the first page: {error}")
    if copy.stat().st_size < 2 * _FIRST_PAGE:
        raise StoreError(f"{path} is not a store, nor the remains of one")
    empty = copy.with_name("empty")
    with closing(sqlite3.connect(empty)) as db:
        create(db)
    with copy.open("r+b") as file:
        page = bytearray(empty.read_bytes()[:_FIRST_PAGE])
        page[_SIZE_AT] = (copy.stat().st_size // _FIRST_PAGE).to_bytes(4, "big")
        file.write(page)
    try:
        return _readable(copy)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise StoreError(f"{path} is not a store, nor the remains of one: {error}") from error


def _unreserve(copy: Path, problems: list[str]) -> None:
    """A store's pages have no reserved space: where the header says otherwise, every page would be
    read by a layout that it was not written in, and no trial would be readable."""
    with copy.open("r+b") as file:
        file.seek(_RESERVED_AT)
        reserved = file.read(1)
        if reserved not in (b"", b"\0"):
            problems.append(f"the first page: it reserves {reserved[0]} bytes of each page")
            file.seek(_RESERVED_AT)
            file.write(b"\0")


def _readable(copy: Path) -> sqlite3.Connection:
    """A connection to the copy, if its tables of trials and recordings are permille's.

    Raises:
        sqlite3.Error: they are not, or cannot be read.
        StoreError: a newer permille wrote it.
    """
    db = sqlite3.connect(copy, isolation_level=None)
    with contextlib.ExitStack() as undo:
        undo.callback(db.close)
        harden(db)
        budget = Budget(copy)
        budget.renew()
        db.set_progress_handler(budget, Budget.STEPS)
        schema = entries(db)
        known = {entry for n in range(1, SCHEMA_VERSION + 1) for entry in expected(n)}
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION and not schema <= known:
            raise StoreError(f"{copy.name} was written by a newer permille; upgrade to repair it")
        ours = {name for kind, name, _, _ in schema & known if kind == "table"}
        if not {"trial", "raw"} <= ours:
            raise sqlite3.DatabaseError("it does not have permille's tables")
        undo.pop_all()
    return db


def structure(db: sqlite3.Connection) -> list[str]:
    """The errors that SQLite reports, at most 100 lines."""
    try:
        lines = [str(row[0]) for row in db.execute("PRAGMA integrity_check")]
    except sqlite3.Error as error:
        return [f"the file: {error}"]
    wrong = [] if lines == ["ok"] else [f"the file: {' '.join(line.split())}" for line in lines]
    return wrong + _schema(db)


def _schema(db: sqlite3.Connection) -> list[str]:
    """The differences of the schema from permille's."""
    schema = entries(db)
    version = db.execute("PRAGMA user_version").fetchone()[0]
    application = db.execute("PRAGMA application_id").fetchone()[0]
    known = next((n for n in range(SCHEMA_VERSION, 0, -1) if schema == expected(n)), None)
    if known is not None:
        whole = (application, version) == (APPLICATION_ID, known)
        return [] if whole else [f"the numbers of the first page: {application}, {version}"]
    ours = expected(version if 0 < version <= SCHEMA_VERSION else SCHEMA_VERSION)
    return [
        *(f"{kind} {name} is not permille's; it was not run" for kind, name, *_ in schema - ours),
        *(f"{kind} {name} is missing or changed" for kind, name, *_ in ours - schema),
    ]


def sessions_in(db: sqlite3.Connection, problems: list[str]) -> list[MachineSession]:
    """Every session that is what was written."""
    tables = {name for kind, name, *_ in expected(SCHEMA_VERSION) & entries(db) if kind == "table"}
    if not {"session", "totals"} <= tables:
        return []  # of a schema before there were sessions, or one that is named as damaged
    try:
        return list(sessions.read(db, problems.append))
    except sqlite3.Error as error:
        problems.append(f"the sessions are lost: {error}")
        return []


def windows_in(db: sqlite3.Connection, problems: list[str]) -> list[windows.StoredWindow]:
    """Every window of a watch that is what was written."""
    tables = {name for kind, name, *_ in expected(SCHEMA_VERSION) & entries(db) if kind == "table"}
    if not {"watch", "totals"} <= tables:
        return []  # of a schema before there were watches, or one that is named as damaged
    kept: list[windows.StoredWindow] = []
    try:
        kept.extend(windows.read(db, problems.append))
    except sqlite3.Error as error:
        problems.append(f"the windows of watches from number {len(kept)} on are lost: {error}")
    return kept


_COUNTED_SINCE = 4
"""The first schema whose writers leave counts."""


def miscounts(db: sqlite3.Connection) -> list[str]:
    """What was kept, by the counts that every writer leaves, against what is there."""
    if not expected(_COUNTED_SINCE) <= entries(db):
        return []  # of a schema before there were counts, or one that is named as damaged
    wrong = []
    for table in ("trial", "raw", "start"):
        try:
            rows = db.execute(f"SELECT seal FROM {table} NOT INDEXED").fetchall()
            kept = total(db, table)
            if kept != (len(rows), added(row[0] for row in rows)):
                wrong.append(f"the table {table} had {kept.rows} rows, but {len(rows)} can be read")
        except (sqlite3.Error, DamageError, TypeError) as error:
            wrong.append(f"the table {table}: {error}")
    try:
        rollup.read(db)
    except (sqlite3.Error, DamageError) as error:
        wrong.append(str(error))
    return wrong


def trials_in(db: sqlite3.Connection, problems: list[str]) -> Iterator[tuple[Trial, Raw | None]]:
    """Every intact trial, one by one."""
    names = [row[1] for row in db.execute("PRAGMA table_info(trial)")]
    uids: set[str] = set()
    for number in _ids(db, problems):
        try:
            columns = db.execute(
                f"SELECT {', '.join(names)} FROM trial NOT INDEXED WHERE id = ?", (number,)
            ).fetchone()
            if columns is None:
                continue
            row = dict(zip(names, columns, strict=True))
            trial = _trial(row)
            if trial.uid in uids:
                raise ValueError("it is duplicated")
            reason = refusal(trial)
            if reason is not None:
                raise ValueError(reason)
        except (sqlite3.Error, ValueError) as error:
            problems.append(f"trial {_uid(db, number)} is lost: {error}")
            continue
        uids.add(trial.uid)
        try:
            raw = _recording(db, row)
        except (sqlite3.Error, ValueError, TypeError) as error:
            problems.append(f"trial {trial.uid} is intact, but its recording is lost: {error}")
            raw = None
        yield trial, raw


def _trial(row: dict[str, Any]) -> Trial:
    """The trial in a row of any schema."""
    body = row["body"]
    if not isinstance(body, bytes):
        raise ValueError("its body is not bytes")
    if "seal" in row:
        whole = Row(**row).sealed
    else:  # from a schema without seals, or without any checksum
        whole = row.get("crc", zlib.crc32(body)) == zlib.crc32(body)
    if not whole:
        raise ValueError("its checksum does not match")
    trial = read_trial(body)
    for column, value in columns_of(trial).items():
        if row.get(column, value) != value:
            raise ValueError(f"its {column} differs between its column and its body")
    return trial


def _recording(db: sqlite3.Connection, row: dict[str, Any]) -> Raw | None:
    if "seal" in row:
        return raw_of(db, Row(**row))
    query = "SELECT kind, body FROM raw WHERE trial = ?"
    parts = db.execute(query, (row["id"],)).fetchall()
    return read_raw(parts) if parts else None


def _uid(db: sqlite3.Connection, number: int) -> str:
    """The trial's uid if it can be read, otherwise its number."""
    try:
        row = db.execute("SELECT uid FROM trial WHERE id = ?", (number,)).fetchone()
    except sqlite3.Error:
        row = None
    return str(row[0]) if row is not None else f"number {number}"


def _ids(db: sqlite3.Connection, problems: list[str]) -> Iterator[int]:
    """The numbers of all trials: from both ends of each tree, as far as it can be read, and all
    numbers in between."""
    readable: set[int] = set()
    broken = False
    for query in (
        "SELECT id FROM trial NOT INDEXED ORDER BY id",
        "SELECT id FROM trial NOT INDEXED ORDER BY id DESC",
        "SELECT id FROM trial ORDER BY study, cell",
        "SELECT trial FROM raw",
    ):
        try:
            readable.update(int(row[0]) for row in db.execute(query))
        except (sqlite3.Error, TypeError, ValueError):
            broken = True
    most = max(readable, default=0)
    if not broken or most > _MOST_IDS:
        if most > _MOST_IDS:
            problems.append(f"trial numbers up to {most}, which no study has")
        yield from sorted(readable)
        return
    lost = [number for number in range(1, most + 1) if number not in readable]
    if lost:
        problems.append(f"{len(lost)} trials between the readable ones may be lost")
    yield from range(1, most + 1)
