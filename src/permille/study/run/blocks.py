"""Blocks: one repeat of every model on one (task, dataset), one after the other. Pure.

Within a block the machine is as nearly the same as it can be, so that differences between its
models are the models'. The order is balanced: over as many blocks as there are models each model
is in each position once, and (Williams 1949, Australian Journal of Chemistry 2, 149) each follows
each other equally often, so that neither warming up nor a predecessor's heat favours any. Which
row of the square comes when, and which model is which letter in it, is drawn by the seed.
"""

from __future__ import annotations

import random
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


def order(models: int, block: int, seed: str) -> tuple[int, ...]:
    """The order of so many models in the ``block``-th block, as numbers from 0."""
    if models < 1:
        return ()
    cycle, row = divmod(block, models)
    rows = _rows(models, mirrored=bool(cycle % 2))
    random.Random(f"{seed}/rows/{cycle}").shuffle(rows)
    # One naming for a square and its mirror image, which for an odd number are balanced together.
    names = list(range(models))
    random.Random(f"{seed}/names/{cycle // 2}").shuffle(names)
    return tuple(names[letter] for letter in rows[row])


def _rows(models: int, *, mirrored: bool) -> list[list[int]]:
    """A Latin square by Williams' construction: 0, 1, n-1, 2, n-2, … and its cyclic shifts."""
    first = [(place + 1) // 2 if place % 2 else -(place // 2) for place in range(models)]
    if mirrored:
        first.reverse()
    return [[(letter + shift) % models for letter in first] for shift in range(models)]


def groups(cells: Sequence[PlannedCell]) -> dict[tuple[str, str], list[PlannedCell]]:
    """The cells of each (task, dataset), in the order of the plan."""
    found: dict[tuple[str, str], list[PlannedCell]] = {}
    for planned in cells:
        found.setdefault((planned.cell.task, planned.cell.dataset), []).append(planned)
    return found
