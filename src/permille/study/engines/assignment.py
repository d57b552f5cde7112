"""Which node makes which block. Pure.

Machines of one kind (with equal environments) share the blocks of a (task, dataset): a figure is
never made of two kinds. A node that is free gets the next block; the block of one that is lost goes
to another of its kind. A block with replicas goes to as many machines, each of which makes it once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from permille.study.plan.cells import PlannedCell
from permille.study.plan.published import Published
from permille.study.plan.sharding import Key, Pair, deal
from permille.study.run.blocks import Block

# A model that takes its machine down would otherwise take down every node of the cluster, one after
# the other.
MOST_LOST = 3
"""A block whose node is lost this many times is not given to another."""


@dataclass
class _Open:
    """A block of which something is still to be made. By cell id: the number of machines that are
    ``wanted``, and the machines that are ``used``, which have made it or are making it."""

    block: Block
    wanted: dict[str, int]
    used: dict[str, set[str]]

    def part_for(self, machine: str) -> tuple[PlannedCell, ...]:
        """The cells that this machine may make, in their order."""
        return tuple(
            planned
            for planned in self.block.cells
            if self.wanted[planned.cell.id] and machine not in self.used[planned.cell.id]
        )

    def give(self, cells: Iterable[PlannedCell], machine: str) -> None:
        """The machine makes these."""
        for planned in cells:
            self.wanted[planned.cell.id] -= 1
            self.used[planned.cell.id].add(machine)

    def take_back(self, cells: Iterable[PlannedCell], machine: str) -> None:
        """The machine did not make these."""
        for planned in cells:
            self.wanted[planned.cell.id] += 1
            self.used[planned.cell.id].discard(machine)

    @property
    def key(self) -> tuple[str, str, int]:
        return (self.block.task, self.block.dataset, self.block.repeat)

    @property
    def count(self) -> int:
        """The number of trials that nobody makes yet."""
        return sum(self.wanted.values())


@dataclass
class _InFlight:
    of: _Open
    left: dict[str, PlannedCell]
    """By cell id, those whose trial has not arrived."""


Made = Callable[[str, int], Collection[str]]
"""The machines that have made a repeat of a cell already."""


class Assignments:
    """Deals blocks to nodes. ``kinds``: node -> the fingerprint of its environment; ``blocks``:
    fingerprint -> what is due, computed as it is dealt.

    Each block is made on ``replicas`` different machines. ``machines``: node -> its machine, by
    default each node is one; ``made``: fingerprint -> the machines that are done already.
    """

    def __init__(
        self,
        kinds: Mapping[str, str],
        blocks: Mapping[str, Iterator[Block]],
        *,
        replicas: int = 1,
        machines: Mapping[str, str] | None = None,
        made: Mapping[str, Made] | None = None,
    ) -> None:
        self._kinds = dict(kinds)
        self._blocks = blocks
        self._replicas = replicas
        self._machines = dict(machines or {node: node for node in kinds})
        self._made = made or {}
        self._open: dict[str, list[_Open]] = {kind: [] for kind in blocks}
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

    @property
    def kinds(self) -> set[str]:
        """The fingerprints of the nodes that are not lost."""
        return set(self._kinds.values())

    def join(self, node: str, kind: str, machine: str) -> None:
        """Deal blocks to one more node of one of these :attr:`kinds`."""
        self._kinds[node] = kind
        self._machines[node] = machine

    def idle(self) -> list[str]:
        """The nodes without a block."""
        return [node for node in self._kinds if node not in self._flying]

    def next(self, node: str) -> Block | None:
        """The node's next block, or what is left of one; None if there is none now."""
        kind, machine = self._kinds[node], self._machines[node]
        for open in self._opened(kind):
            # Not always the whole block: in a run that was interrupted, this machine may have made
            # its replica of some cells, and a second one would say nothing about other machines.
            part = open.part_for(machine)
            if not part:
                continue
            open.give(part, machine)
            if not open.count:
                self._open[kind].remove(open)
            self._flying[node] = _InFlight(open, {planned.cell.id: planned for planned in part})
            return replace(open.block, cells=part)
        return None

    def _opened(self, kind: str) -> Iterator[_Open]:
        """The open blocks of a kind; then further ones, which are opened."""
        yield from list(self._open[kind])
        for block in self._blocks[kind]:
            open = self._opening(kind, block)
            self._open[kind].append(open)
            yield open

    def _opening(self, kind: str, block: Block) -> _Open:
        ids = [planned.cell.id for planned in block.cells]
        made = self._made.get(kind)
        used = {id: set(made(id, block.repeat) if made else ()) for id in ids}
        # At least 0: an earlier run may have been given more replicas than this one.
        wanted = {id: max(0, self._replicas - len(used[id])) for id in ids}
        return _Open(block, wanted, used)

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
        """The node is gone; what was left of its block, if another of its kind is to make it."""
        kind = self._kinds.pop(node)
        flight = self._flying.pop(node, None)
        # With all of its trials here, only the message that the block has ended is lost.
        if flight is None or not flight.left:
            return None
        open, left = flight.of, tuple(flight.left.values())
        open.take_back(left, self._machines[node])
        known = open in self._open[kind]
        self._lost[open.key] += 1
        if self._lost[open.key] >= MOST_LOST:
            self.abandoned += open.count
            # Counted: another replica of the block, still being made, may be lost after this one.
            open.wanted = dict.fromkeys(open.wanted, 0)
            if known:
                self._open[kind].remove(open)
            return None
        if not known:
            self._open[kind].insert(0, open)
        return replace(open.block, cells=left)

    def abandon(self, kind: str) -> int:
        """No node of that kind is left: the number of trials that will not be made."""
        rest = [*self._open[kind], *(self._opening(kind, one) for one in self._blocks[kind])]
        self._open[kind].clear()
        count = sum(open.count for open in rest)
        self.abandoned += count
        return count

    def incomplete(self) -> int:
        """The number of trials that no node may make, once none is busy: every node that is left
        has made its replica of their blocks."""
        return sum(self.abandon(kind) for kind in self._open)


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
    # Sorted, so that the shares do not depend on the order in which nodes said hello.
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
