"""A study over three nodes, which are processes of this machine: the trials, and what is left when
a node or the run is killed."""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from permille.errors import EngineError
from permille.records.machine import Environment
from permille.records.trial import Trial
from permille.store import Store
from permille.study.engines.driver import Driver
from permille.study.engines.fleet import NodeLost
from permille.study.engines.messages import NodeHello, digest_of, packed
from permille.study.engines.node_process import NodeCommand
from permille.study.engines.protocol import NodeRests, RunOptions, StudyRun, Watch
from permille.study.plan import file
from permille.study.plan.grid import make
from permille.study.run.attempt import Turn
from permille.study.run.schedule import NotRun, Schedule
from permille.study.run.tally import RunTally
from permille.version import __version__
from tests.conftest import Permille
from tests.faults.conftest import await_that, ours
from tests.pipe_fleet import PipeFleet
from tests.powercap import Driver as PowercapDriver

pytestmark = pytest.mark.measuring

NODES = ("a", "b", "c")


class Heard:
    """What the run says; ``on_trial`` is called at each trial."""

    def __init__(self, on_trial: Callable[[int], None] = lambda count: None) -> None:
        self.notes: list[str] = []
        self.machines: Counter[str] = Counter()
        self.rests: list[tuple[str, str]] = []
        self._on_trial = on_trial

    def ready(self, schedule: Schedule) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)

    def session(self, number: int) -> None:
        raise AssertionError

    def rest(self, left: datetime.timedelta, session: int) -> None:
        raise AssertionError

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
            if isinstance(event, NodeRests):
                self.rests.append((machine, event.why))
            if isinstance(event, Trial):
                self.machines[machine] += 1
                self._on_trial(self.machines.total())

        yield watch


class Killed(Exception):
    pass


def _fleet(
    path: Path, environment: Mapping[str, str], folder: Path, nodes: Sequence[str] = NODES
) -> PipeFleet:
    command = NodeCommand([str(path)], str(folder), "key")
    return PipeFleet(command, {name: _environment(name, environment, folder) for name in nodes})


def _environment(name: str, environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    cache = str(folder / "cache")
    return dict(environment, PERMILLE_FAKE_NODE=name, PERMILLE_CACHE=cache)


def _drive(
    path: Path, fleet: PipeFleet, folder: Path, heard: Heard, replicas: int = 1
) -> tuple[RunTally, list[Trial], set[str | None]]:
    plan = make(file.read(path))
    with Store(folder / "s.db") as store:
        try:
            options = RunOptions(engine={"replicas-of-block": str(replicas)})
            tally = Driver(StudyRun(plan, store, options, heard), fleet).run().tally
        finally:
            fleet.close()
        machines = {session.machine for session in store.sessions()}
        return tally, list(store.trials()), machines


def _counts(trials: Sequence[Trial]) -> Counter[tuple[str, int]]:
    return Counter((t.cell.id, t.repeat) for t in trials if t.status == "done")


@pytest.mark.parametrize("limit", [{"timeout_s": 61.0}, {"max_failures": 1}, {"memory_gib": 8.0}])
def test_limits_that_let_other_trials_finish_are_another_plan(
    study: Callable[..., Path], limit: dict[str, float]
) -> None:
    plan = make(file.read(study("quick")))
    settings = msgspec.structs.replace(plan.settings, **limit)
    assert digest_of(msgspec.structs.replace(plan, settings=settings)) != digest_of(plan)


def test_three_nodes_make_each_trial_once_although_one_is_killed(
    study: Callable[..., Path], powercap: PowercapDriver, environment: dict[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    path = study("quick", "slow", repeats=4)  # more blocks than nodes: b has one
    fleet = _fleet(path, environment, tmp_path)

    def kill(count: int) -> None:
        if count == 1:
            os.kill(fleet.nodes["b"].pid, signal.SIGKILL)

    heard = Heard(kill)
    tally, trials, machines = _drive(path, fleet, tmp_path, heard)
    plan = make(file.read(path))
    assert _counts(trials) == Counter(
        {(planned.cell.id, repeat): 1 for planned in plan.cells for repeat in range(4)}
    )
    assert (tally.done, tally.lost, tally.complete) == (8, 0, True)
    assert any("node b is lost: its process was killed by SIGKILL" in n for n in heard.notes)
    assert ("b", "lost") in heard.rests
    assert {node for node, why in heard.rests if why == "idle"} >= {"a", "c"}
    assert len(machines) >= 2
    assert all(trial.session is not None for trial in trials)
    assert ours(tmp_path) == {}
    # Those that were dismissed have deleted their stores; b's is kept for the next run.
    assert len(list((tmp_path / "cache" / "nodes").glob("*.db"))) <= 1


def test_a_run_that_was_killed_goes_on_with_what_the_nodes_have(
    study: Callable[..., Path], powercap: PowercapDriver, environment: dict[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    path = study("quick", "slow", repeats=3)

    def die(count: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        _drive(path, _fleet(path, environment, tmp_path), tmp_path, Heard(die))
    assert ours(tmp_path) == {}
    (tmp_path / "s.db").unlink()  # as if the run had been killed before it stored what had come
    heard = Heard()
    tally, trials, _ = _drive(path, _fleet(path, environment, tmp_path), tmp_path, heard)
    assert any("of an earlier run came from the nodes' stores" in note for note in heard.notes)
    assert set(_counts(trials).values()) == {1}
    assert len(_counts(trials)) == 6
    assert tally.done + tally.kept == 6
    assert tally.kept >= 1


def _joining(fleet: PipeFleet, environment: Mapping[str, str], folder: Path, name: str) -> Heard:
    """A node joins at the first trial; its hello is there before the run goes on."""

    def join(count: int) -> None:
        if count == 1:
            fleet.add(name, _environment(name, environment, folder))
            await_that(lambda: name in fleet.heard)

    return Heard(join)


def test_a_node_that_joins_a_run_makes_blocks_of_it(
    study: Callable[..., Path], powercap: PowercapDriver, environment: dict[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    # While its hello is awaited, a ends the first block and begins the second: the third is b's.
    path = study("quick", "slow", repeats=3)
    fleet = _fleet(path, environment, tmp_path, ("a",))
    heard = _joining(fleet, environment, tmp_path, "b")
    tally, trials, machines = _drive(path, fleet, tmp_path, heard)
    assert set(_counts(trials).values()) == {1}
    assert len(_counts(trials)) == 6
    assert (tally.done, tally.complete) == (6, True)
    assert heard.machines["b"] >= 2
    assert len(machines) == 2
    assert "node b has joined, and takes part" in heard.notes
    assert ours(tmp_path) == {}
    assert not list((tmp_path / "cache" / "nodes").glob("*.db"))  # it was dismissed too


def test_a_node_that_joins_first_hands_over_what_an_earlier_run_left_there(
    study: Callable[..., Path], powercap: PowercapDriver, environment: dict[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    path = study("quick", "slow", repeats=3)

    def die(count: int) -> None:
        if count == 3:
            raise Killed

    with pytest.raises(Killed):
        _drive(path, _fleet(path, environment, tmp_path, ("b",)), tmp_path, Heard(die))
    (tmp_path / "s.db").unlink()
    fleet = _fleet(path, environment, tmp_path, ("a",))
    heard = _joining(fleet, environment, tmp_path, "b")
    tally, trials, _ = _drive(path, fleet, tmp_path, heard)
    assert any("of an earlier run came from the store of node b" in n for n in heard.notes)
    assert set(_counts(trials).values()) == {1}
    assert len(_counts(trials)) == 6
    assert tally.complete


def test_a_node_that_joins_with_another_plan_is_named_and_left_alone(
    study: Callable[..., Path], powercap: PowercapDriver, environment: dict[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    path = study("quick", repeats=3)
    fleet = _fleet(path, environment, tmp_path, ("a",))
    plan = make(file.read(path))

    def join(count: int) -> None:
        if count == 1:
            study("quick", "slow", repeats=3)  # the same path has another content now
            fleet.add("b", _environment("b", environment, tmp_path))
            await_that(lambda: "b" in fleet.heard)

    heard = Heard(join)
    with Store(tmp_path / "s.db") as store:
        try:
            tally = Driver(StudyRun(plan, store, RunOptions(), heard), fleet).run().tally
        finally:
            fleet.close()
    assert (tally.done, tally.complete) == (3, True)
    assert heard.machines == {"a": 3}
    assert any("node b cannot take part: it makes another plan" in note for note in heard.notes)
    assert ours(tmp_path) == {}


def _machines(trials: Sequence[Trial]) -> dict[tuple[str, int], list[str | None]]:
    """The machines of each repeat of each cell."""
    machines: dict[tuple[str, int], list[str | None]] = {}
    for trial in trials:
        if trial.status == "done":
            machines.setdefault((trial.cell.id, trial.repeat), []).append(trial.machine)
    return machines


def test_replicas_of_a_block_are_of_different_machines_and_a_later_run_makes_those_that_lack(
    study: Callable[..., Path], powercap: PowercapDriver, environment: dict[str, str],
    tmp_path: Path, permille: Permille,
) -> None:  # fmt: skip
    path = study("quick", "slow", repeats=2)
    plan = make(file.read(path))
    fleet = _fleet(path, environment, tmp_path)

    def kill(count: int) -> None:
        if count == 1:
            os.kill(fleet.nodes["b"].pid, signal.SIGKILL)

    heard = Heard(kill)
    tally, trials, _ = _drive(path, fleet, tmp_path, heard, replicas=3)
    # Two machines are left of the three that each block needs.
    first = _machines(trials)
    assert tally.lost > 0
    assert not tally.complete
    assert any("node b is lost" in note for note in heard.notes)
    assert any("a machine that has not measured the block yet" in note for note in heard.notes)
    for machines in first.values():
        assert len(set(machines)) == len(machines)

    heard = Heard()
    tally, trials, _ = _drive(
        path, _fleet(path, environment, tmp_path, ("a", "c", "d")), tmp_path, heard, replicas=3
    )
    both = _machines(trials)
    assert tally.complete
    assert len(both) == 2 * len(plan.cells)
    for machines in both.values():
        assert len(set(machines)) == len(machines) == 3
    # What was made on a and c was not made there again: each node made what it had not finished.
    lacked = Counter(
        machine for block, made in both.items() for machine in {*made} - {*first.get(block, ())}
    )
    assert sorted(heard.machines.values()) == sorted(lacked.values())
    assert heard.machines["d"] == max(lacked.values())
    assert heard.machines.total() == 12 - sum(map(len, first.values()))
    for row in permille("results", "--store", "s.db", "--json").json["rows"]:
        of_model = [t for t in trials if t.cell.model == row["model"] and t.status == "done"]
        assert row["machines"] == len({trial.machine for trial in of_model}) >= 3
    explained = permille("results", "--store", "s.db", "--explain").out
    assert "session or machine" in explained
    assert "another machine" in explained


def test_fewer_machines_than_replicas_are_refused_before_anything_is_measured(
    study: Callable[..., Path], powercap: PowercapDriver, environment: dict[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    path = study("quick")
    fleet = _fleet(path, environment, tmp_path, ("a", "b"))
    with pytest.raises(EngineError, match="the nodes are 2 machines at most; start more"):
        _drive(path, fleet, tmp_path, Heard(), replicas=3)
    with Store(tmp_path / "s.db", readonly=True) as store:
        assert list(store.trials()) == []


def test_a_node_whose_plan_differs_is_refused_before_anything_is_measured(
    study: Callable[..., Path], powercap: PowercapDriver, environment: dict[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    path = study("quick")
    plan = make(file.read(path))
    study("quick", "slow")  # what the nodes read
    fleet = _fleet(path, environment, tmp_path)
    with contextlib.closing(fleet), Store(tmp_path / "s.db") as store:
        driver = Driver(StudyRun(plan, store, RunOptions(), Heard()), fleet)
        with pytest.raises(EngineError, match="makes another plan"):
            driver.run()
        assert list(store.trials()) == []


def test_a_node_that_is_lost_while_it_hands_over_is_named(
    study: Callable[..., Path], tmp_path: Path
) -> None:
    plan = make(file.read(study("quick")))
    hello = NodeHello(
        version=__version__, environment=Environment(fingerprint="k", facts={}),
        plan=digest_of(plan), kept=("a trial of an earlier run",),
    )  # fmt: skip

    class Fleet:
        names = ("a",)
        received: list[tuple[str, bytes | NodeLost]] = [
            ("a", packed(hello)), ("a", NodeLost("its disk is full"))
        ]  # fmt: skip

        def send(self, node: str, message: bytes) -> None:
            pass

        def receive(self, timeout_s: float) -> Sequence[tuple[str, bytes | NodeLost]]:
            return [self.received.pop(0)]

    heard = Heard()
    lost = pytest.raises(EngineError, match="every node was lost")
    with Store(tmp_path / "s.db") as store, lost:
        Driver(StudyRun(plan, store, RunOptions(), heard), Fleet()).run()
    assert heard.notes == ["node a is lost: its disk is full"]


def test_a_node_ends_at_once_when_the_process_that_started_it_is_killed(
    study: Callable[..., Path], powercap: PowercapDriver, environment: dict[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, sys, time\n"
            "from permille.study.engines.node_process import NodeCommand, NodeProcess\n"
            "node = NodeProcess(NodeCommand([sys.argv[1]], '.', 'key'), os.environ)\n"
            "node.receive()\n"
            "print('ready', flush=True)\n"
            "time.sleep(600)\n",
            str(study("quick")),
        ],
        env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    holder.kill()
    holder.communicate()
    await_that(lambda: ours(tmp_path) == {})
