"""The store's file: how it is opened, its schema and the steps from older ones, its damage."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from permille.errors import StoreError

APPLICATION_ID = 0x70_65_72_6D  # "perm"
SCHEMA_VERSION = 3
BUSY_S = 30.0
"""Seconds to wait for another writer's transaction."""
CHECKED_BYTES = 64 * 2**20
"""Files up to this size are checked on opening; `permille store check` checks any."""

_SCHEMA_1 = """
CREATE TABLE trial (
    id          INTEGER PRIMARY KEY,
    uid         TEXT NOT NULL UNIQUE,
    study       TEXT NOT NULL,
    cell        TEXT NOT NULL,
    repeat      INTEGER NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('done', 'failed', 'invalid')),
    source      TEXT NOT NULL,
    task        TEXT NOT NULL,
    dataset     TEXT NOT NULL,
    model       TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    protocol    TEXT NOT NULL,
    body        BLOB NOT NULL
);
CREATE INDEX trial_by_study ON trial (study, cell);
CREATE TABLE raw (
    trial INTEGER NOT NULL REFERENCES trial (id) ON DELETE CASCADE,
    kind  TEXT NOT NULL CHECK (kind IN ('recording', 'spans', 'durations')),
    body  BLOB NOT NULL,
    PRIMARY KEY (trial, kind)
) WITHOUT ROWID;
"""

# Rounds (`run --fresh`), and a checksum of each body: a flipped bit in a digit is valid JSON.
_SCHEMA_2 = """
ALTER TABLE trial ADD COLUMN round INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trial ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
UPDATE trial SET crc = crc32(body);
CREATE INDEX trial_fresh ON trial (study, cell, round) WHERE round > 0;
CREATE TABLE start (
    study       TEXT NOT NULL,
    cell        TEXT NOT NULL,
    protocol    TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    round       INTEGER NOT NULL,
    PRIMARY KEY (study, cell, protocol, fingerprint)
) WITHOUT ROWID;
"""

# The roll-up (store_rollup.py). A body of NULL is made when a writer closes the store.
_SCHEMA_3 = """
CREATE TABLE rollup (
    study       TEXT NOT NULL,
    source      TEXT NOT NULL,
    cell        TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    protocol    TEXT NOT NULL,
    round       INTEGER NOT NULL,
    first       INTEGER NOT NULL,
    newest      INTEGER NOT NULL,
    trials      INTEGER NOT NULL,
    made_by     TEXT NOT NULL DEFAULT '',
    crc         INTEGER NOT NULL DEFAULT 0,
    body        BLOB,
    UNIQUE (study, source, cell, fingerprint, protocol, round)
);
INSERT INTO rollup (study, source, cell, fingerprint, protocol, round, first, newest, trials)
    SELECT study, source, cell, fingerprint, protocol, round, min(id), max(id), count(*)
    FROM trial GROUP BY study, source, cell, fingerprint, protocol, round;
"""

STEPS = (_SCHEMA_1, _SCHEMA_2, _SCHEMA_3)
"""``STEPS[n]`` takes a file from schema n to n + 1; a new file takes them all."""

# What SQLite says where it may read the file but cannot make the files it needs beside it.
_NO_ROOM_BESIDE = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
}


class Opened(NamedTuple):
    """A connection; ``copy`` holds the file that it is to, where it is not the named one."""

    db: sqlite3.Connection
    copy: tempfile.TemporaryDirectory[str] | None


def open_file(path: Path, *, readonly: bool) -> Opened:
    """A connection to the store at ``path``, its schema this one's, its structure checked.

    A reader never changes the file: one of an older schema, or one that lies where SQLite cannot
    write beside it (a read-only folder, a full disk), is copied and read from the copy.

    Raises:
        StoreError: it is not there, no store, of a newer permille, damaged, or unwritable.
    """
    _presence(path, readonly)
    try:
        if not readonly:
            return Opened(_writer(path), None)
        with contextlib.ExitStack() as undo:
            db = _connect(path, "ro")
            undo.callback(db.close)
            try:
                if _version(db, path) == SCHEMA_VERSION:
                    _whole(db, path)
                    undo.pop_all()
                    return Opened(db, None)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _NO_ROOM_BESIDE:
                    raise
        return _copied(path)
    except sqlite3.Error as error:
        raise failure("open", path, error) from error
    except UnicodeDecodeError as error:  # SQLite names what is damaged, and the name is damaged too
        raise StoreError(damaged(path, "its names are no text")) from error


def failure(verb: str, path: Path, error: sqlite3.Error) -> StoreError:
    """What SQLite met, as one line with the way to mend it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreError(damaged(path, str(error)))
    hint = {
        sqlite3.SQLITE_FULL: "; all before is kept: free some space and run the same again",
        sqlite3.SQLITE_READONLY: "; all before is kept: name another with --store",
        sqlite3.SQLITE_BUSY: f" for {BUSY_S:g} s; another program holds it",
    }.get(code, "")
    return StoreError(f"cannot {verb} the store {path}: {error}{hint}")


def damaged(path: Path, what: str) -> str:
    """One line: the store is damaged, and what to do."""
    return (
        f"{path} is damaged ({what}): `permille store check --store {path}` names what is, and"
        f" `permille store repair --store {path}` keeps all that can be read"
    )


def create(db: sqlite3.Connection, version: int = 0, *, to: int = SCHEMA_VERSION) -> None:
    """Take the file from schema ``version`` (0: empty) to ``to``, in one transaction."""
    db.create_function("crc32", 1, zlib.crc32, deterministic=True)
    steps = "".join(STEPS[version:to])
    try:
        db.executescript(
            f"BEGIN IMMEDIATE; {steps} PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {to}; COMMIT;"
        )
    except sqlite3.Error:
        if db.in_transaction:
            db.rollback()
        raise


def _presence(path: Path, readonly: bool) -> None:
    if readonly and not path.exists():
        raise StoreError(
            f"there is no store at {path}; `permille run quickstart` makes one,"
            " or name another with --store or PERMILLE_STORE"
        )
    plain(path)
    if not readonly and not path.parent.is_dir():
        raise StoreError(f"cannot write the store {path}: there is no folder {path.parent}")


def plain(path: Path) -> None:
    """A pipe would be waited for, and a device never ends.

    Raises:
        StoreError: something is there, and it is no file.
    """
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is no store, but a folder, a pipe or a device")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=BUSY_S)
    db.execute("PRAGMA foreign_keys = ON")
    return db


def _writer(path: Path) -> sqlite3.Connection:
    db = _connect(path, "rwc")
    with contextlib.ExitStack() as undo:
        undo.callback(db.close)
        version = _version(db, path)
        if version:
            _whole(db, path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        if version < SCHEMA_VERSION:
            _upgrade(db, path)
        undo.pop_all()
    return db


def _upgrade(db: sqlite3.Connection, path: Path) -> None:
    """Another process may be upgrading at the same moment: whoever is second finds it done."""
    try:
        create(db, _version(db, path))
    except sqlite3.OperationalError:
        if _version(db, path) != SCHEMA_VERSION:
            raise


def _version(db: sqlite3.Connection, path: Path) -> int:
    """The schema of the file; 0 where it is new.

    Raises:
        StoreError: it is no store, or a newer permille's.
    """
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if tables and application != APPLICATION_ID:
        raise StoreError(f"{path} is a database, but not one of permille's")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer permille (schema {version}, this one knows"
            f" {SCHEMA_VERSION}); upgrade permille to read it"
        )
    if tables and version < 1:
        raise StoreError(damaged(path, f"schema {version}"))
    return version if tables else 0


def _whole(db: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_size > CHECKED_BYTES:
        return
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreError(damaged(path, found.replace("\n", " ")))


def _copied(path: Path) -> Opened:
    folder = tempfile.TemporaryDirectory(prefix="permille-store-")
    with contextlib.ExitStack() as undo:
        undo.callback(folder.cleanup)
        try:
            opened = Opened(_writer(snapshot(path, Path(folder.name))), folder)
        except OSError as error:
            raise StoreError(
                f"cannot read the store {path} where it lies, nor copy it to {folder.name}:"
                f" {error.strerror or error}"
            ) from error
        undo.pop_all()
    return opened


def snapshot(
    path: Path, folder: Path, copy: Callable[[Path, Path], object] = shutil.copyfile
) -> Path:
    """A copy of the file and its log in ``folder``; the copy.

    Raises:
        StoreError: it is being written meanwhile, three times over.
        OSError: it cannot be read, or there is no room.
    """
    plain(path)
    parts = [path, path.with_name(f"{path.name}-wal")]
    for _ in range(3):
        before = [_state(part) for part in parts]
        for part in parts:
            (folder / part.name).unlink(missing_ok=True)
            if part.exists():
                copy(part, folder / part.name)
        if [_state(part) for part in parts] == before:
            return folder / path.name
    raise StoreError(f"{path} is being written; read it again later")


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns
