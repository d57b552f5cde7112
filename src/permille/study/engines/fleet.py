"""The nodes of a run, as the run sees them: names, messages to them and from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class NodeLost:
    """A node that will send nothing more, and why."""

    reason: str


class Fleet(Protocol):
    """Connected nodes. Further nodes may join at any time: each begins with a hello."""

    @property
    def names(self) -> Sequence[str]:
        """Of all its nodes, lost ones too."""
        ...

    def send(self, node: str, message: bytes) -> None:
        """Send a message; one to a lost node is dropped."""
        ...

    def receive(self, timeout_s: float) -> Sequence[tuple[str, bytes | NodeLost]]:
        """What has come since the last call, in each node's order; waits at most so long for the
        first."""
        ...
