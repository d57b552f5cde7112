"""Check a damaged store, and save everything readable in a new file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec

from permille.errors import StoreError
from permille.records import Record
from permille.store.log import log_problem
from permille.store.salvage import miscounts, remains, sessions_in, structure, trials_in, windows_in
from permille.store.snapshot import snapshot
from permille.store.trials import Store

_T = TypeVar("_T")
PROBLEMS_SHOWN = 1000
_AT_ONCE = 100
"""The number of trials written to the new file in one transaction."""


class Report(Record):
    """The result: the numbers of intact trials and of intact windows of watches, and one line per
    damaged item."""

    trials: int
    problems: tuple[str, ...]
    windows: int = 0
    kept_as: Path | None = None  # the new path of the damaged file


def check(path: Path) -> Report:
    """Read everything in the store: the file's structure, every trial, every recording.

    Raises:
        StoreError: it is missing, or not even the damaged remains of a store.
    """
    return _examine(path, None)


def repair(path: Path) -> Report:
    """Replace a damaged file with a new one that contains everything readable; the damaged one is
    kept next to it. An intact store is not changed.

    Raises:
        StoreError: it is missing, contains nothing readable, or there is no space.
    """
    fresh = _beside(path, "repaired")
    try:
        with Store(fresh) as target:
            report = _examine(path, target)
        if not report.problems:
            return report
        if not (report.trials or report.windows):
            raise StoreError(f"{path}: no trial in it can be read; it was not changed")
        kept = _beside(path, "damaged")
        # The log leaves with its file: beside the new one it would be taken for that one's log
        # (sqlite.org/howtocorrupt.html).
        for suffix in ("", "-wal"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(kept.with_name(kept.name + suffix))
        path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
        os.replace(fresh, path)
        return msgspec.structs.replace(report, kept_as=kept)
    except OSError as error:
        raise StoreError(f"cannot repair {path}: {error.strerror or error}") from error
    finally:
        for suffix in ("", "-wal", "-shm"):
            fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)


def _beside(path: Path, what: str) -> Path:
    names = (path.with_name(f"{path.name}.{what}{n or ''}") for n in range(1000))
    return next(name for name in names if not name.exists())


def _examine(path: Path, target: Store | None) -> Report:
    """Read everything, and copy intact trials to ``target``."""
    if not path.exists():
        raise StoreError(f"there is no store at {path}")
    problems: list[str] = []
    good = 0
    try:
        with tempfile.TemporaryDirectory(prefix="permille-store-") as folder:
            log = log_problem(path)
            if log is not None:
                problems.append(log)
            copy = snapshot(path, Path(folder))
            with closing(remains(copy, path, problems)) as db:
                problems += structure(db)
                for batch in _batched(trials_in(db, problems), _AT_ONCE):
                    good += len(batch)
                    if target is not None:
                        target.add_many(batch)
                kept_sessions = sessions_in(db, problems)
                kept_windows = windows_in(db, problems)
                problems += miscounts(db)
                if target is not None:
                    target.restore_rounds()
                    problems += target.take_in_sessions(kept_sessions)
                    problems += target.take_in_windows(kept_windows)
    except OSError as error:
        raise StoreError(f"cannot read the store {path}: {error.strerror or error}") from error
    return Report(trials=good, problems=tuple(problems[:PROBLEMS_SHOWN]), windows=len(kept_windows))


def _batched(items: Iterator[_T], size: int) -> Iterator[list[_T]]:
    """Lists of at most this length (``itertools.batched`` needs Python 3.12)."""
    while batch := list(islice(items, size)):
        yield batch
