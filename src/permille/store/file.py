"""Open the store's file, after checking everything that must hold before its content is trusted."""

from __future__ import annotations

import contextlib
import glob
import os
import platform
import secrets
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from permille.errors import StoreError
from permille.store.checking import require_whole, version_of
from permille.store.connecting import Budget, checkpoint, connect, with_log
from permille.store.failures import damaged, failure
from permille.store.log import log_of, log_problem
from permille.store.schema import SCHEMA_VERSION, create
from permille.store.snapshot import require_plain, snapshot

_WRITER_CACHE_KB = 32_000

# SQLite's errors if it may read the file but cannot create the files that it needs next to it.
_NO_ROOM_BESIDE = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
}


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
    # Before SQLite opens the file: it would drop all that follows a damaged frame (log.py).
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
                db, budget = connect(path, "ro")
                undo.callback(db.close)
                if version_of(db, path) == SCHEMA_VERSION:
                    undo.pop_all()
                    return OpenedStore(db, None, budget)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _NO_ROOM_BESIDE:
                    raise
        return _copied(path)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise failure("open", path, error) from error


def _presence(path: Path, readonly: bool) -> None:
    if readonly and not path.exists():
        raise StoreError(
            f"there is no store at {path}; `permille run quickstart` makes one,"
            " or name another with --store or PERMILLE_STORE"
        )
    require_plain(path)
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


def _writer(path: Path) -> tuple[sqlite3.Connection, Budget]:
    db, budget = connect(path, "rwc")
    with contextlib.ExitStack() as undo:
        undo.callback(db.close)
        version = version_of(db, path)
        if version:
            require_whole(db, path)
        if version < SCHEMA_VERSION:
            _upgrade(db, path)
        # After the tables, so that a file without tables is damaged and not half created.
        with_log(db)
        # Pages that leave the cache within a transaction are written several times; see
        # :data:`permille.store.writing.MANY_CACHE_KB` for large ones.
        db.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KB}")
        # Without its tables in the file itself, a copy of it alone would be no store.
        if version < SCHEMA_VERSION:
            checkpoint(db)
        undo.pop_all()
    return db, budget


def _make(path: Path) -> None:
    """Create a new store atomically; if another process is first, use that one."""
    with contextlib.suppress(FileExistsError), appearing(path) as part:
        db, _ = connect(part, "rwc")
        with contextlib.closing(db):
            create(db)


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A file in the same folder, to write a new store into and to close. Afterwards it is at
    ``path``, and on the disk; if writing fails, nothing is left.

    Raises:
        FileExistsError: ``path`` exists by then.
        StoreError: it cannot be written there.
    """
    _presence(path, readonly=False)
    own = f".{path.name}.{platform.node()}."
    # Two threads may make the same store, too.
    part = path.with_name(f"{own}{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        for left in path.parent.glob(f"{glob.escape(own)}*.part"):
            _drop_of_the_dead(left, left.name.removeprefix(own).partition(".")[0])
        yield part
        if log_of(part).exists():
            # On a full disk, SQLite closes a file without moving all of its log into it.
            raise StoreError(f"cannot write the store {path}: its log could not be moved into it")
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        _appear(part, path)
    except FileExistsError:
        raise
    except OSError as error:
        raise StoreError(f"cannot write the store {path}: {error.strerror}") from error
    finally:
        _drop(part)


def _drop_of_the_dead(part: Path, pid: str) -> None:
    """Remove what a killed process left, which may be as large as the store it was to be."""
    # Of a longer number, which no process has (proc(5), pid_max), the system makes another.
    if pid.isdecimal() and len(pid) <= 7 and not psutil.pid_exists(int(pid)):
        _drop(part)


def _drop(part: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        part.with_name(part.name + suffix).unlink(missing_ok=True)


def _appear(part: Path, path: Path) -> None:
    """Move ``part`` to ``path``, which must not exist.

    Raises:
        FileExistsError: it exists.
    """
    try:
        # link(2) fails where rename(2) would replace the store that another run has just made.
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
        create(db, version_of(db, path))
    except sqlite3.OperationalError:
        if version_of(db, path) != SCHEMA_VERSION:
            raise


def _copied(path: Path) -> OpenedStore:
    folder = tempfile.TemporaryDirectory(prefix="permille-store-")
    with contextlib.ExitStack() as undo:
        undo.callback(folder.cleanup)
        try:
            # As a writer: the copy may be of an older schema, which is migrated in it.
            db, budget = _writer(snapshot(path, Path(folder.name)))
        except OSError as error:
            raise StoreError(
                f"cannot read the store {path} in place, nor copy it to {folder.name}:"
                f" {error.strerror or error}"
            ) from error
        undo.pop_all()
    return OpenedStore(db, folder, budget)
