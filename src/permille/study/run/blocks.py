"""Blocks: one repeat of every model on one (task, dataset), one after the other. Pure.

Within a block the machine is as nearly the same as it can be, so that differences between its
models are the models'. The order is balanced: over as many blocks as there are models each model
is in each position once, and (Williams 1949, Australian Journal of Chemistry 2, 149) each follows
each other equally often, so that neither warming up nor a predecessor's heat favours any. Which
row of the square comes when, and which model is which letter in it, is drawn by the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from permille.study.plan.cells import PlannedCell


@dataclass(frozen=True)
class Block:
    """What is due of one block, in its order."""

    task: str
    dataset: str
    repeat: int
    cells: tuple[PlannedCell, ...]


def groups(cells: Sequence[PlannedCell]) -> dict[tuple[str, str], list[PlannedCell]]:
    """The cells of each (task, dataset), in the order of the plan."""
    cells_of: dict[tuple[str, str], list[PlannedCell]] = {}
    for planned in cells:
        cells_of.setdefault((planned.cell.task, planned.cell.dataset), []).append(planned)
    return cells_of
