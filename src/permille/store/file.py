"""The store's file: how it is opened, what must be so before anything in it is believed."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from permille.errors import StoreError
from permille.store.log import log_of, log_problem
from permille.store.schema import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    create,
    entries,
    expected,
    functions,
)

BUSY_S = 30.0
"""Seconds to wait for another writer's transaction."""
CHECKPOINT_S = 5.0
"""Seconds that a trial waits for readers, until it is in the file itself and not in its log."""
CHECKED_BYTES = 64 * 2**20
"""Files up to this size are checked as a whole before they are written."""
MOST_BODY_BYTES = 256 * 2**20
"""Of one value in the file."""
_LEAST_STEPS = 100_000_000
_STEPS_PER_BYTE = 20
"""A scan takes some tens of steps a row, and no row is smaller than some tens of bytes."""

# What SQLite says where it may read the file but cannot make the files it needs beside it.
_NO_ROOM_BESIDE = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
}


_CORRUPT = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_INTERRUPT,
}


class Budget:
    """A limit to what reading may take: in a damaged or hostile file a table need not end."""

    STEPS = 100_000
    """Of SQLite's machine, between two looks at what is left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left: float = float("inf")

    def __call__(self) -> int:
        """SQLite's progress handler: 1 ends the statement."""
        self._left -= self.STEPS
        return int(self._left < 0)

    def file_bytes(self) -> int:
        """The size of the file and its log."""
        parts = (self._path, log_of(self._path))
        return sum(part.stat().st_size for part in parts if part.exists())

    def renew(self, *, limited: bool = True) -> None:
        """A limit for what begins now, in steps of SQLite's machine; writing has none."""
        steps = _LEAST_STEPS + _STEPS_PER_BYTE * self.file_bytes() if limited else float("inf")
        self._left = steps


class OpenedStore(NamedTuple):
    """A connection; ``copy`` holds the file that it is to, where it is not the named one."""

    db: sqlite3.Connection
    copy: tempfile.TemporaryDirectory[str] | None
    budget: Budget


def open_file(path: Path, *, readonly: bool) -> OpenedStore:
    """A connection to the store at ``path``: its schema is this one's to the letter, its log
    whole; before writing its structure is checked too.

    A reader never changes the file: one of an older schema, or one that lies where SQLite cannot
    write beside it (a read-only folder, a full disk), is copied and read from the copy.

    Raises:
        StoreError: it is not there, no store, of a newer permille, damaged, or unwritable.
    """
    _presence(path, readonly)
    problem = log_problem(path)
    if problem is not None:
        raise StoreError(damaged(path, problem))
    try:
        if not readonly:
            if not path.exists():
                _make(path)
            db, budget = _writer(path)
            return OpenedStore(db, None, budget)
        with contextlib.ExitStack() as undo:
            try:
                db, budget = _connect(path, "ro")
                undo.callback(db.close)
                if _version(db, path) == SCHEMA_VERSION:
                    undo.pop_all()
                    return OpenedStore(db, None, budget)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _NO_ROOM_BESIDE:
                    raise
        return _copied(path)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise failure("open", path, error) from error


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether the file is at fault, not what holds it or the room beside it."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _CORRUPT


def checkpoint(db: sqlite3.Connection) -> None:
    """Take what is in the log into the file itself, whose copy alone is then the whole store.

    Where a reader is in the way for long, or the disk is full, it stays in the log, on disk all
    the same, until the next trial.
    """
    db.execute(f"PRAGMA busy_timeout = {CHECKPOINT_S * 1000:.0f}")
    with contextlib.suppress(sqlite3.OperationalError):
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    db.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")


def failure(verb: str, path: Path, error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
    """What SQLite met, as one line with the way to mend it."""
    if isinstance(error, UnicodeDecodeError):  # its own words quote a damaged schema
        return StoreError(damaged(path, "its schema"))
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _CORRUPT:
        endless = code == sqlite3.SQLITE_INTERRUPT
        return StoreError(damaged(path, "reading it does not end" if endless else str(error)))
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


def _presence(path: Path, readonly: bool) -> None:
    if readonly and not path.exists():
        raise StoreError(
            f"there is no store at {path}; `permille run quickstart` makes one,"
            " or name another with --store or PERMILLE_STORE"
        )
    plain(path)
    if readonly and path.stat().st_size == 0 and log_problem(path) is None:
        raise StoreError(
            f"the store {path} is empty: nothing was ever kept in it; `permille run quickstart"
            f" --store {path}` does"
        )
    log = log_of(path)
    if not readonly and not path.exists() and log.exists() and log.stat().st_size:
        raise StoreError(
            f"there is no {path}, but its log {log.name}: put the file back beside it, or name"
            " another with --store"
        )
    if not readonly and not path.parent.is_dir():
        raise StoreError(f"cannot write the store {path}: there is no folder {path.parent}")


def plain(path: Path) -> None:
    """A pipe would be waited for, and a device never ends.

    Raises:
        StoreError: something is there, and it is no file.
    """
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is no store, but a folder, a pipe or a device")


def _connect(path: Path, mode: str) -> tuple[sqlite3.Connection, Budget]:
    """A connection to a file that may come from anywhere: nothing in it is to be run."""
    db = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None
    )
    budget = Budget(path)
    with contextlib.ExitStack() as undo:
        undo.callback(db.close)
        harden(db)
        db.set_progress_handler(budget, Budget.STEPS)
        db.execute("PRAGMA foreign_keys = ON")
        undo.pop_all()
    return db, budget


def harden(db: sqlite3.Connection) -> None:
    """No function is called from the schema, no trigger fires, no view is read (the last two
    where Python can say so, from 3.12), and a cell is checked before it is read."""
    db.text_factory = _text
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BODY_BYTES)
    functions(db)
    if sys.version_info >= (3, 12):
        db.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        db.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)
        db.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_VIEW, False)
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")


def _text(found: bytes) -> str:
    """Damaged text is read all the same: its seal tells."""
    return str(found, "utf-8", "backslashreplace")


def _writer(path: Path) -> tuple[sqlite3.Connection, Budget]:
    db, budget = _connect(path, "rwc")
    with contextlib.ExitStack() as undo:
        undo.callback(db.close)
        version = _version(db, path)
        if version:
            _whole(db, path)
        if version < SCHEMA_VERSION:
            _upgrade(db, path)
        # After the tables: a file of any size that has none is then damaged, not half made.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        if version < SCHEMA_VERSION:
            checkpoint(db)
        undo.pop_all()
    return db, budget


def _make(path: Path) -> None:
    """A new store, there as a whole at once; where another process is first, that one's."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        db, _ = _connect(part, "rwc")
        with contextlib.closing(db):
            create(db)
        with contextlib.suppress(FileExistsError):
            _appear(part, path)
    except OSError as error:
        raise StoreError(f"cannot write the store {path}: {error.strerror}") from error
    finally:
        for suffix in ("", "-journal"):
            part.with_name(part.name + suffix).unlink(missing_ok=True)


def _appear(part: Path, path: Path) -> None:
    """Put ``part`` at ``path``, where nothing is yet.

    Raises:
        FileExistsError: something is.
    """
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(path) from None
        part.rename(path)


def _upgrade(db: sqlite3.Connection, path: Path) -> None:
    """Another process may be upgrading at the same moment: whoever is second finds it done."""
    try:
        create(db, _version(db, path))
    except sqlite3.OperationalError:
        if _version(db, path) != SCHEMA_VERSION:
            raise


def _version(db: sqlite3.Connection, path: Path) -> int:
    """The schema of the file, which is permille's to the letter; 0 where it is new.

    Raises:
        StoreError: it is no store, not as permille makes one, damaged, or a newer permille's.
    """
    found = entries(db)
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if not found:
        if path.stat().st_size == 0:
            return 0
        raise StoreError(
            damaged(
                path,
                f"it has no tables: its first page is damaged, or it was copied without its log"
                f" {log_of(path).name}",
            )
        )
    known = next((n for n in range(SCHEMA_VERSION, 0, -1) if found == expected(n)), None)
    if application != APPLICATION_ID and known is None:
        raise StoreError(f"{path} is a database, but not one of permille's")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer permille (schema {version}, this one knows"
            f" {SCHEMA_VERSION}); upgrade permille to read it"
        )
    if known is None:
        raise StoreError(damaged(path, _foreign(found, version)))
    if (application, version) != (APPLICATION_ID, known):
        raise StoreError(damaged(path, f"the numbers of its first page: {application}, {version}"))
    return known


def _foreign(found: frozenset[tuple[str, str, str, str | None]], version: int) -> str:
    """What of a schema is not as permille makes it."""
    if version < 1:
        return f"schema {version}"
    ours = expected(version)
    more = sorted(f"{kind} {name}" for kind, name, _, _ in found - ours)
    less = sorted(f"{kind} {name}" for kind, name, _, _ in ours - found)
    what = f"{more[0]} is not permille's" if more else f"{less[0]} is missing"
    return f"{what}; nothing in it was run"


_TABLES = ("trial", "rollup", "start", "session", "totals")


def _whole(db: sqlite3.Connection, path: Path) -> None:
    """Nothing is written into a damaged structure, nor where an index hides a trial."""
    checks = [f"integrity_check({table})" for table in _TABLES]
    if path.stat().st_size <= CHECKED_BYTES:
        checks.append("quick_check(1)")
    there = {name for _, name, _, _ in entries(db)}
    for check in checks:
        table = check.partition("(")[2].rstrip(")")
        if table in there or check.startswith("quick"):
            found = db.execute(f"PRAGMA {check}").fetchone()[0]
            if found != "ok":
                raise StoreError(damaged(path, found.replace("\n", " ")))


def _copied(path: Path) -> OpenedStore:
    folder = tempfile.TemporaryDirectory(prefix="permille-store-")
    with contextlib.ExitStack() as undo:
        undo.callback(folder.cleanup)
        try:
            db, budget = _writer(snapshot(path, Path(folder.name)))
        except OSError as error:
            raise StoreError(
                f"cannot read the store {path} where it lies, nor copy it to {folder.name}:"
                f" {error.strerror or error}"
            ) from error
        undo.pop_all()
    return OpenedStore(db, folder, budget)


def snapshot(
    path: Path, folder: Path, copy: Callable[[Path, Path], object] = shutil.copyfile
) -> Path:
    """A copy of the file and its log in ``folder``; the copy.

    Raises:
        StoreError: it is being written meanwhile, three times over.
        OSError: it cannot be read, or there is no room.
    """
    plain(path)
    parts = [path, log_of(path)]
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
