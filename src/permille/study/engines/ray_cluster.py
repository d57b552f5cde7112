"""``--engine ray``: one actor on each node of a Ray cluster, which reserves the node whole; with
``--per gpu``, one on each GPU, with its share of the node's CPUs.

An actor is no more than a pipe to a node's process (:mod:`permille.study.engines.node`), which ends
with it. Nothing of Ray is near what is measured but its own daemons, and those run in any case.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from permille.errors import EngineError, UsageError
from permille.extras import extra
from permille.interrupts import Interrupts
from permille.study.engines.driver import Driver
from permille.study.engines.fleet import NodeLost
from permille.study.engines.node_process import END_S, NodeCommand, NodeProcess
from permille.study.engines.protocol import EngineOption, RunOptions, RunOutcome, StudyRun
from permille.study.engines.ray_slots import (
    Slot,
    check_slots,
    chosen,
    gpu_slots,
    joined,
    node_slots,
)
from permille.study.run.trial_locks import Claims

NODE_ID = "ray.io/node-id"
"""The label by which Ray names a node."""


REACH_S = 10.0
LOOK_S = 5.0
"""Seconds after which the run looks for nodes that have joined the cluster."""


class RayEngine:
    """Measures on the nodes of a Ray cluster that is running."""

    options: frozenset[EngineOption] = frozenset(
        {"address", "fresh", "machines", "per", "replicas-of-block", "shard"}
    )

    def check(self, run: StudyRun) -> None:
        """See :class:`permille.study.engines.protocol.Engine`.

        Raises:
            UsageError: Ray is not installed, or the address is one of Ray Client.
        """
        address = _address(run.options)
        if address.startswith("ray://"):
            raise UsageError(
                f"{address} is a Ray Client address; the run would end with that connection: start"
                " it on a node of the cluster, and leave --address and RAY_ADDRESS out or name"
                " HOST:PORT of its head"
            )
        with extra("ray", "--engine ray"):  # last: it takes a second or more
            import ray  # noqa: F401

    def run(self, run: StudyRun) -> RunOutcome:
        """See :class:`permille.study.engines.protocol.Engine`.

        Raises:
            EngineError: there is no cluster, or its nodes cannot be used.
            Interrupted: Ctrl-C, TERM or HUP; finished trials are kept.
        """
        key = hashlib.sha256(f"{run.origin}\0{run.plan.name}".encode()).hexdigest()[:16]
        command = NodeCommand(run.words, os.getcwd(), key)
        with (
            Claims(run.store.path) as claims,
            claims.on(f"nodes\0{run.plan.name}", wait=False) as ours,
        ):
            # Two runs would deal the same blocks: they do not claim each one, as runs on one
            # machine do.
            if not ours:
                raise EngineError(
                    f"another run measures this study into {run.store.path} on a cluster; wait for"
                    " it, or name another --store"
                )
            with _cluster(run.options) as cluster, Interrupts(os.urandom(16).hex()):
                fleet = RayFleet(cluster, command, per_gpu=run.options.per_gpu)
                try:
                    return Driver(run, fleet).run()
                finally:
                    fleet.close()


class NodeActor:
    """Runs on a node; a pipe to the process that measures there, or on the GPU that Ray has given
    this actor if it is to measure ``per_gpu``."""

    def __init__(self, words: Sequence[str], folder: str, key: str, per_gpu: bool) -> None:
        import ray

        # Named to the node, which does not get the CUDA_VISIBLE_DEVICES that Ray sets in this
        # process (initial_environment()).
        gpu = str(ray.get_gpu_ids()[0]) if per_gpu else None
        command = NodeCommand(words, folder, key, gpu)
        self._process = NodeProcess(command, initial_environment())

    def send(self, body: bytes) -> None:
        """See :class:`NodeProcess`."""
        self._process.send(body)

    def receive(self) -> bytes | str:
        """See :class:`NodeProcess`."""
        return self._process.receive()

    def end(self) -> None:
        """See :class:`NodeProcess`."""
        self._process.end()


class RayCluster:
    """The nodes of a cluster that this process is connected to; others may join at any time."""

    def __init__(self, options: RunOptions) -> None:
        machines = options.engine.get("machines")
        self._machines = None if machines is None else int(machines)
        self._options = options
        self._names: dict[str, str] = {}

    def slots(self) -> dict[str, Slot]:
        """Where to measure.

        Raises:
            EngineError: the cluster is too small.
        """
        slots = self._taken(chosen(self._listed(), self._machines))
        check_slots(slots, self._options)
        return slots

    def new_slots(self) -> dict[str, Slot]:
        """Those of nodes that have joined since the last call."""
        return self._taken(joined(self._listed(), self._machines, self._names))

    def _listed(self) -> Sequence[Mapping[str, Any]]:
        import ray

        nodes: Sequence[Mapping[str, Any]] = ray.nodes()
        return nodes

    def _taken(self, nodes: Mapping[str, Mapping[str, Any]]) -> dict[str, Slot]:
        self._names |= {str(node["NodeID"]): name for name, node in nodes.items()}
        return (gpu_slots if self._options.per_gpu else node_slots)(nodes)


class RayFleet:
    """An actor for each slot of a cluster, by its name."""

    def __init__(self, cluster: RayCluster, command: NodeCommand, *, per_gpu: bool = False) -> None:
        import ray

        self._ray = ray
        self._cluster = cluster
        self._command = command
        self._per_gpu = per_gpu
        self._actors: dict[str, Any] = {}
        self._waiting: dict[Any, str] = {}
        self._start(cluster.slots())
        self._looked_s = time.monotonic()

    def _start(self, slots: Mapping[str, Slot]) -> None:
        command = self._command
        for name, slot in slots.items():
            actor = self._ray.remote(NodeActor).options(
                num_cpus=slot.cpus,
                num_gpus=slot.gpus,
                label_selector={NODE_ID: slot.node},
                max_concurrency=2,  # a message is sent while another is waited for
                # What died is lost: its block has gone to another node (driver.py).
                max_restarts=0,
            )
            words, folder, key = command.words, command.folder, command.key
            self._actors[name] = actor.remote(words, folder, key, self._per_gpu)
            self._listen(name)

    @property
    def names(self) -> Sequence[str]:
        """See :class:`permille.study.engines.fleet.Fleet`."""
        return list(self._actors)

    def send(self, node: str, message: bytes) -> None:
        """See :class:`permille.study.engines.fleet.Fleet`."""
        self._actors[node].send.remote(message)

    def receive(self, timeout_s: float) -> Sequence[tuple[str, bytes | NodeLost]]:
        """See :class:`permille.study.engines.fleet.Fleet`."""
        if time.monotonic() - self._looked_s >= LOOK_S:
            self._start(self._cluster.new_slots())
            self._looked_s = time.monotonic()
        waiting = list(self._waiting)
        # The first call waits for any message, the second takes the others that have come, too.
        ready, _ = self._ray.wait(waiting, num_returns=1, timeout=timeout_s)
        if ready:
            ready, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
        received: list[tuple[str, bytes | NodeLost]] = []
        for reference in ready:
            name = self._waiting.pop(reference)
            try:
                message = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                received.append((name, NodeLost(_reason(error))))
                continue
            if isinstance(message, bytes):
                received.append((name, message))
                self._listen(name)
            else:
                received.append((name, NodeLost(str(message))))
        return received

    def close(self) -> None:
        """End every node's process, and its actor."""
        # An actor that is killed cannot wait for its node to end worker and recorder.
        ending = [actor.end.remote() for actor in self._actors.values()]
        self._ray.wait(ending, num_returns=len(ending), timeout=2 * END_S)
        for actor in self._actors.values():
            self._ray.kill(actor)

    def _listen(self, name: str) -> None:
        self._waiting[self._actors[name].receive.remote()] = name


def initial_environment() -> dict[str, str]:
    """The variables with which this process was started: an actor's own have OMP_NUM_THREADS and
    the visible devices as Ray sets them, and what they are changes what is measured."""
    try:
        entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:  # not Linux
        return dict(os.environ)
    pairs = (os.fsdecode(entry).partition("=") for entry in entries if b"=" in entry)
    return {name: value for name, _, value in pairs}


@contextmanager
def _cluster(options: RunOptions) -> Iterator[RayCluster]:
    """Connect to the cluster.

    Raises:
        EngineError: there is none.
    """
    import ray

    address = _address(options)
    try:
        if address != "auto":
            _reach(address)
        # Or Ray would print here what is printed on all nodes.
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        raise EngineError(
            f"no Ray cluster at {address}: {_reason(error)}; start one with `ray start --head`, or"
            " name it with --address HOST:PORT"
        ) from error
    try:
        yield RayCluster(options)
    finally:
        ray.shutdown()


def _address(options: RunOptions) -> str:
    """Of the cluster's head; ``auto``: Ray looks for a cluster that this machine is a node of."""
    # Read here, although ray.init() would read it, too: it is looked at before Ray waits for
    # minutes (_reach()).
    return options.engine.get("address") or os.environ.get("RAY_ADDRESS") or "auto"


def _reach(address: str) -> None:
    """Connect once: Ray itself tries for minutes.

    Raises:
        OSError: nobody answers there.
        ValueError: it is not HOST:PORT.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"{address!r} is not HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()


def _reason(error: Exception) -> str:
    """Ray's reason, without its advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:300] or type(error).__name__


engine = RayEngine()
