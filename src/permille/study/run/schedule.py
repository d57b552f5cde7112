"""Which trials of a plan are still to be made for one kind of machine, block by block."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from permille.analysis.rerun import is_precise, rerun
from permille.analysis.stopping import by_rule
from permille.analysis.summaries import summarise
from permille.balanced import order
from permille.records.machine import Environment
from permille.records.trial import Stopping, Trial
from permille.store import Store, Tried
from permille.study.plan.cells import PlannedCell
from permille.study.plan.entries import Settings
from permille.study.plan.grid import Plan
from permille.study.run import blocks
from permille.study.run.blocks import Block
from permille.study.run.ledger import Ledger
from permille.study.run.tally import RunTally

DEFAULT_REPEATS = 10
RETRIES = 2
"""Later runs retry a failed or invalid repeat this many times: it is tried three times in all."""

SAME_FAILURES = 2
"""A model that failed this many times in a row for one reason is skipped for the rest of the
run."""


def most_repeats(settings: Settings) -> int:
    """The most repeats of each cell."""
    if settings.precision:
        return settings.max_repeats
    return settings.repeats or DEFAULT_REPEATS


def stopping_of(settings: Settings) -> Stopping | None:
    """The rule by which a study stops, if it has one."""
    if not settings.precision:
        return None
    return Stopping(precision=settings.precision, max_repeats=settings.max_repeats)


def finished(plan: Plan, store: Store) -> int:
    """The plan's finished trials in the store, on any machine. A run that is interrupted between
    storing a trial and counting it would report one too few if it did not ask the store."""
    return sum(
        tried.status == "done" and tried.cell in cells
        for protocol, cells in plan.by_protocol.items()
        for tried in store.tried(plan.name, protocol)
    )


@dataclass(frozen=True)
class NotRun:
    """A repeat that this run skips, and why: ``given-up`` after three failures, ``left-out``
    because its model fails for the same reason each time. ``trials``: more than one of a repeat
    with replicas."""

    cell: PlannedCell
    repeat: int
    status: Literal["given-up", "left-out"]
    reason: str
    trials: int = 1


class Schedule:
    """What is due of a plan on machines with one environment, by the trials in the store and those
    that the run adds. ``replicas``: the number of machines that make each repeat. ``fingerprints``:
    of other machines, for the cells that are measured there. ``skipped`` is called for each repeat
    that is not run."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        environment: Environment,
        tally: RunTally,
        *,
        pool: bool = False,
        replicas: int = 1,
        fingerprints: Mapping[str, str] | None = None,
        skipped: Callable[[NotRun], None] = lambda not_run: None,
    ) -> None:
        self._plan = plan
        self._store = store
        self.environment = environment
        self._fingerprints = fingerprints or {}
        self._tally = tally
        self._pool = pool
        self._replicas = replicas
        self.skipped = skipped
        self._stopping = stopping_of(plan.settings)
        # Before the trials are read: one that is stored in between is then read again, not missed.
        self._version = store.version()
        self.ledger = self._open_ledger()
        self._tried_elsewhere: set[tuple[str, int]] = set()
        self._failures: dict[str, list[str]] = {}

    def start_over(self) -> None:
        """Begin a new round of every cell; existing trials stay in the store."""
        for protocol, cells in self._plan.by_protocol.items():
            # A round is of one kind of machine, and cells that an agent measures are of its kind.
            for fingerprint in dict.fromkeys(map(self._fingerprint, cells)):
                its = [cell for cell in cells if self._fingerprint(cell) == fingerprint]
                self._store.start_over(self._plan.name, its, protocol, fingerprint)
        self.ledger = self._open_ledger()

    def _fingerprint(self, cell: str) -> str:
        return self._fingerprints.get(cell, self.environment.fingerprint)

    def round_of(self, cell: str) -> int:
        """The cell's current round."""
        return self._rounds.get(cell, 0)

    def is_due(self, planned: PlannedCell, repeat: int) -> bool:
        """Whether that repeat must still be run; the study's precision may already be reached."""
        failures = self.ledger.failures(planned.cell.id, repeat)
        return not self.ledger.done(planned.cell.id, repeat) and failures <= RETRIES

    def is_open(self, planned: PlannedCell, repeat: int) -> bool:
        """Whether a repeat is due and no other run has tried it in the meantime."""
        tried = (planned.cell.id, repeat) in self._tried_elsewhere
        return not tried and self.is_due(planned, repeat)

    def is_rerun_precise(self) -> bool:
        """Whether the sessions so far tell what a rerun of each model would give within the study's
        ``rerun_precision``. A cell without a figure does not count: further sessions give none."""
        precision = self._plan.settings.rerun_precision
        if precision is None:
            return False
        energies = [
            summary.energy
            for planned in self._plan.cells
            for summary in summarise(self._finished(planned), "compute", pool=self._pool)
            if summary.energy is not None
        ]
        means = [energy.session_means() for energy in energies]
        return bool(means) and all(m and is_precise(rerun(m), precision) for m in means)

    def _finished(self, planned: PlannedCell) -> list[Trial]:
        """A cell's finished trials that count for this run."""
        protocol = self._plan.protocol_of(planned)
        return [
            trial
            for trial in self._store.trials(
                study=self._plan.name, cell=planned.cell.id, source="permille", status="done"
            )
            if trial.protocol == protocol
            and (self._pool or trial.environment.fingerprint == self._fingerprint(trial.cell.id))
        ]

    def is_untouched(self, repeats: range) -> bool:
        """Whether none of these repeats was ever tried: a session of their own begins with them."""
        return not any(
            self.ledger.done(planned.cell.id, repeat)
            or self.ledger.attempts(planned.cell.id, repeat)
            for planned in self._plan.cells
            for repeat in repeats
        )

    def due(self, repeats: range) -> dict[str, int]:
        """The number of trials that are due of these repeats, by cell."""
        return {
            planned.cell.id: sum(
                self.ledger.missing(planned.cell.id, repeat)
                for repeat in repeats
                if self.is_due(planned, repeat)
            )
            for planned in self._plan.cells
        }

    def blocks(
        self, repeats: range, pairs: Container[tuple[str, str]] | None = None
    ) -> Iterator[Block]:
        """What is to be run, of these (task, dataset) ``pairs`` or of all. Repeats go round over
        the blocks, so that a slow drift of the machine meets all of them alike; computed anew each
        round, since precision may be reached."""
        seed = self._plan.settings.seed
        for repeat in repeats:
            for (task, dataset), cells in blocks.groups(self._plan.cells).items():
                if pairs is not None and (task, dataset) not in pairs:
                    continue
                # Of all cells, also where only some are due: what is left of a block that was
                # interrupted keeps the place that the balanced order gives it.
                ordered = order(len(cells), repeat, f"{seed}/{task}/{dataset}")
                due = tuple(cells[i] for i in ordered if self._to_make(cells[i], repeat))
                if due:
                    yield Block(task, dataset, repeat, due)

    def note(self, trial: Trial, failure: str | None) -> None:
        """Add a trial that was just stored. ``failure``: why the next attempt of its cell would
        also fail, or None."""
        self.ledger.add(trial)
        reasons = self._failures.setdefault(trial.cell.id, [])
        # A success or another failure in between shows that the next attempt may end otherwise.
        if failure is None or (reasons and _shape(reasons[-1]) != _shape(failure)):
            reasons.clear()
        if failure is not None:
            reasons.append(failure)

    def catch_up(self) -> None:
        """Add trials that another run has stored in the meantime."""
        version = self._store.version()
        if version == self._version:
            return
        self._version, before = version, self.ledger.tried()
        self.ledger = self._open_ledger()
        for key, times in self.ledger.tried().items():
            # Whatever became of it: two runs at once would use up the retries of a failure between
            # them.
            if times > before.get(key, 0):
                self._tried_elsewhere.add(key)

    def precise(self, planned: PlannedCell) -> bool:
        """Whether the cell needs no more repeats for the study's precision."""
        rule, values = self._stopping, self.ledger.values(planned.cell.id)
        if rule is None or not values:
            return False
        return by_rule(values, rule).stop

    def _open_ledger(self) -> Ledger:
        plan = self._plan
        self._rounds: dict[str, int] = {}
        tried: list[Tried] = []
        for protocol in plan.by_protocol:
            for fingerprint in {self.environment.fingerprint, *self._fingerprints.values()}:
                rounds = self._store.rounds(plan.name, protocol, fingerprint)
                self._rounds |= {
                    cell: number
                    for cell, number in rounds.items()
                    if self._fingerprint(cell) == fingerprint
                }
            # A trial's machine is in its body, which is not unpacked unless replicas need it.
            tried += self._store.tried(plan.name, protocol, machines=self._replicas > 1)
        ledger = Ledger(tried, self._fingerprint, pool=self._pool, replicas=self._replicas)
        if self._stopping is not None:
            for trial in self._store.trials(study=plan.name, source="permille", status="done"):
                elsewhere = trial.environment.fingerprint != self._fingerprint(trial.cell.id)
                ours = self._pool or not elsewhere
                current = trial.round == self._rounds.get(trial.cell.id, 0)
                # Rounds are counted for each kind of machine: --fresh here makes no trial from
                # elsewhere an old one.
                if ours and (current or elsewhere) and trial.protocol in plan.by_protocol:
                    ledger.count(trial)
        return ledger

    def _to_make(self, planned: PlannedCell, repeat: int) -> bool:
        """Whether a repeat is to be made; what is left out is counted and reported."""
        missing = self.ledger.missing(planned.cell.id, repeat)
        self._tally.kept += self._replicas - missing
        if not missing:
            return False
        if self.ledger.failures(planned.cell.id, repeat) > RETRIES:
            # Before the other reason: what is given up stays so in later runs, whereas the next run
            # tries again what is left out.
            self._tally.given_up += missing
            reason = self._last_reason(planned, repeat)
            self.skipped(NotRun(planned, repeat, "given-up", reason, missing))
        elif (same := self._same_failure(planned)) is not None:
            self._tally.left_out += missing
            self.skipped(NotRun(planned, repeat, "left-out", same, missing))
        else:
            return not self.precise(planned)
        return False

    def _last_reason(self, planned: PlannedCell, repeat: int) -> str:
        tried = self._store.trials(study=self._plan.name, cell=planned.cell.id, source="permille")
        reasons = [trial.reason for trial in tried if trial.repeat == repeat and trial.reason]
        last = f", the last time: {reasons[-1]}" if reasons else ""
        return f"failed three times{last}; once the cause is fixed, run with --fresh"

    def _same_failure(self, planned: PlannedCell) -> str | None:
        """Why the cell's other repeats would also fail, or None."""
        reasons = self._failures.get(planned.cell.id, [])
        if len(reasons) < SAME_FAILURES:
            return None
        return f"the model failed {len(reasons)} times in a row: {reasons[-1]}"


def _shape(reason: str) -> str:
    """A reason without its numbers, because addresses, counts and times differ between trials."""
    return re.sub(r"0x[0-9a-f]+|[0-9.]+", "#", reason)
