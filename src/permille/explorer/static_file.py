"""The explorer as one self-contained file that makes no requests."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from permille.explorer import cells, document, runs
from permille.explorer.answer_times import answer_times
from permille.explorer.figures import everything
from permille.explorer.page import self_contained
from permille.explorer.run_shapes import ListedTrial, PageRun
from permille.explorer.serving import load_of
from permille.explorer.shapes import PageAnswerTimes
from permille.store import Store

LISTED = 2_000
"""The most trials listed in a file."""
TRACED = 60
"""The most power traces in a file: that of the newest finished trial of each cell."""

TIMED = 200
"""The most cells under load in a file whose answers have their times."""


class Page(NamedTuple):
    """The page's bytes, and one line per item in the store that could not be read."""

    content: bytes
    damage: list[str]


def page(store: Path | None) -> Page:
    """The page with the shipped figures and those of ``store``.

    Raises:
        StoreError: the store cannot be read at all.
    """
    shown, found = everything(store)
    if store is not None:
        found["trials"], found["runs"] = _trials(store, shown, found["damage"])
        found["answer_times"] = _answer_times(store, shown, found["damage"])
    return Page(self_contained(document.encode(found)).encode(), found["damage"])


def _trials(
    path: Path, shown: list[cells.Shown], damage: list[str]
) -> tuple[dict[str, list[ListedTrial]], dict[str, PageRun | None]]:
    """Trials by cell, and the runs that are drilled down to."""
    trials: dict[str, list[ListedTrial]] = {}
    details: dict[str, PageRun | None] = {}
    room = LISTED
    with Store(path, readonly=True, damage=damage) as store:
        for each in shown:
            if each.group is None:
                continue
            # At least one, whose power may still be drawn when no more trials are listed.
            of_cell = store.of_group(each.group, newest=min(runs.LISTED, max(1, room)))
            trials[each.id] = [runs.listed(trial) for trial in of_cell] if room else []
            room -= len(trials[each.id])
            done = [trial.uid for trial in of_cell if trial.status == "done"]
            if done and len(details) < TRACED:
                details[done[-1]] = runs.run(store, done[-1])
    return trials, details


def _answer_times(
    path: Path, shown: list[cells.Shown], damage: list[str]
) -> dict[str, PageAnswerTimes]:
    """By cell, for those under load."""
    groups = {each.id: each.group for each in shown if each.group and load_of(each.cell.summary)}
    with Store(path, readonly=True, damage=damage) as store:
        return {name: answer_times(store, group) for name, group in list(groups.items())[:TIMED]}
