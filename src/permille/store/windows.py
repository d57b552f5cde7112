"""The table of the windows of watches: each a sealed row, by its watch and its number. No trial is
in it, and no window among the trials. What a body holds is :mod:`permille.watch`'s. Within a
transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import NamedTuple

from permille.store.seals import DamageError, added, grow, seal, total

MOST_BODY_BYTES = 2**20
"""The most bytes of a body. That of a server with a hundred models has some ten thousand."""
_TABLE = "watch"
_CHUNK = 500


class StoredWindow(NamedTuple):
    """A row. ``number`` counts the rows of a watch from 0."""

    watch: str
    number: int
    body: bytes


def read(db: sqlite3.Connection, say: Callable[[str], None]) -> Iterator[StoredWindow]:
    """Every row that is what was written, by watch and number; ``say`` reports what is not."""
    rows, seals = 0, 0
    after: tuple[str, int] = ("", -1)
    while chunk := db.execute(
        f"SELECT watch, number, body, seal FROM {_TABLE} WHERE (watch, number) > (?, ?)"
        f" ORDER BY watch, number LIMIT {_CHUNK}",
        after,
    ).fetchall():
        for watch, number, body, sealed in chunk:
            rows += 1
            # What is no integer is no seal, and makes the sum wrong.
            seals = added([seals, sealed if isinstance(sealed, int) else 1])
            if isinstance(body, bytes) and seal((watch, number), body) == sealed:
                yield StoredWindow(watch, number, body)
            else:
                say(f"window {number} of watch {watch}: its checksum does not match")
        last = chunk[-1][:2]
        if not (isinstance(last[0], str) and isinstance(last[1], int) and last > after):
            say("the numbers of the windows")
            return
        after = last
    try:
        whole = total(db, _TABLE) == (rows, seals)
    except DamageError:
        whole = False
    if not whole:
        say("the windows of watches are not those that were kept")


def put(db: sqlite3.Connection, window: StoredWindow) -> None:
    """Write a new row.

    Raises:
        ValueError: it cannot be kept; says why.
        DamageError: the count of the table is damaged.
    """
    if len(window.body) > MOST_BODY_BYTES:
        raise ValueError(f"it has {len(window.body):,} bytes; at most {MOST_BODY_BYTES:,}")
    sealed = seal((window.watch, window.number), window.body)
    try:
        db.execute(
            f"INSERT INTO {_TABLE} (watch, number, body, seal) VALUES (?, ?, ?, ?)",
            (*window, sealed),
        )
    except sqlite3.IntegrityError as error:
        raise ValueError("it is there already") from error
    grow(db, _TABLE, 1, [sealed])


def take_in(db: sqlite3.Connection, window: StoredWindow) -> str | None:
    """Keep a row of another store. Why it is refused, if it is."""
    known = db.execute(
        f"SELECT body FROM {_TABLE} WHERE watch = ? AND number = ?", window[:2]
    ).fetchone()
    if known == (window.body,):
        return None
    try:
        put(db, window)
    except DamageError:
        raise
    except ValueError as error:
        return f"window {window.number} of watch {window.watch}: {error}"
    return None
