"""The explorer as one file: everything inside, nothing asked of any host."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from permille.errors import UsageError
from permille.explorer import cells, document, runs
from permille.explorer.figures import everything
from permille.explorer.page import self_contained
from permille.store import Store

LISTED = 2_000
"""Trials that are listed in a file, at most."""
TRACED = 60
"""Trials whose power trace goes into a file, at most: the newest finished one of each cell."""


def write(path: Path, *, store: Path | None = None) -> int:
    """Write the page to ``path``, with the shipped figures and those of ``store``; its bytes.

    Raises:
        StoreError: the store cannot be read.
        UsageError: the file cannot be written.
    """
    shown, found = everything(store)
    if store is not None:
        found |= _trials(store, shown)
    data = self_contained(document.encode(found)).encode()
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)  # whole or not at all
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    return len(data)


def _trials(path: Path, shown: list[cells.Shown]) -> dict[str, Any]:
    """Trials by cell, and the runs that are drilled down to."""
    trials: dict[str, list[dict[str, Any]]] = {}
    details: dict[str, Any] = {}
    room = LISTED
    with Store(path, readonly=True) as store:
        for each in shown:
            if each.group is None:
                continue
            of_cell = store.of_group(each.group, newest=min(runs.LISTED, max(1, room)))
            trials[each.id] = [runs.listed(trial) for trial in of_cell] if room else []
            room -= len(trials[each.id])
            done = [trial.uid for trial in of_cell if trial.status == "done"]
            if done and len(details) < TRACED:
                details[done[-1]] = runs.run(store, done[-1])
    return {"trials": trials, "runs": details}
