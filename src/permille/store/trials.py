"""The store as the rest of permille sees it: trials in, trials out, each read against its seal."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeVar

import msgspec

from permille import plugins
from permille.errors import StoreError, UnkeepableError
from permille.records import Environment, Protocol, Status, Trial
from permille.store import rollup
from permille.store.file import checkpoint, damaged, failure, is_corrupt, open_file
from permille.store.gate import packed, refusal
from permille.store.rollup import Fold, Kept
from permille.store.rows import (
    KEYS,
    Group,
    Raw,
    Row,
    Tried,
    columns_of,
    protocol_key,
    read_raw,
    read_trial,
)
from permille.store.seals import DamageError, added, grow, seal, total

CHUNK = 500
"""Trials that one statement reads: a reader never keeps a writer's log from the file for long."""
_LEAST_ROW_BYTES = 32

Rounds = Literal["latest", "all"]
T = TypeVar("T")
_SELECT = f"SELECT {', '.join(KEYS)}, body, seal FROM trial"
_START = ("study", "cell", "protocol", "fingerprint", "round")


class Added(NamedTuple):
    """How many trials were new, took the place of another record of themselves, or were known."""

    new: int
    replaced: int
    known: int


class TakenIn(NamedTuple):
    """Trials of another store: how many were new, were there already, and why others are not."""

    new: int
    known: int
    refused: tuple[str, ...]


class Store:
    """The trials of one file. Open with ``with``; ``readonly`` never creates or changes it.

    What is damaged raises :class:`StoreError`; with a list as ``damage``, reading goes on with
    all that is whole, and the list is told of each thing that is not. ``fold`` makes the roll-up;
    without one it is that which permille's figures are made by (plug-in ``permille.folds``).
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
        self._damage = damage
        self._fold = fold
        self._db, self._copy, self._budget = open_file(path, readonly=readonly)
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
                with contextlib.suppress(sqlite3.Error, StoreError, DamageError):
                    self._roll_up()
            with self._guard("close"):
                self._db.close()
        finally:
            if self._copy is not None:
                self._copy.cleanup()

    # --- writing ---------------------------------------------------------------------------

    def add(self, trial: Trial, raw: Raw | None = None) -> bool:
        """Keep one trial, durably. False if its uid is there already (nothing is changed).

        Raises:
            StoreError: it could not be written, or not be read back; nothing of it was written.
        """
        return self.add_many([(trial, raw)]) == 1

    def add_many(self, trials: Iterable[tuple[Trial, Raw | None]]) -> int:
        """Keep trials in one transaction; how many were new.

        Raises:
            StoreError: one could not be written, or not be read back; none of them was written.
        """
        new = 0
        with self._transaction():
            for trial, raw in trials:
                new += self._insert(trial, raw)
        checkpoint(self._db)
        self._still_there()
        return new

    def add_or_replace(
        self, trials: Iterable[Trial], better: Callable[[Trial, Trial], Trial | None]
    ) -> Added:
        """Keep trials without a recording in one transaction. Where a uid is there already,
        ``better(known, found)`` says what is to be in its place; None leaves it.

        Raises:
            StoreError: one could not be written or read back, a known one is damaged, or what is
                to replace it is of another group: nothing was written.
        """
        new, replaced, known = 0, 0, 0
        with self._transaction():
            for trial in trials:
                if self._insert(trial, None):
                    new += 1
                    continue
                row = self._row(trial.uid)
                if row is None:
                    raise StoreError(damaged(self.path, f"trial {trial.uid}"))
                for there in self._decoded(row):
                    chosen = better(there, trial)
                    if chosen is not None:
                        self._exchange(row, chosen)
                    replaced += chosen is not None
                    known += chosen is None
        checkpoint(self._db)
        self._still_there()
        return Added(new, replaced, known)

    def take_in(self, trials: Iterable[tuple[Trial, Raw | None]]) -> TakenIn:
        """Keep trials of another store in one transaction. One whose uid is there already is known
        where the two are equal, and refused where they are not; so is one that cannot be kept.

        Raises:
            StoreError: the file could not be written, or what is there is damaged; nothing of
                these trials was written.
        """
        new, known = 0, 0
        refused: list[str] = []
        with self._transaction():
            for trial, raw in trials:
                try:
                    inserted = self._insert(trial, raw)
                except UnkeepableError as error:
                    refused.append(f"trial {trial.uid}: {error.reason}")
                    continue
                if inserted:
                    new += 1
                elif self._is_there(trial):
                    known += 1
                else:
                    refused.append(f"trial {trial.uid} is there already, with other content")
        checkpoint(self._db)
        self._still_there()
        return TakenIn(new, known, tuple(refused))

    def _is_there(self, trial: Trial) -> bool:
        row = self._row(trial.uid)
        if row is None:
            raise StoreError(damaged(self.path, f"trial {trial.uid}"))
        # As records, not as bytes: a trial that an older version wrote lacks newer fields.
        return any(there == trial for there in self._decoded(row))

    def _exchange(self, old: Row, trial: Trial) -> None:
        """Another record of the same trial in the place of its row: under its number, so that
        nothing else in the store moves."""
        reason = refusal(trial)
        columns = columns_of(trial)
        keys = (old.id, *(columns[name] for name in KEYS[1:-1]), old.parts)
        body = msgspec.json.encode(trial)
        row = Row._make([*keys, body, seal(keys, body)])
        if (row.uid, row.group) != (old.uid, old.group):
            reason = reason or "it is of another group than the one that it is to replace"
        if old.parts:
            reason = reason or "what is there has a recording of its own"
        if reason is not None:
            raise StoreError(f"trial {trial.uid} is not replaced in {self.path}: {reason}")
        names = (*KEYS[1:], "body", "seal")
        self._db.execute(
            f"UPDATE trial SET {', '.join(f'{name} = ?' for name in names)} WHERE id = ?",
            (*row[1:], old.id),
        )
        grow(self._db, "trial", 0, [row.seal, -old.seal])
        rollup.exchange(self._db, old, row)

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

    def _admit(self, trial: Trial, raw: Raw | None) -> list[tuple[str, bytes]]:
        """Check that a trial and its recording can be read back; the recording's parts."""
        reason = refusal(trial)
        if reason is None:
            try:
                return [] if raw is None else packed(raw)
            except ValueError as error:
                reason = str(error)
        raise UnkeepableError(f"trial {trial.uid} is not kept in {self.path}: {reason}", reason)

    def _insert(self, trial: Trial, raw: Raw | None) -> int:
        bodies = self._admit(trial, raw)
        if self._db.execute("SELECT 1 FROM trial WHERE uid = ?", (trial.uid,)).fetchone():
            return 0
        (newest,) = self._db.execute("SELECT coalesce(max(id), 0) FROM trial").fetchone()
        number = newest + 1
        parts = [(number, kind, body, seal((number, kind), body)) for kind, body in bodies]
        columns = columns_of(trial)
        parts_seal = added(part[-1] for part in parts)
        keys = (number, *(columns[name] for name in KEYS[1:-1]), parts_seal)
        body = msgspec.json.encode(trial)
        row = Row._make([*keys, body, seal(keys, body)])
        self._db.execute(
            f"INSERT INTO trial ({', '.join(KEYS)}, body, seal)"
            f" VALUES ({', '.join('?' * len(row))})",
            row,
        )
        self._db.executemany("INSERT INTO raw (trial, kind, body, seal) VALUES (?, ?, ?, ?)", parts)
        grow(self._db, "trial", 1, [row.seal])
        grow(self._db, "raw", len(parts), [part[-1] for part in parts])
        rollup.mark(self._db, row)
        return 1

    def start_over(
        self, study: str, cells: Iterable[str], protocol: Protocol, fingerprint: str
    ) -> None:
        """Begin a new round of these cells on one machine; nothing is deleted.

        Raises:
            StoreError: it could not be written.
        """
        with self._transaction():
            before = self._starts()
            for cell in cells:
                key = (study, cell, protocol_key(protocol), fingerprint)
                self._start(key, before.get(key, 0) + 1, before)
        checkpoint(self._db)

    def restore_rounds(self) -> None:
        """Each cell is in the newest round of its trials (after a repair)."""
        with self._transaction():
            before = self._starts()
            for kept in rollup.newest_rounds(rollup.read(self._db)):
                group = kept.group
                key = (group.study, group.cell, group.protocol, group.fingerprint)
                if group.round > before.get(key, 0):
                    self._start(key, group.round, before)
                    before[key] = group.round
        checkpoint(self._db)

    def starts(self) -> dict[tuple[str, ...], int]:
        """(study, cell, protocol, fingerprint) -> the round that it is in, where not 0.

        Raises:
            StoreError: that is damaged.
        """
        with self._guard("read"):
            return self._starts()

    def advance(self, starts: Mapping[tuple[str, ...], int]) -> None:
        """Put cells into later rounds, as :meth:`starts` of another store has them; where this
        one's is later, it stays.

        Raises:
            StoreError: it could not be written.
        """
        with self._transaction():
            before = self._starts()
            for (study, cell, protocol, fingerprint), round in starts.items():
                key = (study, cell, protocol, fingerprint)
                if round > before.get(key, 0):
                    self._start(key, round, before)
        checkpoint(self._db)

    def _start(
        self, key: tuple[str, str, str, str], round: int, before: dict[tuple[str, ...], int]
    ) -> None:
        row = (*key, round)
        old = [seal((*key, before[key]))] if key in before else []
        self._db.execute(
            f"INSERT OR REPLACE INTO start ({', '.join(_START)}, seal) VALUES (?, ?, ?, ?, ?, ?)",
            (*row, seal(row)),
        )
        grow(self._db, "start", 1 - len(old), [seal(row), *(-one for one in old)])

    def _roll_up(self) -> None:
        fold = self._fold or plugins.load("folds", "cells", StoreError)
        for kept in rollup.newest_rounds(self._groups()):
            if kept.body is None or kept.fold != fold.version:
                with contextlib.suppress(StoreError):  # damaged: whoever reads it says so
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
        each cell (see :meth:`start_over`).

        Raises:
            StoreError: the file is damaged; names the trial.
        """
        with self._guard("read"):
            wanted = {"study": study, "cell": cell, "source": source}
            asked = {name: value for name, value in wanted.items() if value is not None}
            kept = self._groups()
            chosen = [
                one.group
                for one in (rollup.newest_rounds(kept) if rounds == "latest" else kept)
                if all(getattr(one.group, name) == value for name, value in asked.items())
            ]
            for row in self._rows_of(chosen, asked):
                if status is None or row.status == status:
                    yield from self._decoded(row)

    def by_cell(self, study: str | None = None) -> Iterator[list[Trial]]:
        """All trials of a cell at a time, those of one study or of all, in order of first
        appearance; of each the newest round. Memory holds one cell's.

        Raises:
            StoreError: the file is damaged; names the trial.
        """
        with self._guard("read"):
            cells: dict[tuple[str, str], list[Group]] = {}
            for one in rollup.newest_rounds(self._groups()):
                if study in (None, one.group.study):
                    cells.setdefault((one.group.study, one.group.cell), []).append(one.group)
            for groups in cells.values():
                rows = self._rows_of_cell(groups)
                trials = [trial for row in rows for trial in self._decoded(row)]
                if trials:
                    yield trials

    def studies(self) -> list[str]:
        """The names of the studies that have trials, in order of their first."""
        with self._guard("read"):
            return list(dict.fromkeys(kept.group.study for kept in self._groups()))

    def cells(self, fold: Fold[T], study: str | None = None) -> Iterator[tuple[Group, T]]:
        """What every group comes to: from the roll-up, and where it has none yet from its trials;
        those of one study or of all, in order of first appearance.

        Raises:
            StoreError: the roll-up, or a trial that had to be read, is damaged.
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

    def of_group(self, group: Group, *, newest: int | None = None) -> list[Trial]:
        """The trials of one group, in the order they came; only the ``newest`` so many, if said.

        Raises:
            StoreError: one is damaged.
        """
        with self._guard("read"):
            rows = self._rows_of_cell([group])
            if newest is not None:
                last = list(rows)
                rows = iter(last[max(0, len(last) - newest) :])
            return [trial for row in rows for trial in self._decoded(row)]

    def trial(self, uid: str) -> Trial | None:
        """The trial of that uid, or None.

        Raises:
            StoreError: it is damaged.
        """
        with self._guard("read"):
            row = self._row(uid)
            return None if row is None else next(iter(self._decoded(row)), None)

    def uids(self, prefix: str, *, most: int) -> list[str]:
        """The uids that begin with ``prefix``, ``most`` at most; the exact one alone if it is
        there. The index is not used: it may be damaged where the trials are not."""
        with self._guard("read"):
            found = self._db.execute(
                "SELECT uid FROM trial NOT INDEXED WHERE substr(uid, 1, ?) = ?"
                " ORDER BY uid LIMIT ?",
                (len(prefix), prefix, most),
            ).fetchall()
        exact = [uid for (uid,) in found if uid == prefix]
        return exact or [uid for (uid,) in found]

    def version(self) -> int:
        """Changes when another connection, of whichever process, has written to the file."""
        with self._guard("read"):
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def tried(self, study: str, protocol: Protocol) -> list[Tried]:
        """Every trial of a study under one protocol, on any machine, of the newest rounds,
        a round without a trial yet among them."""
        asked = {"study": study, "protocol": protocol_key(protocol), "source": "permille"}
        with self._guard("read"):
            starts = self._starts()
            chosen = [
                group
                for group in (kept.group for kept in self._groups())
                if all(getattr(group, name) == value for name, value in asked.items())
                and group.round
                == starts.get((group.study, group.cell, group.protocol, group.fingerprint), 0)
            ]
            return [
                Tried(row.cell, row.repeat, row.status, row.fingerprint)
                for row in self._rows_of(chosen, asked)
            ]

    def environment(self, fingerprint: str) -> Environment | None:
        """The machine that a fingerprint stands for, of one of its trials."""
        with self._guard("read"):
            for kept in self._groups():
                if kept.group.fingerprint == fingerprint:
                    for row in self._scan({"fingerprint": fingerprint}, kept.group.newest):
                        for trial in self._decoded(row):
                            return trial.environment
        return None

    def rounds(self, study: str, protocol: Protocol, fingerprint: str) -> dict[str, int]:
        """Cell -> the round that it is in on one machine; cells never started over are not
        there: theirs is 0."""
        with self._guard("read"):
            wanted = (study, protocol_key(protocol), fingerprint)
            return {
                cell: round
                for (of_study, cell, key, machine), round in self._starts().items()
                if (of_study, key, machine) == wanted
            }

    def raw(self, uid: str) -> Raw | None:
        """What a trial was computed from; None if it came without (an import).

        Raises:
            StoreError: it is damaged.
        """
        with self._guard("read"):
            row = self._row(uid)
            if row is None:
                return None
            try:
                return raw_of(self._db, row)
            except (ValueError, sqlite3.DatabaseError) as error:
                if isinstance(error, sqlite3.Error) and not is_corrupt(error):
                    raise
                self._say(f"the recording of {uid}: {error}")
                return None

    # --- rows, each held against its seal and its group ------------------------------------

    def _say(self, what: str) -> None:
        said = damaged(self.path, what)
        if self._damage is None:
            raise StoreError(said)
        if said not in self._damage:
            self._damage.append(said)

    def _decoded(self, row: Row) -> Iterator[Trial]:
        """The row's trial, or none where it cannot be read, which is said."""
        try:
            trial = read_trial(row.body)
        except ValueError as error:
            self._say(f"trial {row.uid}: {error}")
            return
        yield trial

    def _groups(self) -> list[Kept]:
        """The roll-up; where it is damaged, which is said, the groups as the trials tell them."""
        with self._snapshot():
            try:
                return rollup.read(self._db)
            except (DamageError, sqlite3.DatabaseError) as error:
                if isinstance(error, sqlite3.Error) and not is_corrupt(error):
                    raise
                self._say(str(error))
            return self._surveyed()

    def _surveyed(self) -> list[Kept]:
        found: dict[tuple[Any, ...], Group] = {}
        counted, sealed = 0, 0
        (newest,) = self._db.execute("SELECT coalesce(max(id), 0) FROM trial").fetchone()
        for row in self._scan({}, newest):
            group = found.get(row.group) or Group(
                *row.group[:5], 0, row.id, row.round, row.id, 0
            )  # fmt: skip
            found[row.group] = group._replace(
                trials=group.trials + 1, newest=row.id, seals=added([group.seals, row.seal])
            )
            counted, sealed = counted + 1, added([sealed, row.seal])
        try:
            whole = total(self._db, "trial") == (counted, sealed)
        except (DamageError, sqlite3.DatabaseError):
            whole = False
        if not whole:
            self._say("not every trial that was kept can be found")
        return [Kept(group, 0, None) for group in found.values()]

    def _starts(self) -> dict[tuple[str, ...], int]:
        """(study, cell, protocol, fingerprint) -> round."""
        with self._snapshot():
            rows = self._db.execute(f"SELECT {', '.join(_START)}, seal FROM start").fetchall()
            try:
                whole = total(self._db, "start") == (len(rows), added(row[-1] for row in rows))
            except DamageError:
                whole = False
        if not whole or any(seal(tuple(row[:-1])) != row[-1] for row in rows):
            self._say("the rounds of --fresh")
        return {row[:4]: row[4] for row in rows}

    def _rows_of_cell(self, groups: Sequence[Group]) -> Iterator[Row]:
        """The rows of groups of one cell: by the index where that leads to all of them."""
        study, cell = groups[0].study, groups[0].cell
        newest = max(group.newest for group in groups)
        try:
            indexed = self._db.execute(
                "SELECT source, fingerprint, protocol, round, count(*), seal_sum(seal) FROM trial"
                " WHERE study = ? AND cell = ? AND id <= ? GROUP BY 1, 2, 3, 4",
                (study, cell, newest),
            ).fetchall()
            there = {tuple(row[:4]): tuple(row[4:]) for row in indexed}
            whole = all(
                there.get((g.source, g.fingerprint, g.protocol, g.round)) == (g.trials, g.seals)
                for g in groups
            )
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            whole = False
        asked = {"study": study, "cell": cell}
        return self._rows_of(groups, asked, by="trial_by_study" if whole else None)

    def _rows_of(
        self, groups: Sequence[Group], asked: dict[str, str], *, by: str | None = None
    ) -> Iterator[Row]:
        """The rows of these groups in the order they came. Whether they are all there is known,
        and said, at the end."""
        wanted = {rollup.key_of(group): group for group in groups}
        counts: Counter[tuple[Any, ...]] = Counter()
        seals: defaultdict[tuple[Any, ...], int] = defaultdict(int)
        newest = max((group.newest for group in groups), default=0)
        for row in self._scan(asked, newest, by=by):
            if row.group in wanted:
                counts[row.group] += 1
                seals[row.group] += row.seal
                yield row
        for key, group in wanted.items():
            missing = group.trials - counts[key]
            if missing > 0:
                self._say(
                    f"{missing} of the {group.trials} trials of cell {group.cell} in study"
                    f" {group.study} cannot be read"
                )
            elif missing or added([seals[key]]) != group.seals:
                self._say(f"the trials of cell {group.cell} in study {group.study}")

    def _scan(self, asked: dict[str, str], newest: int, *, by: str | None = None) -> Iterator[Row]:
        """The whole rows that have these columns, up to that number; what is not whole is said.
        The table itself is read, not an index, unless one is named."""
        if newest > self._budget.file_bytes() // _LEAST_ROW_BYTES:
            self._say(f"trial numbers up to {newest}, which the file has no room for")
            return
        where = "".join(f" AND {column} = ?" for column in asked)
        table = f"{_SELECT} {f'INDEXED BY {by}' if by else 'NOT INDEXED'}"
        query = f"{table} WHERE id > ? AND id <= ?{where} ORDER BY id LIMIT {CHUNK}"
        after = 0
        while after < newest:
            values = (after, newest, *asked.values())
            try:
                found = self._db.execute(query, values).fetchall()
                upto = found[-1][0] if len(found) == CHUNK else newest
            except sqlite3.DatabaseError as error:
                if not is_corrupt(error):
                    raise
                self._say(str(error))
                upto = min(newest, after + CHUNK)
                found = self._one_by_one(range(after + 1, upto + 1), where, asked)
            for one in found:
                row = Row(*one)
                if row.sealed and after < row.id:
                    after = row.id
                    yield row
                else:
                    self._say(f"trial {row.uid}: its checksum does not match")
            if not isinstance(upto, int) or upto < after:
                self._say("the numbers of the trials")
                return
            after = upto

    def _one_by_one(
        self, numbers: Iterable[int], where: str, asked: dict[str, str]
    ) -> list[tuple[Any, ...]]:
        """The rows beside those that are damaged: each is looked up by its number."""
        found = []
        for number in numbers:
            with contextlib.suppress(sqlite3.DatabaseError):
                found += self._db.execute(
                    f"{_SELECT} WHERE id = ?{where}", (number, *asked.values())
                ).fetchall()
        return found

    def _row(self, uid: str) -> Row | None:
        """By the index; what that does not know is looked for in the table itself."""
        for hint in ("", " NOT INDEXED"):
            one = self._db.execute(f"{_SELECT}{hint} WHERE uid = ?", (uid,)).fetchone()
            if one is not None:
                row = Row(*one)
                if row.sealed and row.uid == uid:
                    return row
                self._say(f"trial {uid}: its checksum does not match")
                return None
        return None

    # --- transactions ----------------------------------------------------------------------

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """What is read within is of one moment."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.rollback()

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


def raw_of(db: sqlite3.Connection, row: Row) -> Raw | None:
    """The recording of a trial's row; None if it came without.

    Raises:
        ValueError: it is not what was written.
    """
    parts = db.execute(
        "SELECT trial, kind, body, seal FROM raw WHERE trial = ?", (row.id,)
    ).fetchall()
    if added(part[-1] for part in parts) != row.parts:
        raise ValueError("a part of it is missing")
    if any(seal(tuple(part[:2]), part[2]) != part[3] for part in parts):
        raise ValueError("its checksum does not match")
    return read_raw((kind, body) for _, kind, body, _ in parts) if parts else None
