"""Open the store's file, after checking everything that must hold before its content is trusted."""

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
"""Seconds that a trial waits for readers until it is moved from the log to the file."""
CHECKED_BYTES = 64 * 2**20
"""Files up to this size are checked completely before they are written."""
MOST_BODY_BYTES = 256 * 2**20
"""The most bytes of one value in the file."""
_WRITER_CACHE_KB = 32_000
_LEAST_STEPS = 100_000_000
_STEPS_PER_BYTE = 20
"""A scan takes some tens of steps per row, and a row has at least some tens of bytes."""

# SQLite's errors if it may read the file but cannot create the files that it needs next to it.
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


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


class Budget:
    """A limit on reading: in a damaged or hostile file a table may be endless."""

    STEPS = 100_000
    """Steps of SQLite's virtual machine between two checks of the limit."""

    def __init__(self, path: Path) -> None:
        self._parts = (str(path), str(log_of(path)))
        self._left: float = float("inf")

    def __call__(self) -> int:
        """SQLite's progress handler: returning 1 interrupts the statement"""
        self._left -= self.STEPS
        return int(self._left < 0)

    def file_bytes(self) -> int:
        """The size of the file and its log."""
        return sum(_size(part) for part in self._parts)

    def renew(self, *, limited: bool = True) -> None:
        """Start a limit, in steps of SQLite's virtual machine; writing has none."""
        steps = _LEAST_STEPS + _STEPS_PER_BYTE * self.file_bytes() if limited else float("inf")
        self._left = steps


class OpenedStore(NamedTuple):
    """A connection; ``copy`` holds the copied file, if it is not to the named one."""

    db: sqlite3.Connection
    copy: tempfile.TemporaryDirectory[str] | None
    budget: Budget


def open_file(path: Path, *, readonly: bool) -> OpenedStore:
    """A connection to the store at ``path``, after checking that its schema is exactly permille's
    and its log is intact and, before writing, its structure.

    A reader never changes the file: a file with an older schema, or one where SQLite cannot write
    next to it (a read-only folder, a full disk), is copied and read from the copy.

    Raises:
        StoreError: it is missing, not a store, from a newer permille, damaged, or not writable.
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
    """Whether the file is damaged, rather than locked or on a full disk."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _CORRUPT


def checkpoint(db: sqlite3.Connection) -> None:
    """Move the content of the log to the file, so that a copy of the file alone is complete.

    If a reader blocks this for long, or the disk is full, it stays in the log, which is also on
    disk, until the next trial (https://www.sqlite.org/wal.html#ckpt).
    """
    db.execute(f"PRAGMA busy_timeout = {CHECKPOINT_S * 1000:.0f}")
    with contextlib.suppress(sqlite3.OperationalError):
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    db.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")


def failure(verb: str, path: Path, error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
    """SQLite's error as one line that says how to fix it."""
    if isinstance(error, UnicodeDecodeError):  # SQLite's message quotes a damaged schema
        return StoreError(damaged(path, "its schema"))
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _CORRUPT:
        endless = code == sqlite3.SQLITE_INTERRUPT
        return StoreError(damaged(path, "reading it does not terminate" if endless else str(error)))
    hint = {
        sqlite3.SQLITE_FULL: "; earlier trials are safe: free some space and run it again",
        sqlite3.SQLITE_READONLY: "; earlier trials are safe: name another store with --store",
        sqlite3.SQLITE_BUSY: f" for {BUSY_S:g} s; another program holds it",
    }.get(code, "")
    return StoreError(f"cannot {verb} the store {path}: {error}{hint}")


def damaged(path: Path, what: str) -> str:
    """A one-line error: the store is damaged, and what to do."""
    return (
        f"{path} is damaged ({what}): `permille store check --store {path}` lists the damage, and"
        f" `permille store repair --store {path}` saves everything readable"
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
            f"the store {path} is empty and never contained a trial; `permille run quickstart"
            f" --store {path}` does"
        )
    log = log_of(path)
    if not readonly and not path.exists() and log.exists() and log.stat().st_size:
        raise StoreError(
            f"{path} is missing, but its log {log.name} exists: restore the file, or name"
            " another with --store"
        )
    if not readonly and not path.parent.is_dir():
        raise StoreError(f"cannot write the store {path}: there is no folder {path.parent}")


def plain(path: Path) -> None:
    """Check that the path is a regular file: opening a pipe would block, and a device never ends.

    Raises:
        StoreError: it exists and is not a regular file.
    """
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is not a store, but a folder, a pipe or a device")


def _connect(path: Path, mode: str) -> tuple[sqlite3.Connection, Budget]:
    """Connect to an untrusted file, so that nothing in it is executed."""
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
    """Call no function from the schema, fire no trigger, read no view (the last two need Python
    3.12), and check cells before reading them (https://www.sqlite.org/security.html)."""
    db.text_factory = _text
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BODY_BYTES)
    functions(db)
    if sys.version_info >= (3, 12):
        db.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        db.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)
        db.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_VIEW, False)
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")


def _text(raw: bytes) -> str:
    """Accept damaged text: its seal reveals the damage."""
    return str(raw, "utf-8", "backslashreplace")


def _writer(path: Path) -> tuple[sqlite3.Connection, Budget]:
    db, budget = _connect(path, "rwc")
    with contextlib.ExitStack() as undo:
        undo.callback(db.close)
        version = _version(db, path)
        if version:
            _whole(db, path)
        if version < SCHEMA_VERSION:
            _upgrade(db, path)
        # After the tables, so that a file without tables is damaged and not half created.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        # The index of random uids is written all over: pages that leave the cache within a
        # transaction are written several times.
        db.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KB}")
        if version < SCHEMA_VERSION:
            checkpoint(db)
        undo.pop_all()
    return db, budget


def _make(path: Path) -> None:
    """Create a new store atomically; if another process is first, use that one."""
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
    """Move ``part`` to ``path``, which must not exist.

    Raises:
        FileExistsError: it exists.
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
    """Another process may upgrade at the same moment: the second finds it done."""
    try:
        create(db, _version(db, path))
    except sqlite3.OperationalError:
        if _version(db, path) != SCHEMA_VERSION:
            raise


def _version(db: sqlite3.Connection, path: Path) -> int:
    """The file's schema version, after checking that it is exactly permille's; 0 for a new file.

    Raises:
        StoreError: it is not a store, has another schema, is damaged, or from a newer permille.
    """
    schema = entries(db)
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if not schema:
        if path.stat().st_size == 0:
            return 0
        raise StoreError(
            damaged(
                path,
                f"it has no tables: its first page is damaged, or it was copied without its log"
                f" {log_of(path).name}",
            )
        )
    known = next((n for n in range(SCHEMA_VERSION, 0, -1) if schema == expected(n)), None)
    if application != APPLICATION_ID and known is None:
        raise StoreError(f"{path} is a database, but not permille's")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer permille (schema {version}, this one knows"
            f" {SCHEMA_VERSION}); upgrade permille to read it"
        )
    if known is None:
        raise StoreError(damaged(path, _foreign(schema, version)))
    if (application, version) != (APPLICATION_ID, known):
        raise StoreError(damaged(path, f"the numbers of its first page: {application}, {version}"))
    return known


def _foreign(schema: frozenset[tuple[str, str, str, str | None]], version: int) -> str:
    """The differences of a schema from permille's."""
    if version < 1:
        return f"schema {version}"
    ours = expected(version)
    more = sorted(f"{kind} {name}" for kind, name, _, _ in schema - ours)
    less = sorted(f"{kind} {name}" for kind, name, _, _ in ours - schema)
    what = f"{more[0]} is not permille's" if more else f"{less[0]} is missing"
    return f"{what}; nothing in it was run"


_TABLES = ("trial", "rollup", "start", "session", "watch", "totals")


def _whole(db: sqlite3.Connection, path: Path) -> None:
    """Nothing is written into a damaged structure, nor where an index hides a trial."""
    checks = [f"integrity_check({table})" for table in _TABLES]
    if path.stat().st_size <= CHECKED_BYTES:
        checks.append("quick_check(1)")
    there = {name for _, name, _, _ in entries(db)}
    for check in checks:
        table = check.partition("(")[2].rstrip(")")
        if table in there or check.startswith("quick"):
            answer = db.execute(f"PRAGMA {check}").fetchone()[0]
            if answer != "ok":
                raise StoreError(damaged(path, answer.replace("\n", " ")))


def _copied(path: Path) -> OpenedStore:
    folder = tempfile.TemporaryDirectory(prefix="permille-store-")
    with contextlib.ExitStack() as undo:
        undo.callback(folder.cleanup)
        try:
            db, budget = _writer(snapshot(path, Path(folder.name)))
        except OSError as error:
            raise StoreError(
                f"cannot read the store {path} in place, nor copy it to {folder.name}:"
                f" {error.strerror or error}"
            ) from error
        undo.pop_all()
    return OpenedStore(db, folder, budget)


def snapshot(
    path: Path, folder: Path, copy: Callable[[Path, Path], object] = shutil.copyfile
) -> Path:
    """Copy the file and its log to ``folder``; returns the copy.

    Raises:
        StoreError: it was written during each of three attempts.
        OSError: it cannot be read, or there is no space.
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
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_size, stat.st_mtime_ns
