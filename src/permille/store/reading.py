"""Read the trials of a store, checked by their seals."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

from permille.errors import StoreError
from permille.records.machine import Environment, MachineSession
from permille.records.trial import Protocol, Status, Trial
from permille.store import rollup, sessions, windows
from permille.store.failures import damaged, failure, is_corrupt
from permille.store.file import open_file
from permille.store.gate import refusal_of_body
from permille.store.rollup import FoldReader, Kept
from permille.store.rows import (
    REFERENCE_SOURCE,
    Group,
    Raw,
    Row,
    StoredTrial,
    Tried,
    protocol_key,
    read_raw,
    row_of,
)
from permille.store.sealed import SealedRows, parts_of, raw_of
from permille.store.seals import DamageError

Rounds = Literal["latest", "all"]
T = TypeVar("T")


class StoreReader:
    """What every reader of a store needs; :class:`permille.store.Store` opens one, and writes.

    Damage raises :class:`StoreError`; with a list as ``damage``, reading continues with everything
    intact, and each damaged item is appended to the list.
    """

    def __init__(self, path: Path, *, readonly: bool, damage: list[str] | None) -> None:
        self.path = path
        self._db, self._copy, self._budget = open_file(path, readonly=readonly)
        self._rows = SealedRows(self._db, path, self._budget, damage)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        try:
            with self._guard("close"):
                self._db.close()
        finally:
            if self._copy is not None:
                self._copy.cleanup()

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
        ``source`` is given.

        Raises:
            StoreError: the file is damaged; the message names the trial.
        """
        with self._guard("read"):
            wanted = {"study": study, "cell": cell, "source": source}
            matching = {name: value for name, value in wanted.items() if value is not None}
            kept = self._groups(references=source == REFERENCE_SOURCE)
            chosen = [
                one.group
                for one in (rollup.newest_rounds(kept) if rounds == "latest" else kept)
                if all(getattr(one.group, name) == value for name, value in matching.items())
            ]
            for row in self._rows.rows_of(chosen, matching):
                if status is None or row.status == status:
                    yield from self._rows.usable(row)

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
                trials = [trial for row in rows for trial in self._rows.usable(row)]
                if trials:
                    yield trials

    def studies(self) -> list[str]:
        """The names of the studies with trials, in order of first appearance."""
        with self._guard("read"):
            return list(dict.fromkeys(kept.group.study for kept in self._groups()))

    def cells(self, fold: FoldReader[T], study: str | None = None) -> Iterator[tuple[Group, T]]:
        """What ``fold`` takes from the aggregate of every group, from the roll-up or, if it has
        none yet, from the trials; for one study or all, in order of first appearance.

        Raises:
            StoreError: the roll-up, or a required trial, is damaged.
        """

        def wanted(group: Group) -> bool:
            return group.source != REFERENCE_SOURCE and study in (None, group.study)

        with self._guard("read"):
            everything = self._rows.groups(rollup.unpacking(fold, wanted))
            chosen = rollup.newest_rounds([one for one in everything if wanted(one.group)])
            for kept in chosen:
                if kept.unpacked is not None:
                    yield kept.group, kept.unpacked
                    continue
                trials = self.of_group(kept.group)
                if trials:
                    yield kept.group, fold.of(trials)

    def packed(self, version: int) -> Iterator[tuple[Group, bytes]]:
        """The packed aggregates of groups by that version of the fold, as far as they can be read:
        those of the others follow from the trials."""
        with self._guard("read"):
            try:
                yield from rollup.packed(self._db, version)
            except DamageError:
                return
            except sqlite3.DatabaseError as error:
                if not is_corrupt(error):
                    raise

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
                rows = rows[max(0, len(rows) - newest) :]
            return [trial for row in rows for trial in self._rows.usable(row)]

    def of_groups(self, groups: Iterable[Group]) -> Iterator[Trial]:
        """The trials of several groups in the order they came, as they are read.

        Raises:
            StoreError: one is damaged.
        """
        with self._guard("read"):
            for row in self._rows.rows_of(list(groups), {}):
                yield from self._rows.usable(row)

    def trial(self, uid: str) -> Trial | None:
        """The trial of that uid, or None.

        Raises:
            StoreError: it is damaged.
        """
        with self._guard("read"):
            row = self._rows.row(uid)
            return None if row is None else next(iter(self._rows.usable(row)), None)

    def uids(self, prefix: str, *, most: int) -> list[str]:
        """At most ``most`` uids that start with ``prefix``; only the exact one if it exists. The
        index is not used, because it may be damaged although the trials are intact."""
        with self._guard("read"):
            rows = self._db.execute(
                "SELECT uid FROM trial NOT INDEXED WHERE substr(uid, 1, ?) = ?"
                " ORDER BY uid LIMIT ?",
                (len(prefix), prefix, most),
            ).fetchall()
        exact = [uid for (uid,) in rows if uid == prefix]
        return exact or [uid for (uid,) in rows]

    def known(self, uids: Iterable[str]) -> set[str]:
        """Those of these uids that the store has (one statement: at most some thousands)."""
        wanted = list(uids)
        with self._guard("read"):
            # SQLite takes at most 32,766 values in a statement (sqlite.org/limits.html).
            marks = ", ".join("?" * len(wanted))
            rows = self._db.execute(f"SELECT uid FROM trial WHERE uid IN ({marks})", wanted)
            return {uid for (uid,) in rows}

    def all_uids(self) -> list[str]:
        """The uid of every trial."""
        with self._guard("read"):
            return [uid for (uid,) in self._db.execute("SELECT uid FROM trial NOT INDEXED")]

    def sessions(self) -> list[MachineSession]:
        """Every session, by its start. Trials stored before there were sessions have none.

        Raises:
            StoreError: they are damaged.
        """
        with self._guard("read"), self._rows.snapshot():
            return list(sessions.read(self._db, self._rows.say))

    def windows(self) -> Iterator[windows.StoredWindow]:
        """The windows of every watch, by watch and number.

        Raises:
            StoreError: they are damaged.
        """
        with self._guard("read"), self._rows.snapshot():
            yield from windows.read(self._db, self._rows.say)

    def version(self) -> int:
        """Changes when another connection, of any process, has written to the file."""
        with self._guard("read"):
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def tried(self, study: str, protocol: Protocol, *, machines: bool = False) -> list[Tried]:
        """Every trial of a study under one protocol, on any machine, in the newest rounds,
        including rounds without a trial yet. ``machines``: with the machine of each."""
        with self._guard("read"):
            return [
                Tried(
                    row.cell,
                    row.repeat,
                    row.status,
                    row.fingerprint,
                    self._rows.machine(row) if machines else None,
                )
                for row in self._tried_rows(study, protocol)
            ]

    def tried_uids(self, study: str, protocol: Protocol) -> dict[str, list[str]]:
        """Cell -> the uids of the trials that :meth:`tried` has."""
        uids: dict[str, list[str]] = {}
        with self._guard("read"):
            for row in self._tried_rows(study, protocol):
                uids.setdefault(row.cell, []).append(row.uid)
        return uids

    def _tried_rows(self, study: str, protocol: Protocol) -> Iterator[Row]:
        matching = {"study": study, "protocol": protocol_key(protocol), "source": "permille"}
        starts = self._rows.starts()
        chosen = [
            group
            for group in (kept.group for kept in self._rows.groups())
            if all(getattr(group, name) == value for name, value in matching.items())
            and group.round
            == starts.get((group.study, group.cell, group.protocol, group.fingerprint), 0)
        ]
        return self._rows.rows_of(chosen, matching)

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

    def stored(self) -> Iterator[StoredTrial]:
        """Every trial of every round as it is stored, in the order they came; those of the
        reference workload last.

        Raises:
            StoreError: one is damaged.
        """
        with self._guard("read"):
            for references in (False, True):
                groups = [kept.group for kept in self._groups(references=references)]
                for row in self._rows.rows_of(groups, {}):
                    for trial in self._rows.decoded(row):
                        yield StoredTrial(
                            columns=row_of(trial),
                            body=row.body,
                            parts=self._parts(row),
                            refused=refusal_of_body(trial, row.body),
                        )

    def _parts(self, row: Row) -> list[tuple[str, bytes]]:
        """The parts of a recording; none if it is damaged, which is reported."""
        if not row.parts:
            return []
        try:
            parts = parts_of(self._db, row)
            read_raw(parts)
        except (ValueError, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.Error) and not is_corrupt(error):
                raise
            self._rows.say(f"the recording of {row.uid}: {error}")
            return []
        return parts

    @contextmanager
    def _guard(self, verb: str) -> Iterator[None]:
        self._budget.renew(limited=verb == "read")
        try:
            yield
        except DamageError as error:
            raise StoreError(damaged(self.path, str(error))) from error
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise failure(verb, self.path, error) from error
