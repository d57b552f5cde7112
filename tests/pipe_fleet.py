"""Nodes as processes of this machine, joined by pipes: the fleet of tests that have no cluster."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence

from permille.study.engines.fleet import NodeLost
from permille.study.engines.node_process import NodeCommand, NodeProcess


class PipeFleet:
    """A node for each environment; a thread listens to each. ``gpus``: those that nodes are."""

    def __init__(
        self,
        command: NodeCommand,
        environments: Mapping[str, Mapping[str, str]],
        gpus: Mapping[str, str] | None = None,
    ) -> None:
        self._inbox: queue.Queue[tuple[str, bytes | NodeLost]] = queue.Queue()
        self._command = command
        self._gpus = gpus or {}
        self.nodes: dict[str, NodeProcess] = {}
        self.heard: set[str] = set()
        """The nodes that have sent something."""
        for name, environment in environments.items():
            self.add(name, environment)

    def add(self, name: str, environment: Mapping[str, str]) -> None:
        """A further node, which joins the run."""
        command = self._command
        node = NodeProcess(
            NodeCommand(command.words, command.folder, command.key, self._gpus.get(name)),
            environment,
        )
        self.nodes[name] = node
        threading.Thread(target=self._listen, args=(name, node), daemon=True).start()

    @property
    def names(self) -> Sequence[str]:
        return list(self.nodes)

    def send(self, node: str, message: bytes) -> None:
        self.nodes[node].send(message)

    def receive(self, timeout_s: float) -> Sequence[tuple[str, bytes | NodeLost]]:
        try:
            received = [self._inbox.get(timeout=timeout_s)]
        except queue.Empty:
            return []
        while not self._inbox.empty():
            received.append(self._inbox.get())
        return received

    def close(self) -> None:
        for node in self.nodes.values():
            node.end()

    def _listen(self, name: str, node: NodeProcess) -> None:
        while isinstance(message := node.receive(), bytes):
            self._inbox.put((name, message))
            self.heard.add(name)
        self._inbox.put((name, NodeLost(message)))
