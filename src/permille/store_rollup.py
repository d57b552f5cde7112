"""The roll-up: beside the trials, what each group of them comes to, made when they come in.

A question over the whole store then reads one row a cell, however many trials lie behind it. What
is kept is the result of :func:`permille.analysis.study_cells.from_trials` itself, with the digest
of the code that made it. Adding a trial marks its group's row as stale in the same transaction;
closing the store makes stale rows anew. A reader that meets a row which is stale, damaged or made
by other code reads the group's trials instead: the roll-up is never the only truth.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import msgspec

from permille.analysis.study_cells import StudyCell, from_trials
from permille.analysis.summaries import Sums
from permille.records import Record, Trial
from permille.store_rows import Group

KEY = ("study", "source", "cell", "fingerprint", "protocol")
_NEWEST_ROUND = (
    "NOT EXISTS (SELECT 1 FROM rollup AS later WHERE later.round > rollup.round AND "
    + " AND ".join(f"later.{column} = rollup.{column}" for column in KEY)
    + ")"
)
_GROUP = f"{', '.join(KEY)}, trials, newest"


class Rolled(Record):
    """A group as one cell. ``weights`` is that of :class:`permille.records.ModelFacts`."""

    cell: StudyCell
    batch_size: int
    weights: str | None


def rolled(trials: Sequence[Trial]) -> Rolled:
    """What the trials of one group come to.

    Raises:
        ValueError: they are not of one group.
    """
    (cell,) = from_trials(trials).cells
    done = next((trial for trial in trials if trial.status == "done"), trials[0])
    return Rolled(cell=cell, batch_size=trials[0].protocol.batch_size, weights=done.facts.weights)


def mark(db: sqlite3.Connection, columns: Mapping[str, object], number: int) -> None:
    """Say that the group of a trial just inserted, of that row number, has to be made anew."""
    key = [columns[name] for name in (*KEY, "round")]
    db.execute(
        f"INSERT INTO rollup ({', '.join(KEY)}, round, first, newest, trials)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)"
        f" ON CONFLICT ({', '.join(KEY)}, round) DO UPDATE SET"
        " newest = excluded.newest, trials = trials + 1, body = NULL",
        (*key, number, number),
    )


def kept(db: sqlite3.Connection) -> list[tuple[Group, Rolled | None]]:
    """The groups in order of first appearance, of each cell the newest round, with what is rolled
    up of them; None where the trials must be read."""
    found = db.execute(
        f"SELECT {_GROUP}, body, crc, made_by FROM rollup WHERE {_NEWEST_ROUND} ORDER BY first"
    )
    return [(Group(*row[:-3]), _read(*row[-3:])) for row in found.fetchall()]


def stale(db: sqlite3.Connection) -> list[Group]:
    """The groups that have to be made anew."""
    found = db.execute(
        f"SELECT {_GROUP} FROM rollup WHERE (body IS NULL OR made_by <> ?) AND {_NEWEST_ROUND}",
        (code(),),
    )
    return [Group(*row) for row in found.fetchall()]


def write(db: sqlite3.Connection, made: Sequence[tuple[Group, Rolled]]) -> None:
    """Keep what was made of groups; of one that has grown meanwhile nothing."""
    rows = []
    for group, found in made:
        body = _pack(found)
        rows.append((body, zlib.crc32(body), code(), *group))
    db.executemany(
        "UPDATE rollup SET body = ?, crc = ?, made_by = ? WHERE "
        + " AND ".join(f"{column} = ?" for column in (*KEY, "trials", "newest")),
        rows,
    )


@cache
def code() -> str:
    """The digest of the code that a cell's figures come from: with another formula, another."""
    digest = hashlib.sha256()
    for package, names in (
        ("permille", ("records.py", "units.py", "store_rollup.py")),
        ("permille.analysis", None),
    ):
        folder = resources.files(package)
        for file in sorted(folder.iterdir(), key=lambda f: f.name):
            if file.name.endswith(".py") and (names is None or file.name in names):
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _pack(found: Rolled) -> bytes:
    cell = found.cell
    lean = msgspec.structs.replace(
        cell,
        parts={name: _lean(sums) for name, sums in cell.parts.items()},
        summaries={
            boundary: msgspec.structs.replace(
                summary,
                energy=summary.energy and _lean(summary.energy),
                net=summary.net and _lean(summary.net),
                run=summary.run and _lean(summary.run),
                seconds=summary.seconds and _lean(summary.seconds),
            )
            for boundary, summary in cell.summaries.items()
        },
    )
    return msgspec.msgpack.encode(msgspec.structs.replace(found, cell=lean))


def _lean(sums: Sums) -> Sums:
    """Without the values one by one, which only the interval of a stopping rule needs."""
    return sums if sums.asked else msgspec.structs.replace(sums, values=())


_ROLLED = msgspec.msgpack.Decoder(Rolled)


def _read(body: bytes | None, crc: int, made_by: str) -> Rolled | None:
    if body is None or made_by != code() or zlib.crc32(body) != crc:
        return None
    return _ROLLED.decode(body)
