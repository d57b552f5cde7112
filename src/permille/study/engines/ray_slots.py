"""The nodes of a Ray cluster to measure on, and what is reserved of each. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from permille.errors import EngineError
from permille.study.engines.protocol import RunOptions
from permille.units import counted


class Slot(NamedTuple):
    """A place for one trial at a time: the Ray node, and what is reserved of it."""

    node: str
    cpus: float
    gpus: float


def chosen(
    listed: Sequence[Mapping[str, Any]], machines: int | None
) -> dict[str, Mapping[str, Any]]:
    """The nodes to measure on: those that are alive and have CPUs to reserve, the first so many.

    Raises:
        EngineError: there are fewer.
    """
    usable = _usable(listed)
    if not usable:
        raise EngineError("the Ray cluster has no node with a CPU that can be reserved")
    if machines is not None and len(usable) < machines:
        raise EngineError(
            f"--machines {machines}: the Ray cluster has {counted(len(usable), 'node')} that can be"
            " reserved"
        )
    hosts = [str(node["NodeManagerHostname"]) for node in usable]
    named: dict[str, Mapping[str, Any]] = {}
    for node, host in zip(usable, hosts, strict=True):
        unique = host if hosts.count(host) == 1 else f"{host}/{str(node['NodeID'])[:6]}"
        named[unique] = node
    return dict(list(named.items())[:machines])


def joined(
    listed: Sequence[Mapping[str, Any]], machines: int | None, known: Mapping[str, str]
) -> dict[str, Mapping[str, Any]]:
    """The nodes that have joined, so many that no more than ``machines`` are alive; ``known``: the
    names of those that are measured on already, by Ray's id."""
    usable = _usable(listed)
    new = [node for node in usable if str(node["NodeID"]) not in known]
    if machines is not None:
        new = new[: max(0, machines - (len(usable) - len(new)))]
    # With lost nodes, which `known` keeps: a host that joins again has another id, and needs a name
    # that the driver does not take for the lost one's.
    hosts = Counter(name.partition("/")[0] for name in known.values())
    named: dict[str, Mapping[str, Any]] = {}
    for node in new:
        host = str(node["NodeManagerHostname"])
        named[f"{host}/{str(node['NodeID'])[:6]}" if hosts[host] else host] = node
        hosts[host] += 1
    return named


def _usable(listed: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that are alive and have CPUs to reserve, in the order of their names."""
    # By name, so that --machines N is the same nodes each time, whose stores may have trials.
    # Without a CPU: a head that is started with --num-cpus=0 is to do no work (docs/cluster.md).
    return sorted(
        (node for node in listed if node["Alive"] and node["Resources"].get("CPU", 0) >= 1),
        key=lambda node: (str(node["NodeManagerHostname"]), str(node["NodeID"])),
    )


def node_slots(nodes: Mapping[str, Mapping[str, Any]]) -> dict[str, Slot]:
    """A slot for each node, with all of it."""
    return {
        name: Slot(node["NodeID"], node["Resources"]["CPU"], node["Resources"].get("GPU", 0))
        for name, node in nodes.items()
    }


def gpu_slots(nodes: Mapping[str, Mapping[str, Any]]) -> dict[str, Slot]:
    """A slot for each GPU, with its share of its node's CPUs; numbered from 1 on each node, because
    Ray chooses which GPU is whose."""
    slots = {}
    for name, node in nodes.items():
        gpus = int(node["Resources"].get("GPU", 0))
        for number in range(1, gpus + 1):
            share = node["Resources"]["CPU"] / gpus
            # Ray takes a fraction of one CPU alone.
            slots[f"{name}/{number}"] = Slot(node["NodeID"], int(share) or share, 1)
    return slots


def check_slots(slots: Mapping[str, Slot], options: RunOptions) -> None:
    """Refuse a cluster that is too small.

    Raises:
        EngineError: it has no GPU, or too few slots for the replicas of each block.
    """
    what = "GPU" if options.per_gpu else "node"
    if not slots:
        raise EngineError(
            "--per gpu: no node of the Ray cluster has a GPU; start Ray where NVIDIA's driver"
            " works, or with `ray start --num-gpus N`"
        )
    if len(slots) < options.replicas:
        raise EngineError(
            f"--replicas-of-block {options.replicas}: the Ray cluster has"
            f" {counted(len(slots), what)} that can be reserved; start more, or ask for fewer"
            " replicas"
        )
