"""Connect to a store's file so that nothing in it is executed, and no reading is endless."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from functools import partial
from pathlib import Path

from permille.store.log import log_of
from permille.store.schema import functions

BUSY_S = 30.0
"""Seconds to wait for another writer's transaction."""
CHECKPOINT_S = 5.0
"""Seconds that a trial waits for readers until it is moved from the log to the file."""
MOST_BODY_BYTES = 256 * 2**20
"""The most bytes of one value in the file."""
_LEAST_STEPS = 100_000_000
_STEPS_PER_BYTE = 20
"""A scan takes some tens of steps per row, and a row has at least some tens of bytes."""


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


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def connect(path: Path, mode: str) -> tuple[sqlite3.Connection, Budget]:
    """Connect to an untrusted file, so that nothing in it is executed."""
    # A URI, whose ? and # as_uri escapes. No isolation level: Python would begin transactions by
    # itself, and not IMMEDIATE (docs.python.org, sqlite3).
    db = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None
    )
    budget = Budget(path)
    with contextlib.ExitStack() as undo:
        undo.callback(db.close)
        harden(db)
        db.set_progress_handler(budget, Budget.STEPS)
        # Off by default, and not kept in the file (sqlite.org/foreignkeys.html).
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


_text = partial(str, encoding="utf-8", errors="backslashreplace")
"""Accepts damaged text: its seal reveals the damage. No function of ours, which would take twice as
long: it is called for each text of each row."""


def checkpoint(db: sqlite3.Connection) -> None:
    """Move the content of the log to the file, so that a copy of the file alone is complete.

    If a reader blocks this for long, or the disk is full, it stays in the log, which is also on
    disk, until the next trial (https://www.sqlite.org/wal.html#ckpt).
    """
    db.execute(f"PRAGMA busy_timeout = {CHECKPOINT_S * 1000:.0f}")
    with contextlib.suppress(sqlite3.OperationalError):
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    db.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")


def with_log(db: sqlite3.Connection) -> None:
    """Write by a log, and wait for the disk at the end of each transaction."""
    db.execute("PRAGMA journal_mode = WAL")
    # With NORMAL, a power cut may undo the last transactions of a log (sqlite.org/pragma.html).
    db.execute("PRAGMA synchronous = FULL")


def without_log(db: sqlite3.Connection) -> None:
    """Write so that an error or a power cut leaves the file damaged."""
    if sys.version_info >= (3, 12):
        # It refuses the next line (sqlite.org/c3ref/c_dbconfig_defensive.html).
        db.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, False)
    db.execute("PRAGMA journal_mode = OFF")
    db.execute("PRAGMA synchronous = OFF")
