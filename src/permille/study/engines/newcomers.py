"""Nodes that join a cluster while a run measures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from permille.errors import EngineError
from permille.study.engines.fleet import NodeLost
from permille.study.engines.gathering import hello_of, no_machine, notes, other_plan, other_version
from permille.study.engines.messages import NodeHello


class Newcomers:
    """Nodes that have joined, of which no more than their hello is known. One that does not fit is
    named in a ``note``, and does not end the run. ``plan``: the digest of the run's plan;
    ``replicas``: the number of machines that make each block."""

    def __init__(self, plan: str, replicas: int, note: Callable[[str], None]) -> None:
        self._plan = plan
        self._replicas = replicas
        self._note = note
        self._hellos: dict[str, NodeHello] = {}
        self.unusable: set[str] = set()
        """The nodes of which nothing more is to be heard."""

    def hear(self, node: str, body: bytes | NodeLost) -> None:
        """What a node sent that does not take part yet."""
        if node in self.unusable:
            return
        if isinstance(body, NodeLost):
            self._leave_out(node, body.reason)
            return
        try:
            self._hellos[node] = hello_of(node, body)
        except EngineError as error:
            # Not an error as in gathering.py: a newcomer must not end a run of many nodes.
            self._leave_out(node, str(error))

    def fitting(
        self, kinds: Collection[str], members: Mapping[str, NodeHello]
    ) -> dict[str, NodeHello]:
        """Those that may take part from now on. ``kinds``: the fingerprints of the machines that
        blocks are dealt to; ``members``: the nodes that took part so far."""
        arrived, self._hellos = self._hellos, {}
        fitting: dict[str, NodeHello] = {}
        for node, hello in arrived.items():
            reason = self._unfit(hello, kinds)
            if reason is not None:
                self._leave_out(node, f"it {reason}")
                continue
            self._note(f"node {node} has joined, and takes part")
            self._note_differences(node, hello, {**members, **fitting})
            fitting[node] = hello
        return fitting

    def _unfit(self, hello: NodeHello, kinds: Collection[str]) -> str | None:
        # In the order of gathering.check(), and for its reason.
        reason = other_version(hello) or other_plan(hello, self._plan)
        if reason is None and self._replicas > 1:
            reason = no_machine(hello)
        if reason is None and hello.environment.fingerprint not in kinds:
            reason = "is of a kind that this run measures nothing on; a later run may"
        return reason

    def _note_differences(
        self, node: str, hello: NodeHello, members: Mapping[str, NodeHello]
    ) -> None:
        """What the node differs in from others of its kind."""
        kind = hello.environment.fingerprint
        alike = {n: h for n, h in members.items() if h.environment.fingerprint == kind}
        # How the others differ from each other was noted when they came.
        known = notes(alike) if alike else []
        for text in notes({**alike, node: hello}):
            if text not in known:
                self._note(text)

    def _leave_out(self, node: str, reason: str) -> None:
        self._hellos.pop(node, None)
        self.unusable.add(node)
        self._note(f"node {node} cannot take part: {reason}")
