"""Write rows: check, seal and count them. Used within a transaction."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from permille.errors import StoreError, UnkeepableError
from permille.records.trial import Trial
from permille.store import rollup
from permille.store.gate import encoded, packed
from permille.store.rows import KEYS, Raw, Row, StoredTrial, row_of
from permille.store.sealed import START
from permille.store.seals import added, grow, seal

_AT_ONCE = 5_000
"""The rows whose counts are held in memory."""
MANY_CACHE_KB = 128_000
"""The most memory for pages while many trials are written in one transaction: almost each of them
falls on another page of the index of uids, and a page that leaves the cache before the end of the
transaction is written several times."""


_COLUMNS = (*KEYS, "body", "seal")
_INSERT = (
    f"INSERT INTO trial ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    " ON CONFLICT (uid) DO NOTHING"
)
_UPDATE = f"UPDATE trial SET {', '.join(f'{name} = ?' for name in _COLUMNS[1:])} WHERE id = ?"


def _admit(trial: Trial, raw: Raw | None, path: Path) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Check that a trial and its recording can be read back; its body, and the recording's
    parts."""
    try:
        return encoded(trial), [] if raw is None else packed(raw)
    except ValueError as error:
        reason = str(error)
    raise _unkeepable(trial, path, reason)


def _unkeepable(trial: Trial, path: Path, reason: str) -> UnkeepableError:
    return UnkeepableError(f"trial {trial.uid} is not stored in {path}: {reason}", reason)


class Inserts:
    """The trials that one transaction adds. Each is written at once; what they add to the counts
    of the tables and to the roll-up is written by :meth:`finish`, once for all of them. ``came``:
    their numbers by the key of their group, once it is written."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path
        self._number: int | None = None
        self._rows: list[rollup.Inserted] = []
        self._parts: list[int] = []
        self.came: Counter[tuple[object, ...]] = Counter()

    def insert(self, trial: Trial, raw: Raw | None) -> int:
        """Write one trial and its recording; returns 0 if its uid already exists, otherwise 1.

        Raises:
            UnkeepableError: it could not be read back.
        """
        return self._put(row_of(trial), *_admit(trial, raw, self._path))

    def insert_stored(self, stored: StoredTrial) -> int:
        """The same of a trial of another store, as it is stored there.

        Raises:
            UnkeepableError: this version could not have stored it.
        """
        if stored.refused is not None:
            raise _unkeepable(stored.trial, self._path, stored.refused)
        return self._put(stored.columns, stored.body, stored.parts)

    def _put(
        self,
        columns: tuple[str | int, ...],
        body: bytes,
        bodies: Sequence[tuple[str, bytes]],
    ) -> int:
        if self._number is None:
            newest = self._db.execute("SELECT coalesce(max(id), 0) FROM trial").fetchone()
            self._number = newest[0]
        # Chosen here and not by SQLite: the seal covers it, so it must be known before the insert.
        number = self._number + 1
        parts = [(number, kind, part, seal((number, kind), part)) for kind, part in bodies]
        row = _row(number, columns, added(part[-1] for part in parts), body)
        if self._db.execute(_INSERT, row).rowcount == 0:
            return 0
        if parts:
            self._db.executemany(
                "INSERT INTO raw (trial, kind, body, seal) VALUES (?, ?, ?, ?)", parts
            )
        self._number = number
        self._rows.append(rollup.Inserted(row.group, number, row.seal))
        self._parts += [part[-1] for part in parts]
        if len(self._rows) == _AT_ONCE:
            # Not from the start: a run, which writes a trial at a time, keeps a small cache beside
            # the work that it measures.
            self._db.execute(f"PRAGMA cache_size = -{MANY_CACHE_KB}")
            self.finish()
        return 1

    def finish(self) -> None:
        """Write the counts, so that what was inserted can be read, or the transaction end.

        Raises:
            DamageError: the counts are damaged.
        """
        if not self._rows:
            return
        self.came.update(row.group for row in self._rows)
        grow(self._db, "trial", len(self._rows), [row.seal for row in self._rows])
        grow(self._db, "raw", len(self._parts), self._parts)
        rollup.mark(self._db, self._rows)
        self._rows, self._parts = [], []


def _row(number: int, columns: tuple[str | int, ...], parts: int, body: bytes) -> Row:
    """The row of a trial, with its seal; ``parts`` is the sum of its recording's."""
    keys = (number, *columns, parts)
    return Row._make((*keys, body, seal(keys, body)))


def exchange(db: sqlite3.Connection, old: Row, trial: Trial, path: Path) -> None:
    """Replace the row of a trial with another record of it, under the same number, so that nothing
    else in the store changes."""
    try:
        row = _row(old.id, row_of(trial), old.parts, encoded(trial))
    except ValueError as error:
        raise StoreError(f"trial {trial.uid} is not replaced in {path}: {error}") from error
    reason = None
    if (row.uid, row.group) != (old.uid, old.group):
        reason = "it belongs to another group than the one that it should replace"
    elif old.parts:
        reason = "the stored one has a recording"
    if reason is not None:
        raise StoreError(f"trial {trial.uid} is not replaced in {path}: {reason}")
    db.execute(_UPDATE, (*row[1:], old.id))
    grow(db, "trial", 0, [row.seal, -old.seal])
    rollup.exchange(db, old, row)


def put_round(
    db: sqlite3.Connection,
    key: tuple[str, str, str, str],
    round: int,
    before: dict[tuple[str, ...], int],
) -> None:
    """Put a cell on one machine into a round; ``before`` is the result of
    :meth:`SealedRows.starts`."""
    row = (*key, round)
    old = [seal((*key, before[key]))] if key in before else []
    db.execute(
        f"INSERT OR REPLACE INTO start ({', '.join(START)}, seal) VALUES (?, ?, ?, ?, ?, ?)",
        (*row, seal(row)),
    )
    grow(db, "start", 1 - len(old), [seal(row), *(-one for one in old)])
