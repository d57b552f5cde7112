"""Write rows: check, seal and count them. Used within a transaction."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from permille.errors import StoreError, UnkeepableError
from permille.records.trial import Trial
from permille.store import rollup
from permille.store.gate import encoded, packed
from permille.store.rows import KEYS, Raw, Row, StoredTrial, group_of, row_of
from permille.store.sealed import START
from permille.store.seals import added, grow, seal

_AT_ONCE = 5_000
"""The rows whose counts are held in memory."""
MANY_CACHE_KB = 128_000
"""The most memory for pages while many trials are written in one transaction: almost each of them
falls on another page of the index of uids, and a page that leaves the cache before the end of the
transaction is written several times."""


_Values = tuple[Any, ...]
"""The values of a :class:`Row`, in their order."""
_Part = tuple[int, str, bytes, int]
"""A part of a recording: its trial's number, its kind, its body, its seal."""

_COLUMNS = (*KEYS, "body", "seal")
_INSERT = f"INSERT INTO trial ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_INSERT_UNKNOWN = f"{_INSERT} ON CONFLICT (uid) DO NOTHING"
_UPDATE = f"UPDATE trial SET {', '.join(f'{name} = ?' for name in _COLUMNS[1:])} WHERE id = ?"


def _admit(trial: Trial, raw: Raw | None, path: Path) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Check that a trial and its recording can be read back; its body, and the recording's
    parts."""
    try:
        return encoded(trial), [] if raw is None else packed(raw)
    except ValueError as error:
        reason = str(error)
    raise UnkeepableError(f"trial {trial.uid} is not stored in {path}: {reason}", reason)


class Added(NamedTuple):
    """The numbers of trials that were new, replaced another record of the same trial, or were
    known."""

    new: int
    replaced: int
    known: int


class TakenIn(NamedTuple):
    """The result for trials of another store: the numbers new and known, why others were refused,
    and the number of new ones of each group, by its key."""

    new: int
    known: int
    refused: tuple[str, ...]
    came: Mapping[tuple[object, ...], int]


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

    def insert_stored(self, some: Sequence[StoredTrial]) -> list[StoredTrial]:
        """The same of trials of another store, as they are stored there, all of which this version
        could have stored. Returns those whose uid already exists, here or earlier among them."""
        # Looked up together and inserted together: one at a time, both take half as long again.
        there = self._there([one.uid for one in some])
        rows, parts, known = list[_Values](), list[_Part](), list[StoredTrial]()
        number = self._newest()
        for one in some:
            if one.uid in there:
                known.append(one)
                continue
            there.add(one.uid)
            number += 1
            its = _parts(number, one.parts) if one.parts else ()
            row = _row(number, one.columns, added(part[-1] for part in its) if its else 0, one.body)
            rows.append(row)
            parts += its
        self._db.executemany(_INSERT, rows)
        self._inserted(rows, parts)
        return known

    def _there(self, uids: Sequence[str]) -> set[str]:
        """Which of these uids exist."""
        query = f"SELECT uid FROM trial WHERE uid IN ({', '.join('?' * len(uids))})"
        return {uid for (uid,) in self._db.execute(query, uids)}

    def _put(
        self,
        columns: tuple[str | int, ...],
        body: bytes,
        bodies: Sequence[tuple[str, bytes]],
    ) -> int:
        # Chosen here and not by SQLite: the seal covers it, so it must be known before the insert.
        number = self._newest() + 1
        parts = _parts(number, bodies)
        row = _row(number, columns, added(part[-1] for part in parts), body)
        if self._db.execute(_INSERT_UNKNOWN, row).rowcount == 0:
            return 0
        self._inserted([row], parts)
        return 1

    def _newest(self) -> int:
        """The number of the newest trial."""
        if self._number is None:
            newest = self._db.execute("SELECT coalesce(max(id), 0) FROM trial").fetchone()
            self._number = newest[0]
        return self._number

    def _inserted(self, rows: Sequence[_Values], parts: Sequence[_Part]) -> None:
        """Write the recordings of trials that were written, and count both."""
        if parts:
            self._db.executemany(
                "INSERT INTO raw (trial, kind, body, seal) VALUES (?, ?, ?, ?)", parts
            )
        if rows:
            self._number = rows[-1][0]
        self._rows += [rollup.Inserted(group_of(row), row[0], row[-1]) for row in rows]
        self._parts += [part[-1] for part in parts]
        if len(self._rows) >= _AT_ONCE:
            # Not from the start: a run, which writes a trial at a time, keeps a small cache beside
            # the work that it measures.
            self._db.execute(f"PRAGMA cache_size = -{MANY_CACHE_KB}")
            self.finish()

    def finish(self) -> None:
        """Write the counts, so that what was inserted can be read, or the transaction end.

        Raises:
            DamageError: the counts are damaged.
        """
        if not self._rows:
            return
        self.came.update([row.group for row in self._rows])
        grow(self._db, "trial", len(self._rows), [row.seal for row in self._rows])
        grow(self._db, "raw", len(self._parts), self._parts)
        rollup.mark(self._db, self._rows)
        self._rows, self._parts = [], []


def _row(number: int, columns: tuple[str | int, ...], parts: int, body: bytes) -> _Values:
    """The values of a :class:`Row`, with its seal; ``parts`` is the sum of its recording's."""
    keys = (number, *columns, parts)
    return (*keys, body, seal(keys, body))


def _parts(number: int, bodies: Sequence[tuple[str, bytes]]) -> list[_Part]:
    """The rows of a trial's recording, with their seals."""
    return [(number, kind, part, seal((number, kind), part)) for kind, part in bodies]


def exchange(db: sqlite3.Connection, old: Row, trial: Trial, path: Path) -> None:
    """Replace the row of a trial with another record of it, under the same number, so that nothing
    else in the store changes."""
    try:
        row = Row._make(_row(old.id, row_of(trial), old.parts, encoded(trial)))
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
