"""Balanced orders for things that are measured one after the other over several rounds. Pure.

Over as many rounds as there are things each stands at each place once, and (over twice as many
where their number is odd) each follows each other equally often (Williams 1949, Australian Journal
of Chemistry 2, 149): neither a drift nor what one leaves to the next favours any of them.
"""

from __future__ import annotations

import random


def order(things: int, block: int, seed: str) -> tuple[int, ...]:
    """The order of so many things in the ``block``-th round, as numbers from 0."""
    if things < 1:
        return ()
    cycle, row = divmod(block, things)
    rows = _rows(things, mirrored=bool(cycle % 2))
    # Seeded by text: unlike hash(), which differs in each process, it gives the same order again.
    random.Random(f"{seed}/rows/{cycle}").shuffle(rows)
    # One naming for a square and its mirror image, which for an odd number are balanced together.
    names = list(range(things))
    random.Random(f"{seed}/names/{cycle // 2}").shuffle(names)
    return tuple(names[letter] for letter in rows[row])


def _rows(things: int, *, mirrored: bool) -> list[list[int]]:
    """A Latin square by Williams' construction: 0, 1, n-1, 2, n-2, … and its cyclic shifts."""
    first = [(place + 1) // 2 if place % 2 else -(place // 2) for place in range(things)]
    if mirrored:
        first.reverse()
    return [[(letter + shift) % things for letter in first] for shift in range(things)]
