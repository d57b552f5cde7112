"""Seals: a checksum of each row over all of its columns, and their count and sum for each table.

A row's seal shows that the row is intact. The count and the sum of a table's seals show that no row
was lost, duplicated or swapped, however the rows were read. They protect against damage, not
against forgery: anybody can compute them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

_WORD = 1 << 64


class DamageError(ValueError):
    """The stored data are damaged; the message describes the damage."""


class Total(NamedTuple):
    """The number of rows, and the sum of their seals (see :func:`added`)."""

    rows: int
    seals: int


def seal(keys: tuple[object, ...], body: object = b"") -> int:
    """The checksum of a row; an SQLite integer."""
    digest = blake2b(repr(keys).encode("utf-8", "backslashreplace"), digest_size=8)
    digest.update(body if isinstance(body, bytes) else repr(body).encode())
    return int.from_bytes(digest.digest(), "little", signed=True)


def added(seals: Iterable[int]) -> int:
    """The sum of seals modulo 2**64, independent of their order; an SQLite integer."""
    word = sum(seals) % _WORD
    return word - _WORD if word >= _WORD // 2 else word


class Adding:
    """:func:`added` as an SQLite aggregate."""

    def __init__(self) -> None:
        self._sum = 0

    def step(self, value: object) -> None:
        """Add one seal; a value that is not an integer makes the sum wrong."""
        self._sum += value if isinstance(value, int) else 1

    def finalize(self) -> int:
        """The sum."""
        return added([self._sum])


def total(db: sqlite3.Connection, table: str) -> Total:
    """The table's count and sum, as recorded by its last writer.

    Raises:
        DamageError: the row with them is damaged.
    """
    row = db.execute("SELECT rows, seals, seal FROM totals WHERE name = ?", (table,)).fetchone()
    if row is None or seal((table, *row[:2])) != row[2]:
        raise DamageError(f"the count of the table {table}")
    return Total(*row[:2])


def grow(db: sqlite3.Connection, table: str, rows: int, seals: Iterable[int]) -> None:
    """Add this number of rows and these seals to the table's count and sum.

    Raises:
        DamageError: the recorded count is damaged.
    """
    before = total(db, table)
    now = (before.rows + rows, added([before.seals, *seals]))
    db.execute(
        "UPDATE totals SET rows = ?, seals = ?, seal = ? WHERE name = ?",
        (*now, seal((table, *now)), table),
    )
