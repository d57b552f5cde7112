"""Stores as an older version of permille, or another program, would have written them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from permille.records.trial import Trial
from permille.store import rollup
from permille.store.rows import Row
from permille.store.seals import grow, seal


def rewrite(path: Path, number: int, trial: Trial) -> None:
    """Put ``trial`` in place of the body of that number, with its seal and without any check."""
    body = msgspec.json.encode(trial)
    with closing(sqlite3.connect(path)) as db, db:
        row = Row._make(
            db.execute(
                f"SELECT {', '.join(Row._fields)} FROM trial WHERE id = ?", (number,)
            ).fetchone()
        )
        new = seal(tuple(row[:-2]), body)
        db.execute("UPDATE trial SET body = ?, seal = ? WHERE id = ?", (body, new, number))
        grow(db, "trial", 0, [new, -row.seal])
        rollup.exchange(db, row, row._replace(body=body, seal=new))
