"""What SQLite's errors mean for the one who reads them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from permille.errors import StoreError
from permille.store.connecting import BUSY_S

# TOOBIG and INTERRUPT are what the limits of `connecting` stop: damage, or a hostile file.
_CORRUPT = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_INTERRUPT,
}


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether the file is damaged, rather than locked or on a full disk, or used wrongly."""
    return _code(error) in _CORRUPT


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary code; 0 of an error that is not SQLite's."""
    # Python's module has errors of its own, without a code: of a connection that is closed, for
    # example. Nothing is known of the file then, least of all that it needs a repair.
    code: int = getattr(error, "sqlite_errorcode", 0)
    # The low byte is the primary code; the others refine it (sqlite.org/rescode.html).
    return code & 0xFF


_NO_DATABASE = "file is not a database"
"""SQLite's words."""


def failure(verb: str, path: Path, error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
    """SQLite's error as one line that says how to fix it."""
    if isinstance(error, UnicodeDecodeError):  # SQLite's message quotes a damaged schema
        return StoreError(damaged(path, "its schema"))
    code = _code(error)
    if code in _CORRUPT:
        endless = code == sqlite3.SQLITE_INTERRUPT
        return StoreError(damaged(path, "reading it does not terminate" if endless else str(error)))
    hint = {
        sqlite3.SQLITE_FULL: "; earlier trials are safe: free some space and run it again",
        sqlite3.SQLITE_READONLY: "; earlier trials are safe: name another store with --store",
        sqlite3.SQLITE_BUSY: f" for {BUSY_S:g} s; another program holds it",
    }.get(code, "")
    return StoreError(f"cannot {verb} the store {path}: {error}{hint}")


def vanished(path: Path, error: OSError) -> StoreError:
    """The store was there, and is not any more."""
    return StoreError(f"the store {path} has vanished: {error.strerror}")


def damaged(path: Path, what: str) -> str:
    """A one-line error: the store is damaged, and what to do. SQLite cannot tell a damaged first
    page from a file that never was a store."""
    state = "is no store, or a damaged one" if what == _NO_DATABASE else "is damaged"
    return (
        f"{path} {state} ({what}): `permille store check --store {path}` lists the damage, and"
        f" `permille store repair --store {path}` saves everything readable"
    )
