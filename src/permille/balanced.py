"""Orders for items that are measured one after the other, balanced over several rounds. Pure.

Over as many rounds as there are items, or twice as many if their number is odd, each item is once
(twice) at each position and once (twice) after each other item (Williams, Experimental designs
balanced for the estimation of residual effects of treatments, 1949). Neither a drift nor a
carry-over effect then favours any of them.
"""

from __future__ import annotations

import random


def orders(n: int, seed: str) -> list[list[int]]:
    """Balanced orders of ``n`` items, determined by the seed: ``n`` of them, 2 ``n`` for an odd
    one."""
    draw = random.Random(seed)
    names = list(range(n))
    draw.shuffle(names)
    zigzag = [(i + 1) // 2 if i % 2 else (n - i // 2) % n for i in range(n)]
    rows = [[names[(place + shift) % n] for place in zigzag] for shift in range(n)]
    if n % 2 and n > 1:
        rows += [row[::-1] for row in rows]
    draw.shuffle(rows)
    return rows
