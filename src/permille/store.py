"""The store: one SQLite file of trials and their raw recordings.

A trial is committed whole or not at all, and is on disk when :meth:`Store.add` returns (WAL,
``synchronous=FULL``). Joules are stored, carbon never: it is applied on reading.
"""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec

from permille import store_rollup
from permille.errors import StoreError
from permille.records import Environment, Protocol, Status, Trial
from permille.store_file import damaged, failure, open_file
from permille.store_rollup import Rolled
from permille.store_rows import (
    Group,
    Raw,
    Tried,
    columns_of,
    pack,
    protocol_key,
    read_raw,
    read_trial,
)

__all__ = ["Group", "Raw", "Rolled", "Store", "Tried"]

ROLLED_AT_ONCE = 100
"""Groups of the roll-up that are written in one transaction."""

Rounds = Literal["latest", "all"]
_KEY = ("study", "source", "cell", "protocol", "fingerprint")
# Only the newest round of a cell counts; the partial index makes this free where there is one.
_LATEST = (
    "NOT EXISTS (SELECT 1 FROM trial AS later WHERE later.round > 0"
    " AND later.round > trial.round AND "
    + " AND ".join(f"later.{column} = trial.{column}" for column in _KEY)
    + ")"
)


class Store:
    """The trials of one file. Open with ``with``; ``readonly`` never creates or changes it."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        self._db, self._copy = open_file(path, readonly=readonly)
        self._file = None if readonly else path.stat()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(roll_up=kind is None)

    def close(self, *, roll_up: bool = True) -> None:
        """Close the file; after writing, what came in is rolled up first."""
        try:
            if roll_up and self._file is not None:
                # What cannot be rolled up is read from its trials: nothing is lost with it.
                with contextlib.suppress(sqlite3.Error, StoreError):
                    self._roll_up()
            with self._guard("close"):
                self._db.close()
        finally:
            if self._copy is not None:
                self._copy.cleanup()

    def add(self, trial: Trial, raw: Raw | None = None) -> bool:
        """Keep one trial, durably. False if its uid is there already (nothing is changed).

        Raises:
            StoreError: it could not be written; nothing of it was.
        """
        return self.add_many([(trial, raw)]) == 1

    def add_many(self, trials: Iterable[tuple[Trial, Raw | None]]) -> int:
        """Keep trials in one transaction; how many were new.

        Raises:
            StoreError: it could not be written; none of them was.
        """
        new = 0
        with self._guard("write"), self._db:
            for trial, raw in trials:
                new += self._insert(trial, raw)
        self._still_there()
        return new

    def _still_there(self) -> None:
        """A file that was deleted can still be written, and is lost when it is closed."""
        try:
            now = self.path.stat()
        except OSError as error:
            raise StoreError(f"the store {self.path} has gone: {error.strerror}") from error
        if self._file is not None and (now.st_dev, now.st_ino) != (
            self._file.st_dev,
            self._file.st_ino,
        ):
            raise StoreError(f"the store {self.path} has been replaced by another file")

    def _insert(self, trial: Trial, raw: Raw | None) -> int:
        body = msgspec.json.encode(trial)
        columns = {**columns_of(trial), "body": body, "crc": zlib.crc32(body)}
        cursor = self._db.execute(
            f"INSERT INTO trial ({', '.join(columns)})"
            f" VALUES ({', '.join('?' * len(columns))}) ON CONFLICT (uid) DO NOTHING",
            tuple(columns.values()),
        )
        if cursor.rowcount == 0 or cursor.lastrowid is None:
            return 0
        store_rollup.mark(self._db, columns, cursor.lastrowid)
        if raw is not None:
            parts = [("spans", raw.spans), ("durations", raw.durations_ns)]
            if raw.recording is not None:
                parts.append(("recording", raw.recording))  # type: ignore[arg-type]
            self._db.executemany(
                "INSERT INTO raw (trial, kind, body) VALUES (?, ?, ?)",
                [(cursor.lastrowid, kind, pack(part)) for kind, part in parts],
            )
        return 1

    def trials(
        self,
        *,
        study: str | None = None,
        cell: str | None = None,
        source: str | None = None,
        status: Status | None = None,
        rounds: Rounds = "latest",
    ) -> Iterator[Trial]:
        """Trials in the order they came, as they are read; by default only the newest round of
        each cell (see :meth:`start_over`).

        Raises:
            StoreError: the file is damaged; names the trial.
        """
        wanted = {"study": study, "cell": cell, "source": source, "status": status}
        clauses = [f"{column} = ?" for column, value in wanted.items() if value is not None]
        if rounds == "latest":
            clauses.append(_LATEST)
        where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
        values = [value for value in wanted.values() if value is not None]
        with self._guard("read"):
            for uid, body, crc in self._db.execute(
                f"SELECT uid, body, crc FROM trial{where} ORDER BY id", values
            ):
                yield self._decoded(uid, body, crc)

    def _decoded(self, uid: str, body: bytes, crc: int) -> Trial:
        try:
            return read_trial(body, crc)
        except ValueError as error:
            raise StoreError(damaged(self.path, f"trial {uid}: {error}")) from error

    def by_cell(self, study: str | None = None) -> Iterator[list[Trial]]:
        """All trials of a cell at a time, those of one study or of all, in order of first
        appearance; of each the newest round. Memory holds one cell's.

        Raises:
            StoreError: the file is damaged; names the trial.
        """
        with self._guard("read"):
            cells = self._db.execute(
                "SELECT study, cell FROM trial WHERE ? IS NULL OR study = ?"
                " GROUP BY study, cell ORDER BY min(id)",
                (study, study),
            ).fetchall()
        for of_study, cell in cells:
            yield list(self.trials(study=of_study, cell=cell))

    def studies(self) -> list[str]:
        """The names of the studies that have trials, in order of their first."""
        with self._guard("read"):
            found = self._db.execute("SELECT study FROM trial GROUP BY study ORDER BY min(id)")
            return [name for (name,) in found]

    def cells(self) -> Iterator[tuple[Group, Rolled]]:
        """Every group as one cell: from the roll-up, and where it has none yet from its trials.

        Raises:
            StoreError: a trial that had to be read is damaged.
        """
        with self._guard("read"):
            kept = store_rollup.kept(self._db)
        for group, found in kept:
            yield group, found or store_rollup.rolled(self.of_group(group))

    def _roll_up(self) -> None:
        made = []
        for group in store_rollup.stale(self._db):
            with contextlib.suppress(StoreError):  # a damaged trial: whoever reads it says so
                made.append((group, store_rollup.rolled(self.of_group(group))))
            if len(made) == ROLLED_AT_ONCE:
                self._keep(made)
                made = []
        self._keep(made)

    def _keep(self, made: list[tuple[Group, Rolled]]) -> None:
        with self._db:
            store_rollup.write(self._db, made)

    def of_group(self, group: Group, *, newest: int | None = None) -> list[Trial]:
        """The trials of one group, in the order they came; only the ``newest`` so many, if said.

        Raises:
            StoreError: one is damaged.
        """
        with self._guard("read"):
            rows = self._db.execute(
                "SELECT uid, body, crc FROM trial WHERE study = ? AND cell = ? AND source = ?"
                f" AND fingerprint = ? AND protocol = ? AND {_LATEST} ORDER BY id DESC LIMIT ?",
                (
                    *(group.study, group.cell, group.source, group.fingerprint, group.protocol),
                    -1 if newest is None else newest,
                ),
            ).fetchall()
        return [self._decoded(*row) for row in reversed(rows)]

    def trial(self, uid: str) -> Trial | None:
        """The trial of that uid, or None.

        Raises:
            StoreError: it is damaged.
        """
        with self._guard("read"):
            row = self._db.execute(
                "SELECT uid, body, crc FROM trial WHERE uid = ?", (uid,)
            ).fetchone()
        return None if row is None else self._decoded(*row)

    def tried(self, study: str, protocol: Protocol) -> list[Tried]:
        """Every trial of a study under one protocol, on any machine, of the newest rounds,
        a round without a trial yet among them."""
        with self._guard("read"):
            found = self._db.execute(
                "SELECT cell, repeat, status, fingerprint FROM trial"
                " WHERE study = ? AND protocol = ? AND source = 'permille' AND round ="
                " coalesce((SELECT start.round FROM start WHERE start.study = trial.study"
                " AND start.cell = trial.cell AND start.protocol = trial.protocol"
                " AND start.fingerprint = trial.fingerprint), 0) ORDER BY id",
                (study, protocol_key(protocol)),
            ).fetchall()
        return [Tried(*row) for row in found]

    def environment(self, fingerprint: str) -> Environment | None:
        """The machine that a fingerprint stands for, of one of its trials."""
        with self._guard("read"):
            row = self._db.execute(
                "SELECT uid, body, crc FROM trial WHERE fingerprint = ? LIMIT 1", (fingerprint,)
            ).fetchone()
        return None if row is None else self._decoded(*row).environment

    def rounds(self, study: str, protocol: Protocol, fingerprint: str) -> dict[str, int]:
        """Cell -> the round that it is in on one machine; cells never started over are not
        there: theirs is 0."""
        with self._guard("read"):
            return dict(
                self._db.execute(
                    "SELECT cell, round FROM start"
                    " WHERE study = ? AND protocol = ? AND fingerprint = ?",
                    (study, protocol_key(protocol), fingerprint),
                ).fetchall()
            )

    def start_over(
        self, study: str, cells: Iterable[str], protocol: Protocol, fingerprint: str
    ) -> None:
        """Begin a new round of these cells on one machine; nothing is deleted.

        Raises:
            StoreError: it could not be written.
        """
        key = (study, protocol_key(protocol), fingerprint)
        with self._guard("write"), self._db:
            self._db.executemany(
                "INSERT INTO start (study, protocol, fingerprint, cell, round)"
                " VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET round = round + 1",
                [(*key, cell) for cell in cells],
            )

    def restore_rounds(self) -> None:
        """Each cell is in the newest round of its trials (after a repair)."""
        with self._guard("write"), self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO start (study, cell, protocol, fingerprint, round)"
                " SELECT study, cell, protocol, fingerprint, max(round) FROM trial"
                " WHERE round > 0 GROUP BY study, cell, protocol, fingerprint"
            )

    def raw(self, uid: str) -> Raw | None:
        """What a trial was computed from; None if it came without (an import).

        Raises:
            StoreError: it is damaged.
        """
        with self._guard("read"):
            rows = self._db.execute(
                "SELECT kind, raw.body FROM raw JOIN trial ON trial.id = raw.trial WHERE uid = ?",
                (uid,),
            ).fetchall()
        if not rows:
            return None
        try:
            return read_raw(rows)
        except ValueError as error:
            raise StoreError(damaged(self.path, f"the recording of {uid}: {error}")) from error

    @contextmanager
    def _guard(self, verb: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise failure(verb, self.path, error) from error
