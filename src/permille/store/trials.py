"""The store's interface for the rest of permille: write and read trials, checked by their seals."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeVar

from permille import plugins
from permille.errors import StoreError, UnkeepableError
from permille.records import Environment, MachineSession, Protocol, Status, Trial
from permille.store import rollup, sessions
from permille.store.file import checkpoint, damaged, failure, is_corrupt, open_file
from permille.store.rollup import Fold, Kept
from permille.store.rows import (
    REFERENCE_SOURCE,
    Group,
    Raw,
    Tried,
    protocol_key,
)
from permille.store.sealed import SealedRows, raw_of
from permille.store.seals import DamageError
from permille.store.writing import Inserts, exchange, put_round

Rounds = Literal["latest", "all"]
T = TypeVar("T")


class Added(NamedTuple):
    """The numbers of trials that were new, replaced another record of the same trial, or were
    known."""

    new: int
    replaced: int
    known: int


class TakenIn(NamedTuple):
    """The result for trials of another store: the numbers new and known, and why others were
    refused."""

    new: int
    known: int
    refused: tuple[str, ...]


class Store:
    """The trials of one file. Use it in a ``with``; ``readonly`` never creates or changes it.

    Damage raises :class:`StoreError`; with a list as ``damage``, reading continues with everything
    intact, and each damaged item is appended to the list. ``fold`` computes the roll-up; the
    default is the one for permille's figures (plug-in group ``permille.folds``).
    """

    def __init__(
        self,
        path: Path,
        *,
        readonly: bool = False,
        damage: list[str] | None = None,
        fold: Fold[Any] | None = None,
    ) -> None:
        self.path = path
        self._fold = fold
        self._db, self._copy, self._budget = open_file(path, readonly=readonly)
        self._rows = SealedRows(self._db, path, self._budget, damage)
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
        """Close the file; after writing, update the roll-up first."""
        try:
            if roll_up and self._file is not None:
                # Groups that cannot be rolled up are read from their trials: nothing is lost.
                with contextlib.suppress(sqlite3.Error, StoreError, DamageError):
                    self._roll_up()
            with self._guard("close"):
                self._db.close()
        finally:
            if self._copy is not None:
                self._copy.cleanup()

    # --- writing ---------------------------------------------------------------------------

    def add(self, trial: Trial, raw: Raw | None = None) -> bool:
        """Store one trial durably. Returns False if its uid already exists (nothing changes).

        Raises:
            StoreError: it could not be written or read back; nothing of it was written.
        """
        return self.add_many([(trial, raw)]) == 1

    def add_many(self, trials: Iterable[tuple[Trial, Raw | None]]) -> int:
        """Store trials in one transaction; returns the number of new ones.

        Raises:
            StoreError: one could not be written or read back; none of them was written.
        """
        new = 0
        with self._inserts() as inserts:
            for trial, raw in trials:
                new += inserts.insert(trial, raw)
        checkpoint(self._db)
        self._still_there()
        return new

    def add_or_replace(
        self, trials: Iterable[Trial], better: Callable[[Trial, Trial], Trial | None]
    ) -> Added:
        """Store trials without a recording in one transaction. If a uid already exists,
        ``better(known, found)`` returns its replacement; None keeps it.

        Raises:
            StoreError: one could not be written or read back, a known one is damaged, or its
                replacement belongs to another group: nothing was written.
        """
        new, replaced, known = 0, 0, 0
        with self._inserts() as inserts:
            for trial in trials:
                if inserts.insert(trial, None):
                    new += 1
                    continue
                inserts.finish()
                row = self._rows.row(trial.uid)
                if row is None:
                    raise StoreError(damaged(self.path, f"trial {trial.uid}"))
                for there in self._rows.decoded(row):
                    chosen = better(there, trial)
                    if chosen is not None:
                        exchange(self._db, row, chosen, self.path)
                    replaced += chosen is not None
                    known += chosen is None
        checkpoint(self._db)
        self._still_there()
        return Added(new, replaced, known)

    def take_in(self, trials: Iterable[tuple[Trial, Raw | None]]) -> TakenIn:
        """Store trials of another store in one transaction. A trial whose uid already exists is
        known if the two are equal, and refused otherwise; so is one that cannot be stored.

        Raises:
            StoreError: the file could not be written, or existing data are damaged; none of these
                trials was written.
        """
        new, known = 0, 0
        refused: list[str] = []
        with self._inserts() as inserts:
            for trial, raw in trials:
                try:
                    inserted = inserts.insert(trial, raw)
                except UnkeepableError as error:
                    refused.append(f"trial {trial.uid}: {error.reason}")
                    continue
                if inserted:
                    new += 1
                    continue
                inserts.finish()
                if self._is_there(trial):
                    known += 1
                else:
                    refused.append(f"trial {trial.uid} already exists with different content")
        checkpoint(self._db)
        self._still_there()
        return TakenIn(new, known, tuple(refused))

    def _is_there(self, trial: Trial) -> bool:
        row = self._rows.row(trial.uid)
        if row is None:
            raise StoreError(damaged(self.path, f"trial {trial.uid}"))
        # As records, not as bytes: a trial from an older version lacks newer fields.
        return any(there == trial for there in self._rows.decoded(row))

    def _still_there(self) -> None:
        """A file that was deleted can still be written, and is lost when it is closed."""
        try:
            now = self.path.stat()
        except OSError as error:
            raise StoreError(f"the store {self.path} has vanished: {error.strerror}") from error
        if self._file is not None and (now.st_dev, now.st_ino) != (
            self._file.st_dev,
            self._file.st_ino,
        ):
            raise StoreError(f"the store {self.path} has been replaced by another file")

    def start_over(
        self, study: str, cells: Iterable[str], protocol: Protocol, fingerprint: str
    ) -> None:
        """Begin a new round of these cells on one machine; nothing is deleted.

        Raises:
            StoreError: it could not be written.
        """
        with self._transaction():
            before = self._rows.starts()
            for cell in cells:
                key = (study, cell, protocol_key(protocol), fingerprint)
                put_round(self._db, key, before.get(key, 0) + 1, before)
        checkpoint(self._db)

    def restore_rounds(self) -> None:
        """Put each cell into the newest round of its trials (after a repair)."""
        with self._transaction():
            before = self._rows.starts()
            for kept in rollup.newest_rounds(rollup.read(self._db)):
                group = kept.group
                key = (group.study, group.cell, group.protocol, group.fingerprint)
                if group.round > before.get(key, 0):
                    put_round(self._db, key, group.round, before)
                    before[key] = group.round
        checkpoint(self._db)

    def starts(self) -> dict[tuple[str, ...], int]:
        """(study, cell, protocol, fingerprint) -> its current round, if not 0.

        Raises:
            StoreError: the rounds are damaged.
        """
        with self._guard("read"):
            return self._rows.starts()

    def advance(self, starts: Mapping[tuple[str, ...], int]) -> None:
        """Put cells into the later rounds of another store's :meth:`starts`; rounds of this store
        that are later do not change.

        Raises:
            StoreError: it could not be written.
        """
        with self._transaction():
            before = self._rows.starts()
            for (study, cell, protocol, fingerprint), round in starts.items():
                key = (study, cell, protocol, fingerprint)
                if round > before.get(key, 0):
                    put_round(self._db, key, round, before)
        checkpoint(self._db)

    def put_session(self, session: MachineSession) -> None:
        """Keep a session, in the place of the one of its id if there is one.

        Raises:
            StoreError: it could not be written, or not be read back; nothing is changed.
        """
        with self._transaction():
            self._put_session(session)
        checkpoint(self._db)
        self._still_there()

    def session_or(
        self, new: MachineSession, choose: Callable[[list[MachineSession]], MachineSession | None]
    ) -> MachineSession:
        """The session that ``choose`` finds among all, else ``new``, which is kept. No other
        process begins one in between.

        Raises:
            StoreError: the sessions are damaged, or it could not be written.
        """
        with self._transaction():
            found = choose(list(sessions.read(self._db, self._rows.say)))
            if found is None:
                self._put_session(new)
        checkpoint(self._db)
        self._still_there()
        return found or new

    def change_session(
        self, id: str, change: Callable[[MachineSession], MachineSession]
    ) -> MachineSession:
        """Put ``change`` of a session in its place, and return it. No other process changes it
        in between.

        Raises:
            StoreError: there is no such session, or it could not be written.
        """
        with self._transaction():
            known = sessions.get(self._db, id)
            if known is None:
                raise StoreError(damaged(self.path, f"session {id} is missing"))
            changed = change(known)
            self._put_session(changed)
        checkpoint(self._db)
        self._still_there()
        return changed

    def _put_session(self, session: MachineSession) -> None:
        try:
            sessions.put(self._db, session)
        except DamageError:
            raise
        except ValueError as error:
            raise StoreError(f"session {session.id} is not kept in {self.path}: {error}") from error

    def take_in_sessions(self, found: Iterable[MachineSession]) -> tuple[str, ...]:
        """Keep sessions of another store; of one known already, the state that is further on.
        A line for each that is refused.

        Raises:
            StoreError: the file could not be written, or what is there is damaged.
        """
        with self._transaction():
            refused = [sessions.take_in(self._db, one) for one in found]
        checkpoint(self._db)
        self._still_there()
        return tuple(line for line in refused if line is not None)

    def _roll_up(self) -> None:
        fold = self._fold or plugins.load("folds", "cells", StoreError)
        for kept in rollup.newest_rounds(self._rows.groups()):
            if kept.body is None or kept.fold != fold.version:
                with contextlib.suppress(StoreError):  # damaged: its reader reports it
                    body = fold.pack(fold.of(self.of_group(kept.group)))
                    with self._transaction():
                        rollup.keep(self._db, kept.group, fold.version, body)
        checkpoint(self._db)

    # --- reading ---------------------------------------------------------------------------

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
        each cell (see :meth:`start_over`). Those of the reference workload only where their
        ``source`` is asked for.

        Raises:
            StoreError: the file is damaged; the message names the trial.
        """
        with self._guard("read"):
            wanted = {"study": study, "cell": cell, "source": source}
            asked = {name: value for name, value in wanted.items() if value is not None}
            kept = self._groups(references=source == REFERENCE_SOURCE)
            chosen = [
                one.group
                for one in (rollup.newest_rounds(kept) if rounds == "latest" else kept)
                if all(getattr(one.group, name) == value for name, value in asked.items())
            ]
            for row in self._rows.rows_of(chosen, asked):
                if status is None or row.status == status:
                    yield from self._rows.decoded(row)

    def by_cell(self, study: str | None = None) -> Iterator[list[Trial]]:
        """The newest round of one cell's trials at a time, for one study or all, in order of first
        appearance. Only one cell's trials are in memory.

        Raises:
            StoreError: the file is damaged; the message names the trial.
        """
        with self._guard("read"):
            cells: dict[tuple[str, str], list[Group]] = {}
            for one in rollup.newest_rounds(self._groups()):
                if study in (None, one.group.study):
                    cells.setdefault((one.group.study, one.group.cell), []).append(one.group)
            for groups in cells.values():
                rows = self._rows.rows_of_cell(groups)
                trials = [trial for row in rows for trial in self._rows.decoded(row)]
                if trials:
                    yield trials

    def studies(self) -> list[str]:
        """The names of the studies with trials, in order of first appearance."""
        with self._guard("read"):
            return list(dict.fromkeys(kept.group.study for kept in self._groups()))

    def cells(self, fold: Fold[T], study: str | None = None) -> Iterator[tuple[Group, T]]:
        """The aggregate of every group, from the roll-up or, if it has none yet, from the trials;
        for one study or all, in order of first appearance.

        Raises:
            StoreError: the roll-up, or a required trial, is damaged.
        """
        with self._guard("read"):
            for kept in rollup.newest_rounds(self._groups()):
                if study not in (None, kept.group.study):
                    continue
                if kept.body is not None and kept.fold == fold.version:
                    with contextlib.suppress(ValueError):
                        yield kept.group, fold.unpack(kept.body)
                        continue
                trials = self.of_group(kept.group)
                if trials:
                    yield kept.group, fold.of(trials)

    def _groups(self, *, references: bool = False) -> list[Kept]:
        """The groups of what was measured, or those of the reference workload."""
        return [
            kept
            for kept in self._rows.groups()
            if (kept.group.source == REFERENCE_SOURCE) == references
        ]

    def of_group(self, group: Group, *, newest: int | None = None) -> list[Trial]:
        """The trials of one group in order of insertion; with ``newest``, only this number of the
        newest.

        Raises:
            StoreError: one is damaged.
        """
        with self._guard("read"):
            rows = self._rows.rows_of_cell([group])
            if newest is not None:
                last = list(rows)
                rows = iter(last[max(0, len(last) - newest) :])
            return [trial for row in rows for trial in self._rows.decoded(row)]

    def trial(self, uid: str) -> Trial | None:
        """The trial of that uid, or None.

        Raises:
            StoreError: it is damaged.
        """
        with self._guard("read"):
            row = self._rows.row(uid)
            return None if row is None else next(iter(self._rows.decoded(row)), None)

    def uids(self, prefix: str, *, most: int) -> list[str]:
        """At most ``most`` uids that start with ``prefix``; only the exact one if it exists. The
        index is not used, because it may be damaged although the trials are intact."""
        with self._guard("read"):
            found = self._db.execute(
                "SELECT uid FROM trial NOT INDEXED WHERE substr(uid, 1, ?) = ?"
                " ORDER BY uid LIMIT ?",
                (len(prefix), prefix, most),
            ).fetchall()
        exact = [uid for (uid,) in found if uid == prefix]
        return exact or [uid for (uid,) in found]

    def known(self, uids: Iterable[str]) -> set[str]:
        """Those of these uids that the store has (one statement: at most some thousands)."""
        asked = list(uids)
        with self._guard("read"):
            marks = ", ".join("?" * len(asked))
            found = self._db.execute(f"SELECT uid FROM trial WHERE uid IN ({marks})", asked)
            return {uid for (uid,) in found}

    def all_uids(self) -> list[str]:
        """The uid of every trial."""
        with self._guard("read"):
            return [uid for (uid,) in self._db.execute("SELECT uid FROM trial NOT INDEXED")]

    def sessions(self) -> list[MachineSession]:
        """Every session, by its start. Trials stored before there were sessions have none (see
        :mod:`permille.analysis.sessions`).

        Raises:
            StoreError: they are damaged.
        """
        with self._guard("read"), self._rows.snapshot():
            return list(sessions.read(self._db, self._rows.say))

    def version(self) -> int:
        """Changes when another connection, of any process, has written to the file."""
        with self._guard("read"):
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def tried(self, study: str, protocol: Protocol) -> list[Tried]:
        """Every trial of a study under one protocol, on any machine, in the newest rounds,
        including rounds without a trial yet."""
        asked = {"study": study, "protocol": protocol_key(protocol), "source": "permille"}
        with self._guard("read"):
            starts = self._rows.starts()
            chosen = [
                group
                for group in (kept.group for kept in self._rows.groups())
                if all(getattr(group, name) == value for name, value in asked.items())
                and group.round
                == starts.get((group.study, group.cell, group.protocol, group.fingerprint), 0)
            ]
            return [
                Tried(row.cell, row.repeat, row.status, row.fingerprint)
                for row in self._rows.rows_of(chosen, asked)
            ]

    def environment(self, fingerprint: str) -> Environment | None:
        """The machine of a fingerprint, from one of its trials."""
        with self._guard("read"):
            for kept in self._rows.groups():
                if kept.group.fingerprint == fingerprint:
                    for row in self._rows.scan({"fingerprint": fingerprint}, kept.group.newest):
                        for trial in self._rows.decoded(row):
                            return trial.environment
        return None

    def rounds(self, study: str, protocol: Protocol, fingerprint: str) -> dict[str, int]:
        """Cell -> its current round on one machine; cells that were never started over are not
        included and have round 0."""
        with self._guard("read"):
            wanted = (study, protocol_key(protocol), fingerprint)
            return {
                cell: round
                for (of_study, cell, key, machine), round in self._rows.starts().items()
                if (of_study, key, machine) == wanted
            }

    def raw(self, uid: str) -> Raw | None:
        """The raw data of a trial; None if it has none (an import).

        Raises:
            StoreError: it is damaged.
        """
        with self._guard("read"):
            row = self._rows.row(uid)
            if row is None:
                return None
            try:
                return raw_of(self._db, row)
            except (ValueError, sqlite3.DatabaseError) as error:
                if isinstance(error, sqlite3.Error) and not is_corrupt(error):
                    raise
                self._rows.say(f"the recording of {uid}: {error}")
                return None

    @contextmanager
    def _inserts(self) -> Iterator[Inserts]:
        """A transaction that adds trials."""
        with self._transaction():
            inserts = Inserts(self._db, self.path)
            yield inserts
            inserts.finish()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._guard("write"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.commit()
            except BaseException:
                if self._db.in_transaction:
                    self._db.rollback()
                raise

    @contextmanager
    def _guard(self, verb: str) -> Iterator[None]:
        self._budget.renew(limited=verb == "read")
        try:
            yield
        except DamageError as error:
            raise StoreError(damaged(self.path, str(error))) from error
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise failure(verb, self.path, error) from error
