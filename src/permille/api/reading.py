"""The figures of a store: what the command line and Python read."""

from __future__ import annotations

from collections.abc import Iterator

from permille.analysis.cell_summary import Summary
from permille.analysis.rolled import BoundaryReading
from permille.analysis.summaries import summarise
from permille.errors import UsageError
from permille.records.energy import Boundary
from permille.store import Store
from permille.suggestions import nearest


def summaries_in(
    store: Store, study: str | None, boundary: Boundary, *, pool: bool = False
) -> Iterator[Summary]:
    """The summaries of one study or of all, superseded ones included; with ``pool``, over the
    trials of all machines."""
    if pool:
        return _pooled(store, study, boundary)
    return _rolled(store, study, boundary)


def check_has_study(store: Store, study: str | None) -> None:
    """Check that the store contains the study.

    Raises:
        UsageError: it does not; the message suggests a study that exists.
    """
    names = store.studies()
    if study is not None and study not in names:
        # Without names, nearest() would end in an empty list.
        hint = nearest(study, names) if names else "it holds no trials"
        raise UsageError(f"no study {study!r} in {store.path}; {hint}")


def _rolled(store: Store, study: str | None, boundary: Boundary) -> Iterator[Summary]:
    """From the roll-up, which has one row per group regardless of the number of trials; the groups
    of a cell are adjacent."""
    # Collected first: the groups of a cell, by machine and settings, may lie apart in the store.
    by_cell: dict[tuple[str, str], list[Summary]] = {}
    for group, summary in store.cells(BoundaryReading(boundary), study):
        by_cell.setdefault((group.study, group.cell), []).append(summary)
    for summaries in by_cell.values():
        yield from summaries


def _pooled(store: Store, study: str | None, boundary: Boundary) -> Iterator[Summary]:
    """Pool trials of all machines, which the roll-up does not."""
    for trials in store.by_cell(study):
        yield from summarise(trials, boundary, pool=True)
