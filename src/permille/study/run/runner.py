"""The runner: run a plan's trials one at a time, and store each before the next begins."""

from __future__ import annotations

import datetime
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from permille.analysis.boundaries import Bounded, within
from permille.analysis.rerun import is_precise, rerun
from permille.analysis.stopping import decide
from permille.analysis.summaries import summarise
from permille.balanced import order
from permille.disturbance import disturbed
from permille.processes import end_marked
from permille.recorder.client import Recorder
from permille.records import Environment, Stopping, Trial
from permille.store import REFERENCE_SOURCE, Store, Tried
from permille.store.rows import protocol_key
from permille.study.plan.cells import PlannedCell
from permille.study.plan.file import Settings
from permille.study.plan.grid import Plan
from permille.study.run import blocks, reference
from permille.study.run.attempt import Assigned, Attempt, Bench, Turn
from permille.study.run.blocks import Block
from permille.study.run.environment import describe
from permille.study.run.ledger import Ledger
from permille.study.run.reference import reference_cell
from permille.study.run.session_log import SessionLog, state_of
from permille.study.run.trial import keep, least_query_s, pausing
from permille.study.run.trial_locks import Claims
from permille.study.worker import containment

DEFAULT_REPEATS = 10
RETRIES = 2
"""A failed or invalid repeat is retried by later runs, up to this number of tries."""

SAME_FAILURES = 2
"""A model that failed this many times in a row for one reason is skipped for the rest of the
run."""

Watch = Callable[[str, "Turn | Trial | NotRun"], None]


def most_repeats(settings: Settings) -> int:
    """The most repeats of each cell."""
    if settings.precision:
        return settings.max_repeats
    return settings.repeats or DEFAULT_REPEATS


@dataclass(frozen=True)
class NotRun:
    """A repeat that this run skips, and why: ``given-up`` after three failures, ``left-out``
    because its model fails for the same reason each time."""

    cell: PlannedCell
    repeat: int
    status: Literal["given-up", "left-out"]
    reason: str


@dataclass
class RunTally:
    """What a run did. ``kept`` trials were there already; ``elsewhere`` were made meanwhile by
    another run of the study; of ``disturbed`` ones other processes took too much."""

    done: int = 0
    failed: int = 0
    invalid: int = 0
    kept: int = 0
    given_up: int = 0
    left_out: int = 0
    elsewhere: int = 0
    disturbed: int = 0
    energy_j: float | None = None
    recorder_cpu_s: float = 0.0
    wall_s: float = 0.0

    def add(self, trial: Trial) -> None:
        """Count one trial and what it cost."""
        self.disturbed += bool(disturbed(trial.phases))
        if trial.status == "done":
            self.done += 1
        else:
            self.failed += trial.status == "failed"
            self.invalid += trial.status == "invalid"
        self.add_cost(trial)

    def add_cost(self, trial: Trial) -> None:
        """Count what a trial cost alone."""
        if trial.overhead:
            self.recorder_cpu_s += trial.overhead.cpu_s
            self.wall_s += trial.overhead.wall_s
        whole = trial.phases.get("whole")
        spent = within(whole, "node") if whole else None
        if isinstance(spent, Bounded):
            self.energy_j = (self.energy_j or 0.0) + spent.energy_j


class Runner:
    """Runs a plan against one store, with one recorder."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        recorder: Recorder,
        watch: Watch = lambda kind, event: None,
        *,
        pool: bool = False,
        quiet: bool = False,
        pass_env: Sequence[str] = (),
        tally: RunTally | None = None,
    ) -> None:
        self._plan = plan
        self._store = store
        self._recorder = recorder
        self.watch = watch
        self._least_query_s = least_query_s(recorder.domains)
        self._pausing = pausing(recorder.domains)
        # The reference uses no device: the slow counters of those need not be waited for.
        self._least_reference_s = least_query_s(
            domain for domain in recorder.domains if domain.kind in ("cpu", "dram")
        )
        self._stopping = _stopping(plan.settings)
        self.environment: Environment = describe(recorder.domains)
        self._bench = Bench(
            plan=plan,
            recorder=recorder,
            environment=self.environment,
            worker_environment=containment.environment(os.environ, pass_env),
            stopping=self._stopping,
            quiet=quiet,
            watch=lambda turn: self.watch("turn", turn),
        )
        self._pool = pool
        self._sessions = SessionLog(store, lambda: state_of(recorder.domains))
        self._version = store.version()
        self.ledger = self._open_ledger()
        self._tried_elsewhere: set[tuple[str, int]] = set()
        self._failures: dict[str, list[str]] = {}
        self._since_reference_s = 0.0
        self.tally = tally or RunTally()

    def start_over(self) -> None:
        """Begin a new round of every cell on this machine; existing trials stay in the store."""
        for protocol, cells in self._plan.by_protocol.items():
            self._store.start_over(self._plan.name, cells, protocol, self.environment.fingerprint)
        self.ledger = self._open_ledger()

    def is_due(self, planned: PlannedCell, repeat: int) -> bool:
        """Whether that repeat must still be run; the study's precision may already be reached."""
        tried = self.ledger.attempts(planned.cell.id, repeat)
        return not self.ledger.done(planned.cell.id, repeat) and tried <= RETRIES

    def finished(self) -> int:
        """The plan's finished trials, read from the store: a run that is interrupted between
        storing a trial and counting it must not report one too few."""
        return self._open_ledger().finished(planned.cell.id for planned in self._plan.cells)

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
            and (self._pool or trial.environment.fingerprint == self.environment.fingerprint)
        ]

    def is_untouched(self, repeats: range) -> bool:
        """Whether none of these repeats was ever tried: a session of their own begins with them."""
        return not any(
            self.ledger.done(planned.cell.id, repeat)
            or self.ledger.attempts(planned.cell.id, repeat)
            for planned in self._plan.cells
            for repeat in repeats
        )

    def rest_left(self, pause: datetime.timedelta) -> datetime.timedelta:
        """How much of a pause is left since the last trial on this boot of this machine."""
        return self._sessions.rest_left(pause)

    def run(self, repeats: range | None = None, *, new_session: bool = False) -> RunTally:
        """Every trial that is not finished, block by block, those of ``repeats`` alone if given.
        ``new_session``: in a session that begins now, however short the pause before it is."""
        if repeats is None:
            repeats = range(most_repeats(self._plan.settings))
        try:
            if new_session:
                self._sessions.begin()
            with Claims(self._store.path) as claims:
                passed_over = [
                    block
                    for block in self._schedule(repeats)
                    if not self._run_block(block, claims, wait=False)
                ]
                # Another run makes these; should it die, they are ours.
                for block in passed_over:
                    self._run_block(block, claims, wait=True)
        finally:
            end_marked(self._recorder.token)
        return self.tally

    def _run_block(self, block: Block, claims: Claims, *, wait: bool) -> bool:
        """Make the trials of one block; False if another run makes them just now."""
        protocol = protocol_key(self._plan.protocol)
        parts = (self._plan.name, block.task, block.dataset, protocol, str(block.repeat))
        with claims.on("\0".join(parts), wait=wait) as ours:
            if not ours:
                return False
            self._sessions.begin_block()
            for planned in block.cells:
                self._make(planned, block.repeat)
            if self._plan.settings.reference and self._since_reference_s >= reference.EVERY_S:
                self._measure_reference()
        return True

    def _make(self, planned: PlannedCell, repeat: int) -> None:
        """Make one trial and keep it, if it is still due."""
        self._catch_up()
        key = (planned.cell.id, repeat)
        if key in self._tried_elsewhere or not self.is_due(planned, repeat):
            self.tally.elsewhere += 1
        elif not self._precise(planned):
            began_s = time.monotonic()
            assigned = self._assigned(planned, repeat)
            attempt = Attempt(self._bench, assigned)
            trial = keep(self._store, *attempt.make())
            self._note_failure(planned, attempt.failure if attempt.same_again else None)
            self._since_reference_s += time.monotonic() - began_s
            self.ledger.add(trial)
            self.tally.add(trial)
            self.watch("trial", trial)
            self._sessions.ended(assigned.position)

    def _assigned(self, planned: PlannedCell, repeat: int) -> Assigned:
        return Assigned(
            planned=planned,
            protocol=self._plan.protocol_of(planned),
            repeat=repeat,
            round=self._rounds.get(planned.cell.id, 0),
            position=self._sessions.place(),
            least_query_s=self._least_query_s,
            pausing=self._pausing,
        )

    def _catch_up(self) -> None:
        """Add trials that another run has stored in the meantime."""
        version = self._store.version()
        if version == self._version:
            return
        self._version, before = version, self.ledger.tried()
        self.ledger = self._open_ledger()
        for key, times in self.ledger.tried().items():
            if times > before.get(key, 0):
                self._tried_elsewhere.add(key)

    def _open_ledger(self) -> Ledger:
        plan, fingerprint = self._plan, self.environment.fingerprint
        self._rounds: dict[str, int] = {}
        tried: list[Tried] = []
        for protocol in plan.by_protocol:
            self._rounds |= self._store.rounds(plan.name, protocol, fingerprint)
            tried += self._store.tried(plan.name, protocol)
        ledger = Ledger(tried, fingerprint, pool=self._pool)
        if self._stopping is not None:
            for trial in self._store.trials(study=plan.name, source="permille", status="done"):
                ours = self._pool or trial.environment.fingerprint == fingerprint
                current = trial.round == self._rounds.get(trial.cell.id, 0)
                elsewhere = trial.environment.fingerprint != fingerprint
                if ours and (current or elsewhere) and trial.protocol in plan.by_protocol:
                    ledger.count(trial)
        return ledger

    def _schedule(self, repeats: range) -> Iterator[Block]:
        """What is to be run. Repeats go round over the blocks, so that a slow drift of the
        machine meets all of them alike. Checked again each round: precision may be reached."""
        seed = self._plan.settings.seed
        for repeat in repeats:
            for (task, dataset), cells in blocks.groups(self._plan.cells).items():
                ordered = order(len(cells), repeat, f"{seed}/{task}/{dataset}")
                due = tuple(cells[i] for i in ordered if self._to_make(cells[i], repeat))
                if due:
                    yield Block(task, dataset, repeat, due)

    def _to_make(self, planned: PlannedCell, repeat: int) -> bool:
        """Whether a repeat is to be made; skipped repeats are counted and reported."""
        if self.ledger.done(planned.cell.id, repeat):
            self.tally.kept += 1
        elif self.ledger.attempts(planned.cell.id, repeat) > RETRIES:
            self.tally.given_up += 1
            self._leave_out(planned, repeat, "given-up", self._last_reason(planned, repeat))
        elif (reason := self._same_failure(planned)) is not None:
            self.tally.left_out += 1
            self._leave_out(planned, repeat, "left-out", reason)
        else:
            return not self._precise(planned)
        return False

    def _leave_out(
        self,
        planned: PlannedCell,
        repeat: int,
        status: Literal["given-up", "left-out"],
        reason: str,
    ) -> None:
        self.watch("not-run", NotRun(planned, repeat, status, reason))

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

    def _note_failure(self, planned: PlannedCell, reason: str | None) -> None:
        """Record consecutive failures whose reasons differ only in numbers."""
        reasons = self._failures.setdefault(planned.cell.id, [])
        if reason is None or (reasons and _shape(reasons[-1]) != _shape(reason)):
            reasons.clear()
        if reason is not None:
            reasons.append(reason)

    def _precise(self, planned: PlannedCell) -> bool:
        """Whether the cell needs no more repeats for the study's precision."""
        rule, values = self._stopping, self.ledger.values(planned.cell.id)
        if rule is None or not values:
            return False
        most = max(rule.max_repeats, len(values))
        return decide(values, precision=rule.precision, max_repeats=most).stop

    def _measure_reference(self) -> None:
        """Measure the reference workload, as a trial of the block that has just ended."""
        position = self._sessions.place()
        assigned = Assigned(
            planned=reference_cell(),
            protocol=reference.PROTOCOL,
            repeat=position.block,
            round=0,
            position=position,
            least_query_s=self._least_reference_s,
        )
        trial, raw = Attempt(self._bench, assigned).make()
        trial = msgspec.structs.replace(trial, source=REFERENCE_SOURCE, stopping=None)
        self.tally.add_cost(keep(self._store, trial, raw))
        self._since_reference_s = 0.0
        self._sessions.ended(position)


def _shape(reason: str) -> str:
    """A reason without its numbers, because addresses, counts and times differ between trials."""
    return re.sub(r"0x[0-9a-f]+|[0-9.]+", "#", reason)


def _stopping(settings: Settings) -> Stopping | None:
    if not settings.precision:
        return None
    return Stopping(precision=settings.precision, max_repeats=settings.max_repeats)
