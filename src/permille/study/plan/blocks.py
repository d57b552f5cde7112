"""Blocks: one repeat of every model on one task and dataset, one after the other. Pure.

What drifts while a block is measured (temperature, a neighbour, the clock) meets all of its
models; which of them it favours depends on their order. So the order is drawn, and balanced over
the blocks: of as many blocks as there are models, or twice as many where their number is odd, each
model stands once (twice) at each place and once (twice) after each other (Williams, Experimental
designs balanced for the estimation of residual effects of treatments, 1949).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

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
    # A string seeds the same on every machine and version of Python; a tuple would not.
    rows = orders(len(cells), f"{seed}/{first.task}/{first.dataset}")
    return [cells[i] for i in rows[repeat % len(rows)]]


def orders(n: int, seed: str) -> list[list[int]]:
    """Balanced orders of ``n`` things, drawn by the seed: ``n`` of them, 2 ``n`` for an odd one."""
    draw = random.Random(seed)
    names = list(range(n))
    draw.shuffle(names)
    zigzag = [(i + 1) // 2 if i % 2 else (n - i // 2) % n for i in range(n)]
    rows = [[names[(place + shift) % n] for place in zigzag] for shift in range(n)]
    if n % 2 and n > 1:
        rows += [row[::-1] for row in rows]
    draw.shuffle(rows)
    return rows
