"""Which node makes which block. Pure.

Machines of one kind (with equal environments) share the blocks of a (task, dataset): a figure is
never made of two kinds. A node that is free gets the next block; the block of one that is lost goes
to another of its kind.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from permille.study.plan.cells import PlannedCell
from permille.study.plan.published import Published
from permille.study.plan.sharding import Key, Pair, deal
from permille.study.run.blocks import Block

MOST_LOST = 3
"""A block whose node is lost this many times is not given to another."""


@dataclass
class _InFlight:
    block: Block
    left: dict[str, PlannedCell]
    """By cell id, those whose trial has not arrived."""


class Assignments:
    """Deals blocks to nodes. ``kinds``: node -> the fingerprint of its environment; ``blocks``:
    fingerprint -> what is due, computed as it is dealt."""

    def __init__(self, kinds: Mapping[str, str], blocks: Mapping[str, Iterator[Block]]) -> None:
        self._kinds = dict(kinds)
        self._blocks = blocks
        self._again: dict[str, deque[Block]] = {kind: deque() for kind in blocks}
        self._flying: dict[str, _InFlight] = {}
        self._lost: Counter[tuple[str, str, int]] = Counter()
        self.abandoned = 0
        """The number of trials that no node made."""

    @property
    def busy(self) -> bool:
        """Whether a block is being made."""
        return bool(self._flying)

    @property
    def nodes(self) -> Sequence[str]:
        """Those that are not lost."""
        return list(self._kinds)

    def idle(self) -> list[str]:
        """The nodes without a block."""
        return [node for node in self._kinds if node not in self._flying]

    def next(self, node: str) -> Block | None:
        """The node's next block; None if there is none now."""
        kind = self._kinds[node]
        again = self._again[kind]
        block = again.popleft() if again else next(self._blocks[kind], None)
        if block is not None:
            cells = {planned.cell.id: planned for planned in block.cells}
            self._flying[node] = _InFlight(block, cells)
        return block

    def arrived(self, node: str, cell: str) -> None:
        """A trial of the node's block has been stored."""
        if node in self._flying:
            self._flying[node].left.pop(cell, None)

    def ended(self, node: str) -> None:
        """The node has finished its block."""
        flight = self._flying.pop(node, None)
        if flight is not None:
            self.abandoned += len(flight.left)  # it ended without these: they would not arrive

    def lost(self, node: str) -> Block | None:
        """The node is gone; what was left of its block, if it will be made by another."""
        del self._kinds[node]
        flight = self._flying.pop(node, None)
        if flight is None or not flight.left:
            return None
        block = Block(
            flight.block.task,
            flight.block.dataset,
            flight.block.repeat,
            tuple(flight.left.values()),
        )
        key = (block.task, block.dataset, block.repeat)
        self._lost[key] += 1
        if self._lost[key] >= MOST_LOST:
            self.abandoned += len(block.cells)
            return None
        return block

    def again(self, kind: str, block: Block) -> None:
        """Have a block be made by another node of that kind."""
        self._again[kind].append(block)

    def abandon(self, kind: str) -> int:
        """No node of that kind is left: the number of trials that will not be made."""
        rest = [*self._again[kind], *self._blocks[kind]]
        self._again[kind].clear()
        count = sum(len(block.cells) for block in rest)
        self.abandoned += count
        return count


def pairs_of_kinds(
    keys: Sequence[Key],
    kinds: Mapping[str, int],
    owners: Mapping[Pair, str],
    known: Mapping[Key, Published],
) -> dict[str, set[Pair]]:
    """The (task, dataset) pairs that each kind of machine measures. ``kinds``: fingerprint -> the
    number of its nodes; ``owners``: the kind that has trials of a pair already keeps it. The rest
    is dealt by cost, as ``--shard`` does, in as many shares as there are nodes."""
    dealt: dict[str, set[Pair]] = {kind: set() for kind in kinds}
    if len(kinds) == 1:
        return {kind: {key[:2] for key in keys} for kind in kinds}
    for pair, kind in owners.items():
        if kind in dealt:
            dealt[kind].add(pair)
    owned: set[Pair] = set().union(*dealt.values())
    rest = [key for key in keys if key[:2] not in owned]
    places = [kind for kind in sorted(kinds) for _ in range(kinds[kind])]
    for kind, share in zip(places, deal(rest, len(places), known), strict=True):
        dealt[kind] |= {key[:2] for key in share}
    return dealt


def differences(facts: Iterable[Mapping[str, str]]) -> str:
    """The facts in which environments differ, with their values."""
    listed = list(facts)
    names = sorted(set().union(*listed))
    parts = []
    for name in names:
        values = list(dict.fromkeys(one.get(name, "none") for one in listed))
        if len(values) > 1:
            parts.append(f"{name} {' / '.join(values)}")
    return ", ".join(parts)[:500]
