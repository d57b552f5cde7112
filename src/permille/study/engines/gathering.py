"""The nodes of a run before it measures: what they are, and whether they fit together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from permille.errors import EngineError
from permille.recorder.wire import Missing
from permille.study.engines.assignment import differences
from permille.study.engines.fleet import Fleet, NodeLost
from permille.study.engines.messages import NodeHello, from_node
from permille.units import counted
from permille.version import __version__

WAIT_S = 1.0
REMIND_S = 30.0
"""Between two notes about nodes that have not answered yet."""


def gather(fleet: Fleet, plan: str, note: Callable[[str], None]) -> dict[str, NodeHello]:
    """Every node's hello; nodes that cannot take part are named in a note and left out. A node that
    joins meanwhile is not waited for. ``plan``: the digest of the run's plan.

    Raises:
        EngineError: no node can take part, or one would not measure the same: another version of
            permille, or another plan.
    """
    hellos: dict[str, NodeHello] = {}
    lost: dict[str, str] = {}
    remind_s = time.monotonic() + REMIND_S
    waiting = list(fleet.names)
    # Without a time limit: a node that downloads models for hours looks like one that hangs. The
    # reminders name it, so that the user can decide.
    while waiting:
        for node, message in fleet.receive(WAIT_S):
            if isinstance(message, NodeLost):
                lost[node] = message.reason
                # It may be lost after its hello, while others are waited for.
                hellos.pop(node, None)
                note(f"node {node} cannot take part: {message.reason}")
            else:
                hellos[node] = hello_of(node, message)
        waiting = [name for name in waiting if name not in hellos and name not in lost]
        if waiting and time.monotonic() >= remind_s:
            note(
                f"waiting for {', '.join(waiting)[:300]}: it makes its plan, downloads models, or"
                " is reserved by other work"
            )
            remind_s = time.monotonic() + REMIND_S
    if not hellos:
        raise EngineError(f"no node can take part: {next(iter(lost.values()), 'there is none')}")
    check(hellos, plan)
    for text in notes(hellos):
        note(text)
    return hellos


def check(hellos: Mapping[str, NodeHello], plan: str) -> None:
    """Refuse nodes that would not measure the same.

    Raises:
        EngineError: a node has another version of permille, or makes another plan.
    """
    # The version first: another one may make another plan, and only its message tells what to do.
    for problem in (other_version, partial(other_plan, plan=plan)):
        for node, hello in hellos.items():
            reason = problem(hello)
            if reason is not None:
                raise EngineError(f"node {node} {reason}")


def other_version(hello: NodeHello) -> str | None:
    """Why a node could not measure what the run does: it has another version of permille."""
    if hello.version == __version__:
        return None
    return (
        f"has permille {hello.version}, and this run has {__version__}; install the same version on"
        " every node"
    )


def other_plan(hello: NodeHello, plan: str) -> str | None:
    """The same: it makes another plan than that of the digest ``plan``."""
    if hello.plan == plan:
        return None
    return (
        "makes another plan of this study: its files, models or passed variables differ from those"
        " here; give every node the same study folder"
    )


def check_replicas(hellos: Mapping[str, NodeHello], replicas: int) -> list[str]:
    """Whether each block can be made on as many machines. The fingerprints of the kinds that have
    too few, which are left out: a figure is never made of two kinds.

    Raises:
        EngineError: no kind has enough, or the machine of a node is unknown.
    """
    for node, hello in hellos.items():
        reason = no_machine(hello)
        if reason is not None:
            raise EngineError(f"--replicas-of-block: node {node} {reason}")
    kinds = kinds_of(hellos)
    machines = {
        kind: len({hellos[node].machine for node in nodes}) for kind, nodes in kinds.items()
    }
    # Machines, not nodes: with two nodes on one machine, one of them could never be a replica.
    few = [kind for kind, count in machines.items() if count < replicas]
    if len(few) == len(kinds):
        most = counted(max(machines.values()), "machine")
        of_kind = f" of one kind ({differences_of(hellos)})" if len(kinds) > 1 else ""
        raise EngineError(
            f"--replicas-of-block {replicas}: the nodes are {most}{of_kind} at most; start more"
            " nodes, or ask for fewer replicas"
        )
    return few


def no_machine(hello: NodeHello) -> str | None:
    """Why a node cannot make replicas."""
    if hello.machine is not None:
        return None
    return (
        "has no machine id, so that replicas on it cannot be told from those on another; create"
        " /etc/machine-id there, or mount it into the container"
    )


def notes(hellos: Mapping[str, NodeHello]) -> list[str]:
    """What the user must know of the nodes before they measure: environments that differ, and
    states that differ between nodes whose trials are pooled."""
    kinds = kinds_of(hellos)
    differing = [
        f"the nodes of one kind differ in {text}; their trials are pooled, and each session says"
        " what it was measured with"
        for nodes in kinds.values()
        if (text := differences(_state(hellos[node]) for node in nodes))
    ]
    if len(kinds) == 1:
        return differing
    parts = "; ".join(f"{len(nodes)} like {nodes[0]}" for nodes in kinds.values())
    return [
        f"the nodes are of {len(kinds)} kinds ({parts}), which differ in {differences_of(hellos)};"
        " all repeats of a task and dataset are measured by one kind, and the results name it",
        *differing,
    ]


def kinds_of(hellos: Mapping[str, NodeHello]) -> dict[str, Sequence[str]]:
    """Fingerprint -> the nodes with this environment."""
    kinds: dict[str, list[str]] = {}
    for node, hello in hellos.items():
        kinds.setdefault(hello.environment.fingerprint, []).append(node)
    return dict(kinds)


def differences_of(hellos: Mapping[str, NodeHello]) -> str:
    """What the kinds of nodes differ in."""
    return differences(hellos[nodes[0]].environment.facts for nodes in kinds_of(hellos).values())


def missing_meters(hellos: Iterable[NodeHello]) -> tuple[Missing, ...]:
    """The meters that a node cannot use, each reason once."""
    return tuple(dict.fromkeys(one for hello in hellos for one in hello.missing))


def _state(hello: NodeHello) -> dict[str, str]:
    """What does not change while a node measures."""
    state = hello.state
    named = {
        "GPU driver": state.gpu_driver,
        "governor": state.governor,
        "microcode": state.microcode,
        "turbo": None if state.turbo is None else "on" if state.turbo else "off",
    }
    return {name: value or "unknown" for name, value in named.items()}


def hello_of(node: str, message: bytes) -> NodeHello:
    """A node's first message.

    Raises:
        EngineError: it is not a hello.
    """
    try:
        hello = from_node(message)
    except ValueError as error:
        # Another version may speak another language: it is not guessed at.
        raise EngineError(
            f"node {node} sent no valid hello ({error}); install the same version of permille on"
            " every node"
        ) from error
    if not isinstance(hello, NodeHello):
        raise EngineError(f"node {node} did not begin with a hello")
    return hello
