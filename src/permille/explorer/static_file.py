"""The explorer as one self-contained file that makes no requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from permille.explorer import cells, document, runs
from permille.explorer.figures import everything
from permille.explorer.page import self_contained
from permille.store import Store

LISTED = 2_000
"""The most trials listed in a file."""
TRACED = 60
"""The most power traces in a file: that of the newest finished trial of each cell."""


class Page(NamedTuple):
    """The page's bytes, and one line per item in the store that could not be read."""

    content: bytes
    damage: list[str]


def page(store: Path | None) -> Page:
    """The page with the shipped figures and those of ``store``.

    Raises:
        StoreError: the store cannot be read at all.
    """
    shown, made = everything(store)
    if store is not None:
        made |= _trials(store, shown, made["damage"])
    return Page(self_contained(document.encode(made)).encode(), made["damage"])


def _trials(path: Path, shown: list[cells.Shown], damage: list[str]) -> dict[str, Any]:
    """Trials by cell, and the runs with details."""
    trials: dict[str, list[dict[str, Any]]] = {}
    details: dict[str, Any] = {}
    room = LISTED
    with Store(path, readonly=True, damage=damage) as store:
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
