"""A damaged store: what is damaged, by name, and a new file of all that can still be read."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from permille.errors import StoreError
from permille.records import Record, Trial
from permille.store import Store
from permille.store_file import SCHEMA_VERSION, create, snapshot
from permille.store_rows import Raw, columns_of, read_raw, read_trial

PROBLEMS_SHOWN = 1000
_MOST_IDS = 10_000_000
_FIRST_PAGE = 4096
"""Bytes of SQLite's default page; the first holds the schema and nothing else."""
_SIZE_AT = slice(28, 32)  # the file's size in pages, big-endian (sqlite.org/fileformat2.html)


class Report(Record):
    """What was found: trials that are whole, and a line for each thing that is not."""

    trials: int
    problems: tuple[str, ...]
    kept_as: Path | None = None  # where the damaged file went


def check(path: Path) -> Report:
    """Read everything in the store: the file's structure, every trial, every recording.

    Raises:
        StoreError: it is not there, or not even damaged remains of a store.
    """
    return _examine(path, None)


def repair(path: Path) -> Report:
    """Put a new file in the place of a damaged one, with all that can be read; the damaged one
    stays beside it. A store that is whole is left as it is.

    Raises:
        StoreError: it is not there, holds nothing that can be read, or there is no room.
    """
    fresh = _beside(path, "repaired")
    try:
        with Store(fresh) as target:
            report = _examine(path, target)
        if not report.problems:
            return report
        if not report.trials:
            raise StoreError(f"{path}: no trial in it can be read; it is left as it is")
        kept = _beside(path, "damaged")
        for suffix in ("", "-wal"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(kept.with_name(kept.name + suffix))
        path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
        os.replace(fresh, path)
        return Report(trials=report.trials, problems=report.problems, kept_as=kept)
    except OSError as error:
        raise StoreError(f"cannot repair {path}: {error.strerror or error}") from error
    finally:
        for suffix in ("", "-wal", "-shm"):
            fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)


def _beside(path: Path, what: str) -> Path:
    names = (path.with_name(f"{path.name}.{what}{n or ''}") for n in range(1000))
    return next(name for name in names if not name.exists())


def _examine(path: Path, target: Store | None) -> Report:
    """Read all there is; what is whole goes into ``target``."""
    if not path.exists():
        raise StoreError(f"there is no store at {path}")
    problems: list[str] = []
    good = 0
    try:
        with tempfile.TemporaryDirectory(prefix="permille-store-") as folder:
            copy = snapshot(path, Path(folder))
            with closing(_remains(copy, path, problems)) as db:
                problems += _structure(db)
                for trial, raw in _read(db, problems):
                    good += 1
                    if target is not None:
                        target.add(trial, raw)
                if target is not None:
                    target.restore_rounds()
    except OSError as error:
        raise StoreError(f"cannot read the store {path}: {error.strerror or error}") from error
    return Report(trials=good, problems=tuple(problems[:PROBLEMS_SHOWN]))


def _remains(copy: Path, path: Path, problems: list[str]) -> sqlite3.Connection:
    """A connection to the copy; if its first page is lost, that of an empty store takes its
    place: a store's tables always begin on the same pages."""
    try:
        return _readable(copy)
    except sqlite3.Error as error:
        problems.append(f"the first page: {error}")
    if copy.stat().st_size < 2 * _FIRST_PAGE:
        raise StoreError(f"{path} is no store, nor what is left of one")
    empty = copy.with_name("empty")
    with closing(sqlite3.connect(empty)) as db:
        create(db)
    with copy.open("r+b") as file:
        page = bytearray(empty.read_bytes()[:_FIRST_PAGE])
        page[_SIZE_AT] = (copy.stat().st_size // _FIRST_PAGE).to_bytes(4, "big")
        file.write(page)
    try:
        return _readable(copy)
    except sqlite3.Error as error:
        raise StoreError(f"{path} is no store, nor what is left of one: {error}") from error


def _readable(copy: Path) -> sqlite3.Connection:
    db = sqlite3.connect(copy)
    with contextlib.ExitStack() as undo:
        undo.callback(db.close)
        db.text_factory = bytes
        db.execute("SELECT id, uid, body FROM trial LIMIT 0")
        db.execute("SELECT trial, kind, body FROM raw LIMIT 0")
        if db.execute("PRAGMA user_version").fetchone()[0] > SCHEMA_VERSION:
            raise StoreError(f"{copy.name} was written by a newer permille; upgrade to repair it")
        undo.pop_all()
    return db


def _structure(db: sqlite3.Connection) -> list[str]:
    """What SQLite itself finds wrong, at most 100 lines."""
    try:
        found = [str(row[0], "utf-8", "replace") for row in db.execute("PRAGMA integrity_check")]
    except sqlite3.Error as error:
        return [f"the file: {error}"]
    return [] if found == ["ok"] else [f"the file: {' '.join(line.split())}" for line in found]


def _read(db: sqlite3.Connection, problems: list[str]) -> Iterator[tuple[Trial, Raw | None]]:
    """Every trial that can be read and is what was written, one by one."""
    checked = any(row[1] == b"crc" for row in db.execute("PRAGMA table_info(trial)"))
    for number in _ids(db, problems):
        try:
            row = db.execute("SELECT * FROM trial WHERE id = ?", (number,)).fetchone()
            if row is None:
                continue
            names = [column[0] for column in db.execute("SELECT * FROM trial LIMIT 0").description]
            trial = _trial(dict(zip(names, row, strict=True)), checked)
        except (sqlite3.Error, ValueError) as error:
            problems.append(f"trial {_uid(db, number)} is lost: {error}")
            continue
        try:
            rows = db.execute("SELECT kind, body FROM raw WHERE trial = ?", (number,)).fetchall()
            raw = read_raw((str(kind, "ascii"), body) for kind, body in rows) if rows else None
        except (sqlite3.Error, ValueError, TypeError) as error:
            problems.append(f"trial {trial.uid} is whole, its recording is lost: {error}")
            raw = None
        yield trial, raw


def _trial(row: dict[str, bytes | int], checked: bool) -> Trial:
    body = row["body"]
    if not isinstance(body, bytes):
        raise ValueError("its body is no bytes")
    crc = row["crc"] if checked else zlib.crc32(body)
    trial = read_trial(body, int(crc))
    for column, value in columns_of(trial).items():
        found = row.get(column, value)
        if (str(found, "utf-8", "replace") if isinstance(found, bytes) else found) != value:
            raise ValueError(f"its {column} is said twice, and differs")
    return trial


def _uid(db: sqlite3.Connection, number: int) -> str:
    """The trial's uid where even that can be read, else its number."""
    try:
        row = db.execute("SELECT uid FROM trial WHERE id = ?", (number,)).fetchone()
    except sqlite3.Error:
        row = None
    if row is None or not isinstance(row[0], bytes):
        return f"number {number}"
    return str(row[0], "utf-8", "replace")


def _ids(db: sqlite3.Connection, problems: list[str]) -> Iterator[int]:
    """The numbers of all trials: from the front and from the back of each tree, as far as it can
    be read, and all numbers between."""
    seen: set[int] = set()
    broken = False
    for query in (
        "SELECT id FROM trial NOT INDEXED ORDER BY id",
        "SELECT id FROM trial NOT INDEXED ORDER BY id DESC",
        "SELECT id FROM trial ORDER BY study, cell",
        "SELECT trial FROM raw",
    ):
        try:
            seen.update(int(row[0]) for row in db.execute(query))
        except (sqlite3.Error, TypeError, ValueError):
            broken = True
    most = max(seen, default=0)
    if not broken or most > _MOST_IDS:
        if most > _MOST_IDS:
            problems.append(f"trial numbers up to {most}, which no study has")
        yield from sorted(seen)
        return
    lost = [number for number in range(1, most + 1) if number not in seen]
    if lost:
        problems.append(f"{len(lost)} trials between the readable ones may be lost")
    yield from range(1, most + 1)
