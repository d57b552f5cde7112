"""Seals: a checksum of each row over all of its columns, and per table their count and sum.

A row's seal tells that the row is what was written; the count and the sum of a table's seals tell
that no row was lost, doubled or put in another's place, by whichever way the rows were found.
They guard against damage, not against a forger: anybody can compute them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

_WORD = 1 << 64


class DamageError(ValueError):
    """What was read is not what was written. In words."""


class Total(NamedTuple):
    """How many rows there are, and the sum of their seals (see :func:`added`)."""

    rows: int
    seals: int


def seal(keys: tuple[object, ...], body: object = b"") -> int:
    """The checksum of a row; an SQLite integer."""
    digest = blake2b(repr(keys).encode("utf-8", "backslashreplace"), digest_size=8)
    digest.update(body if isinstance(body, bytes) else repr(body).encode())
    return int.from_bytes(digest.digest(), "little", signed=True)


def added(seals: Iterable[int]) -> int:
    """Their sum modulo 2**64, which does not depend on their order; an SQLite integer."""
    found = sum(seals) % _WORD
    return found - _WORD if found >= _WORD // 2 else found


class Adding:
    """:func:`added` as an SQLite aggregate."""

    def __init__(self) -> None:
        self._sum = 0

    def step(self, value: object) -> None:
        """Take one row in; what is no integer is no seal, and makes the sum wrong."""
        self._sum += value if isinstance(value, int) else 1

    def finalize(self) -> int:
        """The sum."""
        return added([self._sum])


def total(db: sqlite3.Connection, table: str) -> Total:
    """What the table holds, as its last writer left it.

    Raises:
        DamageError: the row that says so is damaged.
    """
    row = db.execute("SELECT rows, seals, seal FROM totals WHERE name = ?", (table,)).fetchone()
    if row is None or seal((table, *row[:2])) != row[2]:
        raise DamageError(f"the count of the table {table}")
    return Total(*row[:2])


def grow(db: sqlite3.Connection, table: str, rows: int, seals: Iterable[int]) -> None:
    """Count so many more rows of the table, and add these seals to its sum.

    Raises:
        DamageError: what was counted before is damaged.
    """
    before = total(db, table)
    now = (before.rows + rows, added([before.seals, *seals]))
    db.execute(
        "UPDATE totals SET rows = ?, seals = ?, seal = ? WHERE name = ?",
        (*now, seal((table, *now)), table),
    )
