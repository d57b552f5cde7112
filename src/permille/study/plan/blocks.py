"""Blocks: one repeat of every model on one task and dataset, one after the other. Pure.

A drift during a block (temperature, other processes, the clock) affects all of its models, but
which of them it favours depends on their order. Therefore the order is random, and balanced over
the blocks (:mod:`permille.balanced`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from permille.balanced import orders
from permille.study.plan.cells import PlannedCell


def groups(cells: Iterable[PlannedCell]) -> list[list[PlannedCell]]:
    """The cells of each task and dataset, in the order of the plan."""
    found: dict[tuple[str, str], list[PlannedCell]] = {}
    for planned in cells:
        found.setdefault((planned.cell.task, planned.cell.dataset), []).append(planned)
    return list(found.values())


def ordered(cells: Sequence[PlannedCell], repeat: int, seed: int) -> list[PlannedCell]:
    """The cells of one task and dataset in the order in which repeat ``repeat`` measures them."""
    first = cells[0].cell
    # A string gives the same seed on every machine and version of Python; a tuple does not.
    rows = orders(len(cells), f"{seed}/{first.task}/{first.dataset}")
    return [cells[i] for i in rows[repeat % len(rows)]]
