"""The run's side of many machines: orders go out, trials come home, lost blocks go to others."""

from __future__ import annotations

from collections.abc import Sequence

from permille.errors import EngineError
from permille.study.engines.assignment import MOST_LOST, Assignments, pairs_of_kinds
from permille.study.engines.fleet import Fleet, NodeLost
from permille.study.engines.gathering import (
    check_replicas,
    gather,
    kinds_of,
    missing_meters,
)
from permille.study.engines.homecoming import Arrival, Homecoming
from permille.study.engines.messages import (
    BlockEnded,
    BlockOrder,
    Dismissal,
    FromNode,
    HandOver,
    NodeHello,
    NodeStage,
    NodeTrial,
    ToNode,
    digest_of,
    from_node,
    packed,
)
from permille.study.engines.newcomers import Newcomers
from permille.study.engines.protocol import NodeRests, RunOutcome, StudyRun, Watch
from permille.study.plan.published import published
from permille.study.plan.sharding import Pair
from permille.study.run.attempt import Turn
from permille.study.run.required import require_measured
from permille.study.run.schedule import Schedule, most_repeats
from permille.study.run.tally import RunTally
from permille.units import counted

WAIT_S = 1.0
_PROBLEMS_SHOWN = 5


class Driver:
    """Runs a study on the nodes of a fleet."""

    def __init__(self, run: StudyRun, fleet: Fleet) -> None:
        self._run = run
        self._fleet = fleet
        self._cells = {planned.cell.id: planned for planned in run.plan.cells}
        self._tally = RunTally()
        self._schedules: dict[str, Schedule] = {}
        self._kinds: dict[str, str] = {}
        self._machines: dict[str, str] = {}
        self._hellos: dict[str, NodeHello] = {}
        self._handing: dict[str, int] = {}
        """What joined nodes have handed over so far."""
        self._idle: set[str] = set()
        self._watch: Watch
        self._replicas = run.options.replicas
        self._newcomers = Newcomers(digest_of(run.plan), self._replicas, run.listener.note)
        self._home = Homecoming(run.plan, run.store, self._schedules, self._replicas)

    def run(self) -> RunOutcome:
        """Make every trial that is not finished.

        Raises:
            EngineError: no node can take part, they would not measure the same, or they are too
                few for the replicas.
            StoreError: a trial could not be stored; earlier ones are safe.
        """
        hellos = gather(self._fleet, digest_of(self._run.plan), self._run.listener.note)
        few = check_replicas(hellos, self._replicas) if self._replicas > 1 else []
        for node, hello in hellos.items():
            self._know(node, hello)
        for fingerprint, nodes in kinds_of(hellos).items():
            schedule = Schedule(
                self._run.plan,
                self._run.store,
                hellos[nodes[0]].environment,
                self._tally,
                pool=self._run.options.pool,
                replicas=self._replicas,
            )
            self._schedules[fingerprint] = schedule
        # In this order: what an earlier run made on a node counts even if nothing more is measured
        # there. And before start_over(), because it belongs to the round that --fresh ends.
        self._collect(hellos)
        self._leave_out(few)
        for schedule in self._schedules.values():
            self._run.listener.ready(schedule)
            if self._run.options.fresh:
                schedule.start_over()
        self._measure()
        self._report()
        return RunOutcome(self._tally, missing_meters(self._hellos.values()))

    def _know(self, node: str, hello: NodeHello) -> None:
        """The node takes part."""
        self._hellos[node] = hello
        self._kinds[node] = hello.environment.fingerprint
        # Only replicas need to tell machines apart: without them, a node that has no machine id can
        # take part, too.
        machine = hello.machine if self._replicas > 1 else None
        self._machines[node] = machine or node

    # --- before measuring --------------------------------------------------------------------

    def _collect(self, hellos: dict[str, NodeHello]) -> None:
        """Fetch what an earlier run, which was killed, left in the nodes' stores."""
        left = {node: self._home.missing(hello.kept) for node, hello in hellos.items()}
        waiting = {node for node, uids in left.items() if uids}
        for node in waiting:
            self._send(node, HandOver(uids=left[node]))
        collected = 0
        while waiting:
            lost, messages = self._receive()
            arrivals = self._home.take(_trials(messages))
            collected += sum(arrival.new for arrival in arrivals)
            # A hand-over ends with the same message as a block.
            waiting -= {node for node, message in messages if isinstance(message, BlockEnded)}
            for node, reason in lost.items():
                self._run.listener.note(f"node {node} is lost: {reason}")
                del self._kinds[node]
                self._newcomers.unusable.add(node)
                waiting.discard(node)
        self._collected(collected, "the nodes' stores")

    def _collected(self, count: int, place: str) -> None:
        """Note how many trials of an earlier run have come from a ``place``."""
        if count:
            # A trial knows its round (--fresh): the newest is the current one again.
            self._run.store.restore_rounds()
            finished = counted(count, "finished trial", "finished trials")
            self._run.listener.note(f"{finished} of an earlier run came from {place}")

    def _leave_out(self, kinds: Sequence[str]) -> None:
        """Measure nothing on the nodes of these kinds."""
        nodes = [node for node, kind in self._kinds.items() if kind in kinds]
        for node in nodes:
            del self._kinds[node]
        self._newcomers.unusable.update(nodes)
        for kind in kinds:
            del self._schedules[kind]
        if nodes:
            self._run.listener.note(
                f"nothing is measured on {', '.join(nodes)[:300]}: there are fewer than"
                f" {self._replicas} machines of the kind, for as many replicas of each block"
            )

    def _pairs(self) -> dict[str, set[Pair]]:
        """The (task, dataset) pairs of each kind of machine."""
        keys = [(p.cell.task, p.cell.dataset, p.cell.model) for p in self._run.plan.cells]
        kinds = dict.fromkeys(self._schedules, 0)
        for kind in self._kinds.values():
            kinds[kind] += 1
        owners: dict[Pair, str] = {}
        for kind, schedule in self._schedules.items():
            if kinds[kind]:
                touched = schedule.ledger.touched()
                for planned in self._run.plan.cells:
                    if planned.cell.id in touched:
                        owners.setdefault((planned.cell.task, planned.cell.dataset), kind)
        present = {kind: count for kind, count in kinds.items() if count}
        if not present:
            raise EngineError("every node was lost before anything was measured")
        return pairs_of_kinds(keys, present, owners, published())

    # --- measuring ---------------------------------------------------------------------------

    def _measure(self) -> None:
        repeats = range(most_repeats(self._run.plan.settings))
        pairs = self._pairs()
        due: dict[str, int] = {}
        for kind, mine in pairs.items():
            counts = self._schedules[kind].due(repeats)
            for planned in self._run.plan.cells:
                if (planned.cell.task, planned.cell.dataset) in mine:
                    due[planned.cell.id] = counts[planned.cell.id]
        work = Assignments(
            self._kinds,
            {kind: self._schedules[kind].blocks(repeats, mine) for kind, mine in pairs.items()},
            replicas=self._replicas,
            machines=self._machines,
            made={kind: self._schedules[kind].ledger.machines for kind in pairs},
        )
        names = list(self._kinds)
        with self._run.listener.measuring(due, len(repeats), self._tally, names) as watch:
            for schedule in self._schedules.values():
                schedule.skipped = watch
            self._watch = watch
            self._assign(work)
            # A node that hands over has no block, but what it brings may be all that is missing.
            while work.busy or self._handing:
                lost, messages = self._receive()
                # First the trials: a block that has ended counts what has not arrived as abandoned.
                for arrival in self._home.take(_trials(messages)):
                    self._note(arrival, work, watch)
                for node, message in messages:
                    self._handle(node, message, work, watch)
                # Last: what a node sent before it was lost has arrived, and need not be made again.
                for node, reason in lost.items():
                    self._lose(node, reason, work)
                self._admit(work)
                self._assign(work)
        if count := work.incomplete():
            trials = counted(count, "trial needs", "trials need")
            self._run.listener.note(
                f"{trials} a machine that has not measured the block yet, and none is left: the"
                " replicas of these blocks are incomplete; start more nodes, and run the same"
                " command again"
            )
        # Not before incomplete(), which adds what no node may make.
        self._tally.lost = work.abandoned
        if self._home.problems:
            return  # the nodes keep their stores: not everything has arrived
        for node in work.nodes:
            self._send(node, Dismissal())

    def _admit(self, work: Assignments) -> None:
        """Let nodes that have joined take part: first, they hand over what an earlier run left."""
        for node, hello in self._newcomers.fitting(work.kinds, self._hellos).items():
            self._know(node, hello)
            work.join(node, self._kinds[node], self._machines[node])
            uids = self._home.missing(hello.kept)
            if uids:
                self._handing[node] = 0
                self._send(node, HandOver(uids=uids))

    def _assign(self, work: Assignments) -> None:
        for node in work.idle():
            # It may just be sending the very repeats that it would be given.
            if node in self._handing:
                continue
            block = work.next(node)
            if block is None:
                if node not in self._idle:
                    self._watch(NodeRests("idle"), node)
                self._idle.add(node)
                continue
            self._idle.discard(node)
            # The run decides on rounds: the store of a node knows nothing of --fresh.
            rounds = self._schedules[self._kinds[node]].round_of
            cells = tuple((planned.cell.id, rounds(planned.cell.id)) for planned in block.cells)
            order = BlockOrder(
                task=block.task, dataset=block.dataset, repeat=block.repeat, cells=cells
            )
            self._send(node, order)

    def _note(self, arrival: Arrival, work: Assignments, watch: Watch) -> None:
        """A trial is in the store."""
        trial = arrival.trial
        # Before the test below: a trial that the store has already need not be made again either.
        work.arrived(arrival.node, trial.cell.id)
        if not arrival.new:
            return
        if arrival.node in self._handing:
            self._handing[arrival.node] += 1
            return
        if arrival.reference:
            self._tally.add_cost(trial)
            return
        self._tally.add(trial)
        watch(trial, arrival.node)
        if self._run.options.require:
            require_measured(trial, self._run.options.require)

    def _handle(self, node: str, message: FromNode, work: Assignments, watch: Watch) -> None:
        if isinstance(message, BlockEnded) and node in self._handing:
            self._collected(self._handing.pop(node), f"the store of node {node}")
        elif isinstance(message, BlockEnded):
            work.ended(node)
        elif isinstance(message, NodeStage) and message.cell in self._cells:
            planned = self._cells[message.cell]
            watch(Turn(planned, message.repeat, message.stage, message.expected_s), node)

    def _lose(self, node: str, reason: str, work: Assignments) -> None:
        """Give what a lost node had to do to another of its kind."""
        kind = self._kinds.pop(node)
        self._newcomers.unusable.add(node)
        self._collected(self._handing.pop(node, 0), f"the store of node {node}")
        self._watch(NodeRests("lost"), node)
        abandoned = work.abandoned
        block = work.lost(node)
        what = ""
        if block is not None:
            other = "another" if self._replicas == 1 else "one that has not measured it, if any"
            what = f"; the rest of its block goes to {other}: {block.task} on {block.dataset}"
        elif work.abandoned > abandoned:
            what = f"; its block took {MOST_LOST} nodes with it, and is given up"
        self._run.listener.note(f"node {node} is lost: {reason}{what}")
        if kind not in self._kinds.values():
            count = work.abandon(kind)
            if count:
                trials = counted(count, "trial is", "trials are")
                self._run.listener.note(
                    f"no node of its kind is left: {trials} not made; run the same command again"
                )

    def _report(self) -> None:
        note, home = self._run.listener.note, self._home
        for problem in home.problems[:_PROBLEMS_SHOWN]:
            note(f"refused: {problem}")
        if len(home.problems) > _PROBLEMS_SHOWN:
            note(f"{len(home.problems) - _PROBLEMS_SHOWN} more were refused")
        if home.surplus:
            trials = counted(home.surplus, "trial", "trials")
            note(f"{trials} of repeats that another node had finished already: they are dropped")

    # --- messages ----------------------------------------------------------------------------

    def _send(self, node: str, message: ToNode) -> None:
        self._fleet.send(node, packed(message))

    def _receive(self) -> tuple[dict[str, str], list[tuple[str, FromNode]]]:
        """The nodes that are lost, with the reason; and messages of others."""
        lost: dict[str, str] = {}
        messages: list[tuple[str, FromNode]] = []
        for node, body in self._fleet.receive(WAIT_S):
            if node not in self._kinds:
                self._newcomers.hear(node, body)
                continue
            if isinstance(body, NodeLost):
                lost[node] = body.reason
                continue
            try:
                messages.append((node, from_node(body)))
            except ValueError as error:
                lost[node] = f"it sent a malformed message: {error}"
        return lost, messages


def _trials(messages: Sequence[tuple[str, FromNode]]) -> list[tuple[str, NodeTrial]]:
    return [(node, message) for node, message in messages if isinstance(message, NodeTrial)]
