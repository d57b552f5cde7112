"""The store: write trials, checked by their seals; :mod:`permille.store.reading` reads them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from permille.errors import StoreError, UnkeepableError
from permille.records.machine import MachineSession
from permille.records.trial import Protocol, Trial
from permille.store import rolling, rollup, sessions, windows
from permille.store.connecting import checkpoint, with_log, without_log
from permille.store.failures import damaged, vanished
from permille.store.reading import StoreReader
from permille.store.rollup import Fold, Kept
from permille.store.rows import Raw, StoredTrial, protocol_key
from permille.store.seals import DamageError
from permille.store.writing import Added, Inserts, TakenIn, exchange, put_round


class Store(StoreReader):
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
        super().__init__(path, readonly=readonly, damage=damage)
        self._fold = fold
        self._file = None if readonly else path.stat()

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
        finally:
            super().close()

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
        return new

    def add_or_replace(
        self,
        trials: Iterable[Trial],
        better: Callable[[Trial, Trial], Trial | None],
        refused: Callable[[Trial, str], None],
    ) -> Added:
        """Store trials without a recording in one transaction. If a uid already exists,
        ``better(known, new)`` returns its replacement; None keeps it. ``refused`` is called for
        each trial that could not be read back, with the reason.

        Raises:
            StoreError: one could not be written, a known one is damaged, or its replacement belongs
                to another group: nothing was written.
        """
        new, replaced, known = 0, 0, 0
        with self._inserts() as inserts:
            for trial in trials:
                try:
                    inserted = inserts.insert(trial, None)
                except UnkeepableError as error:
                    refused(trial, error.reason)
                    continue
                if inserted:
                    new += 1
                    continue
                # It may be of this very batch, whose group is not written yet.
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
                    refused.append(_refusal(trial, error.reason))
                    continue
                new += inserted
                if not inserted:
                    known += self._equal([trial], refused)
        return TakenIn(new, known, tuple(refused), inserts.came)

    def take_over(self, trials: Iterable[Sequence[StoredTrial]]) -> TakenIn:
        """The same of trials that are read from another store, some at a time, as they are stored
        there.

        Raises:
            StoreError: see :meth:`take_in`; or they could not be read.
        """
        new, known = 0, 0
        refused: list[str] = []
        with self._inserts() as inserts:
            for some in trials:
                good = [one for one in some if one.refused is None]
                refused += [
                    _refusal(one.trial, one.refused) for one in some if one.refused is not None
                ]
                again = inserts.insert_stored(good)
                new += len(good) - len(again)
                known += self._equal([one.trial for one in again], refused)
        return TakenIn(new, known, tuple(refused), inserts.came)

    def _equal(self, again: Sequence[Trial], refused: list[str]) -> int:
        """How many of these trials, whose uids exist, are equal to the stored ones; a line is added
        for each other one."""
        known = 0
        for trial in again:
            if self._is_there(trial):
                known += 1
            else:
                refused.append(f"trial {trial.uid} already exists with different content")
        return known

    @contextmanager
    def unsynced(self) -> Iterator[None]:
        """Write without a log and without waiting for the disk, as only a file can be written that
        is thrown away unless all goes well: an error, or a power cut, leaves it damaged."""
        without_log(self._db)
        yield
        with_log(self._db)

    def adopt(self, source: StoreReader, came: Mapping[tuple[object, ...], int]) -> None:
        """Take the aggregates of the groups that came whole from another store, so that closing
        need not compute them. ``came``: what :meth:`take_over` took of that store.

        Raises:
            StoreError: the file could not be written, or either could not be read.
        """
        version = rolling.folding(self._fold)[0].version
        for some in rolling.batches(source.packed(version)):
            with self._transaction():
                rollup.adopt(self._db, some, version, came)
        checkpoint(self._db)

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
            raise vanished(self.path, error) from error
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
        with self._durably():
            before = self._rows.starts()
            for cell in cells:
                key = (study, cell, protocol_key(protocol), fingerprint)
                put_round(self._db, key, before.get(key, 0) + 1, before)

    def restore_rounds(self) -> None:
        """Put each cell into the newest round of its trials (after a repair)."""
        with self._durably():
            before = self._rows.starts()
            for kept in rollup.newest_rounds(rollup.read(self._db, Kept.without_body)):
                group = kept.group
                key = (group.study, group.cell, group.protocol, group.fingerprint)
                if group.round > before.get(key, 0):
                    put_round(self._db, key, group.round, before)
                    before[key] = group.round

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
        with self._durably():
            before = self._rows.starts()
            for (study, cell, protocol, fingerprint), round in starts.items():
                key = (study, cell, protocol, fingerprint)
                if round > before.get(key, 0):
                    put_round(self._db, key, round, before)

    def put_session(self, session: MachineSession) -> None:
        """Keep a session, in the place of the one of its id if there is one.

        Raises:
            StoreError: it could not be written, or not be read back; nothing is changed.
        """
        with self._durably():
            self._put_session(session)

    def session_or(
        self, new: MachineSession, choose: Callable[[list[MachineSession]], MachineSession | None]
    ) -> MachineSession:
        """The session that ``choose`` finds among all, else ``new``, which is kept. No other
        process begins one in between.

        Raises:
            StoreError: the sessions are damaged, or it could not be written.
        """
        with self._durably():
            chosen = choose(list(sessions.read(self._db, self._rows.say)))
            if chosen is None:
                self._put_session(new)
        return chosen or new

    def change_session(
        self, id: str, change: Callable[[MachineSession], MachineSession]
    ) -> MachineSession:
        """Put ``change`` of a session in its place, and return it. No other process changes it
        in between.

        Raises:
            StoreError: there is no such session, or it could not be written.
        """
        with self._durably():
            known = sessions.get(self._db, id)
            if known is None:
                raise StoreError(damaged(self.path, f"session {id} is missing"))
            changed = change(known)
            self._put_session(changed)
        return changed

    def _put_session(self, session: MachineSession) -> None:
        try:
            sessions.put(self._db, session)
        except DamageError:
            raise
        except ValueError as error:
            raise StoreError(f"session {session.id} is not kept in {self.path}: {error}") from error

    def take_in_sessions(self, others: Iterable[MachineSession]) -> tuple[str, ...]:
        """Keep sessions of another store; of one known already, the state that is further on.
        A line for each that is refused.

        Raises:
            StoreError: the file could not be written, or what is there is damaged.
        """
        with self._durably():
            refused = [sessions.take_in(self._db, one) for one in others]
        return tuple(line for line in refused if line is not None)

    def put_windows(self, new: Iterable[windows.StoredWindow]) -> None:
        """Keep windows of a watch in one transaction.

        Raises:
            StoreError: they could not be written; none of them was.
        """
        with self._durably():
            for window in new:
                try:
                    windows.put(self._db, window)
                except DamageError:
                    raise
                except ValueError as error:
                    where = f"window {window.number} of watch {window.watch}"
                    raise StoreError(f"{where} is not kept in {self.path}: {error}") from error

    def take_in_windows(self, others: Iterable[windows.StoredWindow]) -> tuple[str, ...]:
        """Keep windows of another store. A line for each that is refused.

        Raises:
            StoreError: the file could not be written, or what is there is damaged.
        """
        with self._durably():
            refused = [windows.take_in(self._db, one) for one in others]
        return tuple(line for line in refused if line is not None)

    def _roll_up(self) -> None:
        fold, target = rolling.folding(self._fold)
        # Earlier rounds are only read trial by trial, by what asks for all of them.
        stale = [
            kept.group
            for kept in rollup.newest_rounds(self._rows.groups())
            if kept.body is None or kept.fold != fold.version
        ]
        for some in rolling.folded(self, stale, fold, target):
            with self._transaction():
                rollup.keep(self._db, some, fold.version)
        checkpoint(self._db)

    @contextmanager
    def _inserts(self) -> Iterator[Inserts]:
        """A transaction that adds trials."""
        with self._durably():
            inserts = Inserts(self._db, self.path)
            yield inserts
            inserts.finish()

    @contextmanager
    def _durably(self) -> Iterator[None]:
        """A transaction that is in the file itself when it ends."""
        with self._transaction():
            yield
        checkpoint(self._db)
        self._still_there()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._guard("write"):
            # A transaction that reads first fails at once if another process writes in between
            # (sqlite.org/lang_transaction.html).
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.commit()
            except BaseException:
                # After some errors, such as a full disk, SQLite may have rolled back by itself.
                if self._db.in_transaction:
                    self._db.rollback()
                raise


def _refusal(trial: Trial, reason: str) -> str:
    """The line about a trial that is not taken."""
    return f"trial {trial.uid}: {reason}"
