"""The roll-up: a row for each group of trials with their number, the sum of their seals, and their
aggregate, which is updated after trials are added.

A query over the whole store then reads one row per group, regardless of the number of trials, and
readers of a group's trials check them against the row. The :class:`Fold` given to the store
computes the aggregate. Adding a trial marks its group's row as stale in the same transaction;
closing the store recomputes stale rows. If a row is stale, or of another version of the fold, a
reader uses the group's trials instead.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from permille.records.trial import Trial
from permille.store.rows import GROUPED_BY, Group, Row
from permille.store.seals import DamageError, added, grow, seal, total

_COLUMNS = (*GROUPED_BY, "first", "newest", "trials", "seals", "fold", "body", "seal")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM rollup NOT INDEXED"
_MATCHING = " AND ".join(f"{name} = ?" for name in GROUPED_BY)
_ONE = f"SELECT {', '.join(_COLUMNS)} FROM rollup WHERE {_MATCHING}"
_UPSERT = (
    f"INSERT INTO rollup ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    f" ON CONFLICT ({', '.join(GROUPED_BY)}) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[len(GROUPED_BY) :])
)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class FoldReader(Protocol[T_co]):
    """What a reader takes from the aggregate of one group. ``version``: that of the fold whose
    results it unpacks."""

    version: int

    def of(self, trials: Sequence[Trial]) -> T_co:
        """The same from the trials of one group."""
        ...

    def unpack(self, body: bytes) -> T_co:
        """Unpack a stored result.

        Raises:
            ValueError: the body is not from this fold.
        """
        ...


class Fold(FoldReader[T], Protocol[T]):
    """The aggregation of the trials of one group. ``version`` must change whenever the same trials
    give another result, or the result is packed differently."""

    def pack(self, aggregate: T) -> bytes:
        """Pack the result for the roll-up."""
        ...


class Kept(NamedTuple):
    """A row of the roll-up. ``body`` is None if the trials must be read; ``unpacked``: what a
    reader made of it (see :func:`unpacking`)."""

    group: Group
    fold: int
    body: bytes | None
    unpacked: Any = None

    @property
    def key(self) -> tuple[str, str, str, str, str, int]:
        """The columns of :data:`GROUPED_BY`."""
        return key_of(self.group)

    def without_body(self) -> Kept:
        """The same with an empty body, if there is one."""
        return self if self.body is None else self._replace(body=b"")

    def sealed(self) -> tuple[object, ...]:
        """The whole row with a new seal."""
        group = self.group
        keys = (*self.key, group.first, group.newest, group.trials, group.seals, self.fold)
        body = self.body
        return (*keys, body, seal(keys, b"" if body is None else body))


def key_of(group: Group) -> tuple[str, str, str, str, str, int]:
    """The columns of :data:`GROUPED_BY`."""
    return (*group[:5], group.round)


class Inserted(NamedTuple):
    """What the roll-up counts of a new row: its group, its number and its seal."""

    group: tuple[str, str, str, str, str, int]
    id: int
    seal: int


def mark(db: sqlite3.Connection, rows: Iterable[Inserted]) -> None:
    """Count newly inserted trials, in the order of their ids, in their groups, which become stale.

    Raises:
        DamageError: the row of a group is damaged.
    """
    by_group: dict[tuple[object, ...], list[Inserted]] = {}
    for row in rows:
        by_group.setdefault(row.group, []).append(row)
    _count(db, [_mark(db, inserted) for inserted in by_group.values()])


def _mark(db: sqlite3.Connection, rows: Sequence[Inserted]) -> _Change:
    """Count rows of one group."""
    row, newest = rows[0], rows[-1].id
    old = db.execute(_ONE, row.group).fetchone()
    seals = [one.seal for one in rows]
    if old is None:
        group = Group(*row.group[:5], len(rows), newest, row.group[5], row.id, added(seals))
    else:
        before = _read(old).group
        group = before._replace(
            trials=before.trials + len(rows), newest=newest, seals=added([before.seals, *seals])
        )
    return _put(db, Kept(group, 0, None), None if old is None else old[-1])


def exchange(db: sqlite3.Connection, old: Row, new: Row) -> None:
    """Replace a row of a group, which becomes stale.

    Raises:
        DamageError: the group's row is damaged, or missing.
    """
    kept = db.execute(_ONE, old.group).fetchone()
    if kept is None:
        raise DamageError("a row of the roll-up is missing")
    group = _read(kept).group
    group = group._replace(seals=added([group.seals, new.seal, -old.seal]))
    _count(db, [_put(db, Kept(group, 0, None), kept[-1])])


def keep(db: sqlite3.Connection, folded: Iterable[tuple[Group, bytes]], version: int) -> None:
    """Store the aggregates of groups, except those to which trials were added in the meantime.

    Raises:
        DamageError: the row of a group is damaged.
    """
    changes = []
    for group, body in folded:
        old = db.execute(_ONE, key_of(group)).fetchone()
        if old is not None and _read(old).group == group:
            changes.append(_put(db, Kept(group, version, body), old[-1]))
    _count(db, changes)


def adopt(
    db: sqlite3.Connection,
    folded: Iterable[tuple[Group, bytes]],
    version: int,
    came: Mapping[tuple[object, ...], int],
) -> None:
    """Store the aggregates of another store's groups whose trials came here, ``came`` by their key,
    in the same order: of those that came whole, and that have no other trials here.

    Raises:
        DamageError: the row of a group is damaged.
    """
    changes = []
    for theirs, body in folded:
        key = key_of(theirs)
        old = db.execute(_ONE, key).fetchone()
        ours = None if old is None else _read(old).group
        if ours is not None and theirs.trials == came.get(key) == ours.trials:
            changes.append(_put(db, Kept(ours, version, body), old[-1]))
    _count(db, changes)


class _Change(NamedTuple):
    """A row that was written: 1 if it is new, and what it adds to the sum of the seals."""

    new: int
    seals: int


def _put(db: sqlite3.Connection, kept: Kept, old_seal: int | None) -> _Change:
    row = kept.sealed()
    db.execute(_UPSERT, row)
    sealed = row[-1]
    assert isinstance(sealed, int)
    return _Change(int(old_seal is None), sealed - (old_seal or 0))


def _count(db: sqlite3.Connection, changes: Sequence[_Change]) -> None:
    grow(db, "rollup", sum(one.new for one in changes), [one.seals for one in changes])


def unpacking(fold: FoldReader[T], wanted: Callable[[Group], bool]) -> Callable[[Kept], Kept]:
    """Takes from rows what ``fold`` unpacks of the groups that are ``wanted``. Bodies are not kept:
    those of all cells together are much more than what is unpacked of them."""

    def take(kept: Kept) -> Kept:
        if kept.body is None or kept.fold != fold.version or not wanted(kept.group):
            return kept.without_body()
        try:
            # Not _replace, which takes a noticeable part of the time if there are many groups.
            return Kept(kept.group, kept.fold, b"", fold.unpack(kept.body))
        except ValueError:
            return kept._replace(body=None)

    return take


def read(db: sqlite3.Connection, take: Callable[[Kept], Kept] | None = None) -> list[Kept]:
    """Every row, in order of first appearance, and of each what is to be taken.

    Raises:
        DamageError: a row is damaged, missing or duplicated, or the rows do not account for every
            trial.
    """
    groups_kept, seals = [], 0
    # The table itself (NOT INDEXED): a damaged index could hide rows.
    for row in db.execute(_SELECT):
        kept = _read(row)
        groups_kept.append(kept if take is None else take(kept))
        seals += row[-1]
    if total(db, "rollup") != (len(groups_kept), added([seals])):
        raise DamageError("rows of the roll-up are missing or duplicated")
    groups = [kept.group for kept in groups_kept]
    trials = (sum(group.trials for group in groups), added(group.seals for group in groups))
    if total(db, "trial") != trials:
        raise DamageError("the roll-up does not account for every trial")
    return sorted(groups_kept, key=lambda kept: kept.group.first)


def packed(db: sqlite3.Connection, version: int) -> Iterator[tuple[Group, bytes]]:
    """The aggregates of that version, as they are read: all together may be large.

    Raises:
        DamageError: a row is damaged.
    """
    for row in db.execute(f"{_SELECT} WHERE fold = ?", (version,)):
        kept = _read(row)
        if kept.body is not None:
            yield kept.group, kept.body


def _read(row: tuple[Any, ...]) -> Kept:
    *keys, body, sealed = row
    if seal(tuple(keys), b"" if body is None else body) != sealed:
        raise DamageError("a row of the roll-up is damaged")
    study, source, cell, fingerprint, protocol, number, first, newest, trials, seals, fold = keys
    group = Group(study, source, cell, fingerprint, protocol, trials, newest, number, first, seals)
    return Kept(group, fold, body)


def newest_rounds(kept: Sequence[Kept]) -> list[Kept]:
    """The newest round with a trial, for each cell under one protocol on one machine."""
    later = [one for one in kept if one.group.round]
    if not later:
        return list(kept)
    last: dict[tuple[str, ...], int] = {}
    for one in later:
        last[one.group[:5]] = max(last.get(one.group[:5], 0), one.group.round)
    return [one for one in kept if one.group.round == last.get(one.group[:5], 0)]
