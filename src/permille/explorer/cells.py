"""What the explorer shows: the cells of the shipped study and of a store, never pooled."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from permille.analysis import comparable
from permille.analysis.paper import published
from permille.analysis.rolled import CELLS
from permille.analysis.study_cells import StudyCell
from permille.explorer.shapes import Origin
from permille.records import Record
from permille.store import Group, Store


class Shown(Record):
    """A cell with where it comes from. ``id`` is stable, so that a link to it stays good;
    ``group`` finds its trials in the store and is None for a shipped one. ``batch_size`` is
    None where nobody said; ``weights`` is ``replica`` where the weights are random."""

    id: str
    origin: Origin
    cell: StudyCell
    batch_size: int | None = None
    weights: str | None = None
    group: Group | None = None


def shipped() -> list[Shown]:
    """The cells of the study that ships with permille."""
    return [
        Shown(id=_id("shipped", c.summary.study, c.summary.cell.id), origin="shipped", cell=c)
        for c in published.load().cells
    ]


def of_store(path: Path, damage: list[str] | None = None) -> list[Shown]:
    """The cells of a store, opened for reading only. With a list as ``damage``, those of all that
    can be read, and the list is told of the rest.

    Raises:
        StoreError: it cannot be read.
    """
    with Store(path, readonly=True, damage=damage) as store:
        found = list(_cells(store, damage if damage is not None else []))
    kept = {id(s) for s in comparable.current(shown.cell.summary for shown in found)}
    return [shown for shown in found if id(shown.cell.summary) in kept]


def _cells(store: Store, damage: Sequence[str]) -> Iterator[Shown]:
    said = len(damage)
    for group, found in store.cells(CELLS):
        yield Shown(
            id=_id("store", *group[:5]),
            origin="store",
            cell=_noted(found.cell, damage[said:]),
            batch_size=found.batch_size,
            weights=found.weights,
            group=group,
        )
        said = len(damage)


def _noted(cell: StudyCell, damage: Sequence[str]) -> StudyCell:
    """With a note of each trial that is in none of its figures because it is damaged."""
    if not damage:
        return cell
    notes = tuple(f"left out: {line}" for line in damage)
    replace = msgspec.structs.replace
    summaries = {
        boundary: replace(summary, notes=(*summary.notes, *notes))
        for boundary, summary in cell.summaries.items()
    }
    return replace(cell, summaries=summaries)


def _id(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
