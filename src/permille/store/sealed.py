"""Read rows of trials: check each row against its seal, and each group against its counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from permille.errors import StoreError
from permille.records.trial import Trial
from permille.store import rollup
from permille.store.connecting import Budget
from permille.store.failures import damaged, is_corrupt
from permille.store.gate import refusal_of_body
from permille.store.rollup import Kept
from permille.store.rows import KEYS, Group, Raw, Row, read_machine, read_raw, read_trial
from permille.store.seals import DamageError, added, seal, total

CHUNK = 500
"""The number of trials read by one statement, so that a reader never blocks a checkpoint for
long."""
# A uid alone is that long. Without this limit, one damaged number would have a scan go through all
# numbers up to it.
_LEAST_ROW_BYTES = 32
_SELECT = f"SELECT {', '.join(KEYS)}, body, seal FROM trial"
_BY_CELL = (
    f"{_SELECT} INDEXED BY trial_by_study WHERE study = ? AND cell = ? AND id > ? AND id <= ?"
    f" ORDER BY id LIMIT {CHUNK}"
)
START = ("study", "cell", "protocol", "fingerprint", "round")


class SealedRows:
    """Reads a store's tables. Damage raises :class:`StoreError`; with a list as ``damage``, reading
    continues with everything intact, and a line per damaged item is appended to the list."""

    def __init__(
        self, db: sqlite3.Connection, path: Path, budget: Budget, damage: list[str] | None
    ) -> None:
        self._db = db
        self._path = path
        self._budget = budget
        self._damage = damage
        self._groups: tuple[object, list[Kept]] | None = None

    def say(self, what: str) -> None:
        """Report damage: as an error, or as a line in the list."""
        line = damaged(self._path, what)
        if self._damage is None:
            raise StoreError(line)
        if line not in self._damage:
            self._damage.append(line)

    def decoded(self, row: Row) -> Iterator[Trial]:
        """The row's trial; nothing if it cannot be read, which is reported."""
        try:
            trial = read_trial(row.body)
        except ValueError as error:
            self.say(f"trial {row.uid}: {error}")
            return
        yield trial

    def usable(self, row: Row) -> Iterator[Trial]:
        """The row's trial like :meth:`decoded`, unless it has an impossible figure (a negative
        energy, or one too large to square), which is reported: an older version or another
        program stored it, and no result can be computed."""
        for trial in self.decoded(row):
            reason = refusal_of_body(trial, row.body)
            if reason is None:
                yield trial
            else:
                self.say(f"trial {row.uid}: {reason}")

    def machine(self, row: Row) -> str | None:
        """The row's machine; None if it is unknown, or cannot be read, which is reported."""
        try:
            return read_machine(row.body)
        except ValueError as error:
            self.say(f"trial {row.uid}: {error}")
            return None

    def groups(self, take: Callable[[Kept], Kept] | None = None) -> list[Kept]:
        """The roll-up; if it is damaged, which is reported, the groups from the trials. Bodies are
        empty, but for what ``take`` makes of them; without it, what was read before is returned if
        nobody has written since."""
        with self.snapshot():
            # data_version leaves out this connection's own writes, which total_changes counts.
            (written,) = self._db.execute("PRAGMA data_version").fetchone()
            state = (written, self._db.total_changes)
            if take is None and self._groups is not None and self._groups[0] == state:
                return self._groups[1]
            kept = self._read_groups(take or Kept.without_body)
            plain = kept if take is None else [Kept(one.group, one.fold, one.body) for one in kept]
            self._groups = (state, plain)
            return kept

    def _read_groups(self, take: Callable[[Kept], Kept]) -> list[Kept]:
        try:
            return rollup.read(self._db, take)
        except (DamageError, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.Error) and not is_corrupt(error):
                raise
            self.say(str(error))
        return self._surveyed()

    def _surveyed(self) -> list[Kept]:
        groups: dict[tuple[Any, ...], Group] = {}
        counted, sealed = 0, 0
        (newest,) = self._db.execute("SELECT coalesce(max(id), 0) FROM trial").fetchone()
        for row in self.scan({}, newest):
            group = groups.get(row.group) or Group(
                *row.group[:5], 0, row.id, row.round, row.id, 0
            )  # fmt: skip
            groups[row.group] = group._replace(
                trials=group.trials + 1, newest=row.id, seals=added([group.seals, row.seal])
            )
            counted, sealed = counted + 1, added([sealed, row.seal])
        try:
            whole = total(self._db, "trial") == (counted, sealed)
        except (DamageError, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.Error) and not is_corrupt(error):
                raise
            whole = False
        if not whole:
            self.say("some stored trials cannot be found")
        return [Kept(group, 0, None) for group in groups.values()]

    def starts(self) -> dict[tuple[str, ...], int]:
        """(study, cell, protocol, fingerprint) -> round."""
        with self.snapshot():
            rows = self._db.execute(f"SELECT {', '.join(START)}, seal FROM start").fetchall()
            try:
                whole = total(self._db, "start") == (len(rows), added(row[-1] for row in rows))
            except DamageError:
                whole = False
        if not whole or any(seal(tuple(row[:-1])) != row[-1] for row in rows):
            self.say("the rounds of --fresh")
        return {row[:4]: row[4] for row in rows}

    def rows_of_cell(self, groups: Sequence[Group]) -> list[Row]:
        """The rows of groups of one cell, by the index if it leads to all of them."""
        rows = self._indexed_rows(groups)
        if rows is None:
            matching = {"study": groups[0].study, "cell": groups[0].cell}
            rows = list(self.rows_of(groups, matching))
        return rows

    def _indexed_rows(self, groups: Sequence[Group]) -> list[Row] | None:
        """The rows of groups of one cell by the index; None unless they are all there, intact."""
        wanted = {rollup.key_of(group): group for group in groups}
        found: dict[tuple[Any, ...], list[int]] = {key: [] for key in wanted}
        newest = max(group.newest for group in groups)
        rows: list[Row] = []
        after = 0
        while True:
            try:
                some = self._db.execute(
                    _BY_CELL, (groups[0].study, groups[0].cell, after, newest)
                ).fetchall()
            except sqlite3.DatabaseError as error:
                if not is_corrupt(error):
                    raise
                return None
            for row in map(Row._make, some):
                seals = found.get(row.group)
                if seals is None:
                    continue
                if not row.sealed:
                    return None
                seals.append(row.seal)
                rows.append(row)
            if len(some) < CHUNK:
                break
            after = some[-1][0]
        whole = all(
            (len(found[key]), added(found[key])) == (group.trials, group.seals)
            for key, group in wanted.items()
        )
        return rows if whole else None

    def rows_of(self, groups: Sequence[Group], matching: dict[str, str]) -> Iterator[Row]:
        """The rows of these groups, in order of insertion. Missing rows are detected and reported
        at the end."""
        wanted = {rollup.key_of(group): group for group in groups}
        # The number of rows and the sum of their seals: one look into a table for each row.
        found = {key: [0, 0] for key in wanted}
        newest = max((group.newest for group in groups), default=0)
        for row in self.scan(matching, newest):
            tally = found.get(row.group)
            if tally is not None:
                tally[0] += 1
                tally[1] += row.seal
                yield row
        for key, group in wanted.items():
            trials, seals = found[key]
            missing = group.trials - trials
            if missing > 0:
                self.say(
                    f"{missing} of the {group.trials} trials of cell {group.cell} in study"
                    f" {group.study} cannot be read"
                )
            elif missing or added([seals]) != group.seals:
                self.say(f"the trials of cell {group.cell} in study {group.study}")

    def scan(self, matching: dict[str, str], newest: int) -> Iterator[Row]:
        """The intact rows with these column values, up to that number; damaged rows are reported.
        The table itself is read, not an index."""
        if newest > self._budget.file_bytes() // _LEAST_ROW_BYTES:
            self.say(f"trial numbers up to {newest}, which is more than the file can contain")
            return
        where = "".join(f" AND {column} = ?" for column in matching)
        query = f"{_SELECT} NOT INDEXED WHERE id > ? AND id <= ?{where} ORDER BY id LIMIT {CHUNK}"
        after = 0
        while after < newest:
            values = (after, newest, *matching.values())
            try:
                rows = self._db.execute(query, values).fetchall()
                upto = rows[-1][0] if len(rows) == CHUNK else newest
            except sqlite3.DatabaseError as error:
                if not is_corrupt(error):
                    raise
                self.say(str(error))
                upto = min(newest, after + CHUNK)
                rows = self._one_by_one(range(after + 1, upto + 1), where, matching)
            for one in rows:
                row = Row(*one)
                if row.sealed and after < row.id:
                    after = row.id
                    yield row
                else:
                    self.say(f"trial {row.uid}: its checksum does not match")
            # In a damaged file the numbers may go back, and the scan would never end.
            if not isinstance(upto, int) or upto < after:
                self.say("the numbers of the trials")
                return
            after = upto

    def _one_by_one(
        self, numbers: Iterable[int], where: str, matching: dict[str, str]
    ) -> list[tuple[Any, ...]]:
        """The rows next to damaged ones: each is looked up by its number."""
        rows = []
        for number in numbers:
            try:
                rows += self._db.execute(
                    f"{_SELECT} WHERE id = ?{where}", (number, *matching.values())
                ).fetchall()
            except sqlite3.DatabaseError as error:
                if not is_corrupt(error):
                    raise
        return rows

    def row(self, uid: str) -> Row | None:
        """Look up by the index, then search the table itself."""
        for hint in ("", " NOT INDEXED"):
            one = self._db.execute(f"{_SELECT}{hint} WHERE uid = ?", (uid,)).fetchone()
            if one is not None:
                row = Row(*one)
                if row.sealed and row.uid == uid:
                    return row
                self.say(f"trial {uid}: its checksum does not match")
                return None
        return None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read within is from one snapshot."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.rollback()


def raw_of(db: sqlite3.Connection, row: Row) -> Raw | None:
    """The recording of a trial's row; None if it has none.

    Raises:
        ValueError: it is damaged.
    """
    parts = parts_of(db, row)
    return read_raw(parts) if parts else None


def parts_of(db: sqlite3.Connection, row: Row) -> list[tuple[str, bytes]]:
    """The parts of the recording of a trial's row: (kind, body).

    Raises:
        ValueError: it is damaged.
    """
    parts = db.execute(
        "SELECT trial, kind, body, seal FROM raw WHERE trial = ?", (row.id,)
    ).fetchall()
    if added(part[-1] for part in parts) != row.parts:
        raise ValueError("a part of it is missing")
    if any(seal(tuple(part[:2]), part[2]) != part[3] for part in parts):
        raise ValueError("its checksum does not match")
    return [(kind, body) for _, kind, body, _ in parts]
