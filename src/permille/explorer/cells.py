"""The explorer's cells: those of the shipped study and of a store, never pooled."""

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
    """A cell with its origin. ``id`` is stable, so that links to it remain valid; ``group``
    identifies its trials in the store and is None for a shipped cell. ``batch_size`` is None if
    unknown; ``weights`` is ``replica`` if the weights are random."""

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
    """The cells of a store, opened read-only. With a list as ``damage``, they cover everything that
    can be read, and the rest is reported in the list.

    Raises:
        StoreError: it cannot be read.
    """
    with Store(path, readonly=True, damage=damage) as store:
        cells = list(_cells(store, damage if damage is not None else []))
    # By identity: a summary has dictionaries in it, and so no hash.
    kept = {id(s) for s in comparable.current(shown.cell.summary for shown in cells)}
    return [shown for shown in cells if id(shown.cell.summary) in kept]


def _cells(store: Store, damage: Sequence[str]) -> Iterator[Shown]:
    reported = len(damage)
    for group, cell in store.cells(CELLS):
        yield Shown(
            # Without the counts of its trials: a link goes on to mean the cell when it gets more.
            id=_id("store", *group[:5]),
            origin="store",
            cell=_noted(cell.cell, damage[reported:]),
            batch_size=cell.batch_size,
            weights=cell.weights,
            group=group,
        )
        reported = len(damage)


def _noted(cell: StudyCell, damage: Sequence[str]) -> StudyCell:
    """The cell with a note for each damaged trial that its figures leave out."""
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
    # 48 bits are short in an address, and enough: any two of 15,000 cells share an id with a
    # probability of 4 in ten million.
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
