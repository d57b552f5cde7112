"""A run over many nodes, without the nodes: the real driver, schedule and store.

    python benchmarks/fleet.py [TRIALS] [NODES]      1,000,000 trials of 1,000 nodes by default

The nodes are simulated in this process: each makes what it is ordered to in no time, and hands over
each trial as the message that a real one sends, with a small recording. What making these messages
takes is timed and left out. The study has 100 datasets with 10 models each. After nine tenths of
its trials the run is given up and started again, as after a kill. Prints, as JSON: trials brought
into the store a second and the time to deal one block, by the clock and in processor time (which a
busy machine does not change); the time until a block is dealt after the start over a store that is
nearly full; and the greatest memory of the process.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import resource
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for tests.records

from tests.records import trial  # noqa: E402

from permille.records.cell import Cell  # noqa: E402
from permille.records.machine import Environment, MachineSession, MachineState  # noqa: E402
from permille.records.recording import Span  # noqa: E402
from permille.records.trial import Protocol, Trial  # noqa: E402
from permille.store import Raw, Store  # noqa: E402
from permille.store.cloud.body import Content, encode  # noqa: E402
from permille.study.engines.assignment import Assignments  # noqa: E402
from permille.study.engines.driver import Driver  # noqa: E402
from permille.study.engines.fleet import NodeLost  # noqa: E402
from permille.study.engines.messages import (  # noqa: E402
    BlockEnded,
    BlockOrder,
    NodeHello,
    NodeTrial,
    digest_of,
    packed,
    to_node,
)
from permille.study.engines.protocol import NodeRests, RunOptions, StudyRun, Watch  # noqa: E402
from permille.study.plan.cells import PlannedCell  # noqa: E402
from permille.study.plan.entries import Settings  # noqa: E402
from permille.study.plan.grid import Plan  # noqa: E402
from permille.study.run.attempt import Turn  # noqa: E402
from permille.study.run.schedule import NotRun, Schedule  # noqa: E402
from permille.study.run.tally import RunTally  # noqa: E402
from permille.version import __version__  # noqa: E402
from permille.workload.samples import Dataset  # noqa: E402
from permille.workload.specs import ModelSpec  # noqa: E402

DATASETS, MODELS = 100, 10
AT_ONCE = 500
"""The messages that the driver finds each time it looks."""
RAW = Raw(spans=(Span(name="query", t0_ns=0, t1_ns=10**10),), durations_ns=tuple(range(100)))
ENVIRONMENT = Environment(fingerprint="machine", facts={"cpu": "simulated"})


def plan_of(repeats: int) -> Plan:
    cells = []
    for data in range(DATASETS):
        dataset = Dataset(name=f"data-{data}", samples=(), digest="", labels=(), usable_total=0)
        for model in range(MODELS):
            name = f"model-{model}"
            cell = Cell(
                id=f"{data:08x}{model:08x}", task="text-classification", dataset=dataset.name,
                model=name, category="task-specific", backend="python",
            )  # fmt: skip
            spec = ModelSpec(id=name, backend="python", category="task-specific")
            cells.append(PlannedCell(cell=cell, model=spec, dataset=dataset))
    settings = Settings(name="fleet", repeats=repeats)
    return Plan(
        name="fleet", settings=settings, protocol=Protocol(inferences=1000), cells=tuple(cells)
    )


class SimulatedFleet:
    """Nodes that take no time. ``playing``: what playing them took."""

    def __init__(self, plan: Plan, nodes: int, started: str) -> None:
        self.names = [f"node-{number}" for number in range(nodes)]
        self.playing = Clock()
        self.first_block_s: float | None = None
        self._cells = {planned.cell.id: planned.cell for planned in plan.cells}
        self._protocol = plan.protocol
        self._pending: dict[str, deque[BlockOrder | str | bytes]] = {}
        self._ready: deque[str] = deque()
        self._made = 0
        self._started = started
        self._template = trial(1.0, environment=ENVIRONMENT, study="fleet")
        hello = NodeHello(version=__version__, environment=ENVIRONMENT, plan=digest_of(plan))
        for name in self.names:
            self._pending[name] = deque([packed(hello)])
            self._ready.append(name)

    def send(self, node: str, message: bytes) -> None:
        order = to_node(message)
        if isinstance(order, BlockOrder):
            if self.first_block_s is None:
                self.first_block_s = time.perf_counter()
            self._pending[node].append(order)
            self._ready.append(node)

    def receive(self, timeout_s: float) -> Sequence[tuple[str, bytes | NodeLost]]:
        received: list[tuple[str, bytes | NodeLost]] = []
        with self.playing.runs():
            while self._ready and len(received) < AT_ONCE:
                node = self._ready.popleft()
                received.append((node, self._next(node)))
                if self._pending[node]:
                    self._ready.append(node)
        return received

    def _next(self, node: str) -> bytes:
        """A node's next message; an order stays until its last trial has been sent."""
        head = self._pending[node][0]
        if isinstance(head, bytes):
            self._pending[node].popleft()
            return head
        assert isinstance(head, BlockOrder)
        self._pending[node].popleft()
        if not head.cells:
            return packed(BlockEnded())
        left = msgspec.structs.replace(head, cells=head.cells[1:])
        self._pending[node].appendleft(left)
        return self._trial(node, head.cells[0][0], head.repeat)

    def _trial(self, node: str, cell: str, repeat: int) -> bytes:
        self._made += 1
        # Started again, the nodes make none of the uids of before.
        uid = f"{self._started}{self._made:024x}"
        made: Trial = msgspec.structs.replace(
            self._template, uid=uid, cell=self._cells[cell], repeat=repeat, session=node, block=0,
            protocol=self._protocol,
        )  # fmt: skip
        session = MachineSession(
            id=node, machine=node, boot=node, started="2026-01-01T00:00:00+00:00",
            ended="2026-01-01T00:00:00+00:00", state=MachineState(),
        )  # fmt: skip
        return packed(NodeTrial(uid=uid, body=encode(Content(made, RAW, session))))


class Clock:
    """Seconds that have passed, and seconds of this process's processor time."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0

    @contextlib.contextmanager
    def runs(self) -> Iterator[None]:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.wall_s += time.perf_counter() - wall_s
            self.cpu_s += time.process_time() - cpu_s

    def less(self, other: Clock) -> Clock:
        rest = Clock()
        rest.wall_s, rest.cpu_s = self.wall_s - other.wall_s, self.cpu_s - other.cpu_s
        return rest


class TimedDriver(Driver):
    """Adds up what dealing blocks takes."""

    blocks = 0

    def __init__(self, run: StudyRun, fleet: SimulatedFleet) -> None:
        super().__init__(run, fleet)
        self.dealing = Clock()

    def _assign(self, work: Assignments) -> None:
        idle = len(work.idle())
        with self.dealing.runs():
            super()._assign(work)
        self.blocks += idle - len(work.idle())


class Enough(Exception):
    """The run has gone as far as it is to go."""


class Silent:
    """Hears a run, and stops it after ``most`` trials."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0

    def ready(self, schedule: Schedule) -> None:
        pass

    def note(self, text: str) -> None:
        print(text, file=sys.stderr)

    def session(self, number: int) -> None:
        pass

    def rest(self, left: datetime.timedelta, session: int) -> None:
        pass

    @contextlib.contextmanager
    def measuring(
        self,
        due: Mapping[str, int],
        repeats: int,
        tally: RunTally,
        machines: Sequence[str] = (),
        at_once: int | None = None,
    ) -> Iterator[Watch]:
        def watch(event: Turn | Trial | NotRun | NodeRests, machine: str = "") -> None:
            self._count += isinstance(event, Trial)
            if self._count % 50_000 == 0:
                print(f"{self._count} trials", file=sys.stderr, flush=True)
            if self._count >= self._most:
                raise Enough

        yield watch


class Driven(NamedTuple):
    """What a run took: all of it but playing the nodes, and dealing its blocks."""

    whole: Clock
    dealing: Clock
    blocks: int
    until_first_block_s: float


def drive(path: Path, plan: Plan, nodes: int, most: int, started: str) -> Driven:
    fleet = SimulatedFleet(plan, nodes, started)
    began, whole = time.perf_counter(), Clock()
    with Store(path) as store:
        driver = TimedDriver(StudyRun(plan, store, RunOptions(), Silent(most)), fleet)
        with contextlib.suppress(Enough), whole.runs():
            driver.run()
    assert fleet.first_block_s is not None
    return Driven(
        whole.less(fleet.playing), driver.dealing, driver.blocks, fleet.first_block_s - began
    )


def main(trials: int, nodes: int) -> None:
    plan = plan_of(trials // (DATASETS * MODELS))
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fleet.db"
        stop = trials * 9 // 10
        first = drive(path, plan, nodes, stop, "00000000")
        again = drive(path, plan, nodes, trials, "00000001")
        with Store(path, readonly=True) as store:
            kept = len(store.all_uids())
        size_mb = path.stat().st_size / 1e6
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {
        "trials": kept,
        "nodes": nodes,
        "cells": len(plan.cells),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        "trials_per_s": round(stop / first.whole.wall_s),
        "trials_per_cpu_s": round(stop / first.whole.cpu_s),
        "block_ms": round(1000 * first.dealing.wall_s / first.blocks, 3),
        "block_cpu_ms": round(1000 * first.dealing.cpu_s / first.blocks, 3),
        "start_again_s": round(again.until_first_block_s, 1),
        "peak_mb": round(peak_kb / 1024),
        "store_mb": round(size_mb),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    main(*words, *[1_000_000, 1_000][len(words) :])
