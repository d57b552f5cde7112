"""Bring trials that nodes made into the run's store: each once, by its uid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from permille.records.machine import MachineSession
from permille.records.trial import Trial
from permille.store import REFERENCE_SOURCE, Store
from permille.store.cloud.body import Content, decode
from permille.study.engines.messages import NodeTrial
from permille.study.plan.cells import PlannedCell
from permille.study.plan.grid import Plan
from permille.study.run.schedule import Schedule


class Arrival(NamedTuple):
    """A trial that is in the store now. ``new``: it was not before; ``reference``: of the reference
    workload."""

    node: str
    trial: Trial
    failure: str | None
    new: bool

    @property
    def reference(self) -> bool:
        """Whether it is of the reference workload."""
        return self.trial.source == REFERENCE_SOURCE


class Homecoming:
    """Checks and stores trials of nodes, and adds them to the schedule of their kind of machine.

    A node that was cut off may hand over a trial of a repeat that another has made since. It is
    ``surplus``: it stays in the node's store, and the repeat counts once, or as often as there are
    to be ``replicas`` of its block.
    """

    def __init__(
        self, plan: Plan, store: Store, schedules: Mapping[str, Schedule], replicas: int = 1
    ) -> None:
        self._replicas = replicas
        self._plan = plan
        self._store = store
        self._schedules = schedules
        self._cells: dict[str, PlannedCell] = {p.cell.id: p for p in plan.cells}
        self.surplus = 0
        self.problems: list[str] = []
        """A line for each message that was refused."""

    def missing(self, uids: Sequence[str]) -> tuple[str, ...]:
        """Those of these trials that the store lacks."""
        known: set[str] = set()
        # All are parameters of one statement, of which SQLite takes 32,766:
        # https://www.sqlite.org/limits.html#max_variable_number
        for start in range(0, len(uids), 5_000):
            known |= self._store.known(uids[start : start + 5_000])
        return tuple(uid for uid in uids if uid not in known)

    def take(self, sent: Sequence[tuple[str, NodeTrial]]) -> list[Arrival]:
        """Store trials of nodes, in one transaction; those that are in the store afterwards.

        Raises:
            StoreError: they could not be written; none of them is.
        """
        if not sent:
            return []
        contents = [(node, message, self._opened(node, message)) for node, message in sent]
        known = self._store.known([message.uid for _, message, _ in contents])
        arrivals: list[Arrival] = []
        kept: list[Content] = []
        taken: defaultdict[tuple[str, str, int], list[str]] = defaultdict(list)
        for node, message, content in contents:
            if content is None:
                continue
            trial = content.trial
            new = trial.uid not in known
            if new and self._is_surplus(trial, taken):
                self.surplus += 1
                # It has arrived all the same: what has not when a block ends counts as not made.
                new = False
            elif new:
                known.add(trial.uid)
                kept.append(content)
            arrivals.append(Arrival(node, trial, message.failure, new))
        # What the store refused has not arrived, so its repeat counts as not made.
        if refused := self._keep(kept):
            arrivals = [one for one in arrivals if one.trial.uid not in refused]
        for arrival in arrivals:
            schedule = self._schedule_of(arrival.trial)
            if arrival.new and schedule is not None:
                schedule.note(arrival.trial, arrival.failure)
        return arrivals

    def _keep(self, kept: Sequence[Content]) -> set[str]:
        """Store them, sessions first, so that no trial is in the store without its own; the uids
        of those that were refused."""
        sessions: dict[str, MachineSession] = {}
        for session in (content.session for content in kept):
            if session is not None:
                before = sessions.get(session.id, session)
                # Each trial comes with its session as it was then: the last state has all blocks.
                sessions[session.id] = max(before, session, key=lambda one: (one.ended, one.blocks))
        self.problems += self._store.take_in_sessions(sessions.values())
        taken = self._store.take_in((content.trial, content.raw) for content in kept)
        self.problems += taken.refused
        if not taken.refused:
            return set()
        uids = {content.trial.uid for content in kept}
        return uids - self._store.known(uids)

    def _opened(self, node: str, message: NodeTrial) -> Content | None:
        try:
            content = decode(message.uid, message.body)
        except ValueError as error:
            self.problems.append(f"{node}: trial {message.uid}: {error}")
            return None
        if content.trial.study != self._plan.name:
            self.problems.append(f"{node}: trial {message.uid} is of another study")
            return None
        return content

    def _is_surplus(
        self, trial: Trial, taken: defaultdict[tuple[str, str, int], list[str]]
    ) -> bool:
        """Whether a repeat that is finished already, there or everywhere, was made again;
        ``taken``: the machines that have finished one in this batch."""
        schedule = self._schedule_of(trial)
        # A failure is never surplus: each counts as a try of its repeat.
        if schedule is None or trial.status != "done":
            return False
        key = (schedule.environment.fingerprint, trial.cell.id, trial.repeat)
        ledger = schedule.ledger
        machine = ledger.machine_of(trial.machine)
        known = [*ledger.machines(trial.cell.id, trial.repeat), *taken[key]]
        if machine in known or len(known) >= self._replicas:
            return True
        if machine is not None:
            taken[key].append(machine)
        return False

    def _schedule_of(self, trial: Trial) -> Schedule | None:
        """The schedule that a trial counts for; None of one of another round or protocol."""
        schedule = self._schedules.get(trial.environment.fingerprint)
        planned = self._cells.get(trial.cell.id)
        if schedule is None or planned is None or trial.source == REFERENCE_SOURCE:
            return None
        current = trial.round == schedule.round_of(trial.cell.id)
        return schedule if current and trial.protocol == self._plan.protocol_of(planned) else None
