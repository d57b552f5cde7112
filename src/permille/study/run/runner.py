"""The runner: run a plan's trials one at a time, and store each before the next begins."""

from __future__ import annotations

import datetime
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from permille.analysis.boundaries import Bounded, within
from permille.analysis.stopping import decide
from permille.processes import end_marked
from permille.recorder.client import Recorder
from permille.records import Environment, Stopping, Trial
from permille.store import Store, Tried
from permille.store.rows import protocol_key
from permille.study.plan.blocks import groups, ordered
from permille.study.plan.cells import PlannedCell
from permille.study.plan.file import Settings
from permille.study.plan.grid import Plan
from permille.study.run import conditions, reference
from permille.study.run.attempt import Attempt, Bench, TrialPlace, Turn
from permille.study.run.environment import describe
from permille.study.run.ledger import Ledger
from permille.study.run.session import Sessions
from permille.study.run.trial import keep, least_query_s
from permille.study.run.trial_locks import Claims
from permille.study.worker import containment

DEFAULT_REPEATS = 10
RETRIES = 2
"""A failed or invalid repeat is retried by later runs, up to this number of tries."""

SAME_FAILURES = 2
"""A model that failed this many times in a row for one reason is skipped for the rest of the
run."""

Watch = Callable[[str, "Turn | Trial | NotRun | Pause"], None]


def most_repeats(settings: Settings) -> int:
    """The most repeats of each cell."""
    if settings.precision:
        return settings.max_repeats
    return settings.repeats or DEFAULT_REPEATS


class Due(NamedTuple):
    """A trial to make, and its block."""

    planned: PlannedCell
    repeat: int
    block: int


@dataclass(frozen=True)
class Pause:
    """The run waits ``seconds`` before session ``number`` of ``count``."""

    number: int
    count: int
    seconds: float


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
    """The result of a run. ``kept`` trials already existed; ``elsewhere`` were made by another run
    of the study in the meantime."""

    done: int = 0
    failed: int = 0
    invalid: int = 0
    kept: int = 0
    given_up: int = 0
    left_out: int = 0
    elsewhere: int = 0
    energy_j: float | None = None
    recorder_cpu_s: float = 0.0
    wall_s: float = 0.0

    def add(self, trial: Trial) -> None:
        """Count one trial and its energy."""
        if trial.status == "done":
            self.done += 1
        else:
            self.failed += trial.status == "failed"
            self.invalid += trial.status == "invalid"
        self.bill(trial)

    def bill(self, trial: Trial) -> None:
        """Add the energy of a trial."""
        if trial.overhead:
            self.recorder_cpu_s += trial.overhead.cpu_s
            self.wall_s += trial.overhead.wall_s
        whole = trial.phases.get("whole") or trial.phases.get("query")
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
        watch: Watch = lambda what, seen: None,
        *,
        pool: bool = False,
        quiet: bool = False,
        pass_env: Sequence[str] = (),
        sessions: int = 1,
        every_s: float = 0.0,
    ) -> None:
        self._plan = plan
        self._store = store
        self._recorder = recorder
        self.watch = watch
        self._stopping = _stopping(plan.settings)
        self.environment: Environment = describe(recorder.domains)
        self._bench = Bench(
            plan=plan,
            recorder=recorder,
            environment=self.environment,
            worker_environment=containment.environment(os.environ, pass_env),
            least_query_s=least_query_s(recorder.domains),
            stopping=self._stopping,
            quiet=quiet,
            watch=lambda turn: self.watch("turn", turn),
        )
        self._pool = pool
        self._version = store.version()
        self.ledger = self._open_ledger()
        self._tried_elsewhere: set[tuple[str, int]] = set()
        self._failures: dict[str, list[str]] = {}
        self.repeats_a_session = most_repeats(plan.settings)
        self._sessions_asked = sessions
        self._every_s = every_s
        self._sessions = Sessions(store.newest())
        self.tally = RunTally()

    def start_over(self) -> None:
        """Begin a new round of every cell on this machine; existing trials stay in the store."""
        for protocol, cells in self._plan.by_protocol.items():
            self._store.start_over(self._plan.name, cells, protocol, self.environment.fingerprint)
        self.ledger = self._open_ledger()

    def is_due(self, planned: PlannedCell, repeat: int) -> bool:
        """Whether that repeat must still be run; the study's precision may already be reached."""
        tried = self.ledger.attempts(planned.cell.id, repeat)
        return not self.ledger.done(planned.cell.id, repeat) and tried <= RETRIES

    def run(self) -> RunTally:
        """Run every unfinished trial, block by block."""
        try:
            with Claims(self._store.path) as claims:
                passed_over = [
                    due for due in self._schedule() if not self._make(due, claims, wait=False)
                ]
                # Another run is making these; if it dies, this run makes them.
                for due in passed_over:
                    self._make(due._replace(block=_now_ms()), claims, wait=True)
        finally:
            end_marked(self._recorder.token)
        return self.tally

    def _make(self, due: Due, claims: Claims, *, wait: bool) -> bool:
        """Make and store one trial; returns False if another run is making it."""
        planned, repeat, block = due
        protocol = protocol_key(self._plan.protocol_of(planned))
        name = "\0".join((self._plan.name, planned.cell.id, protocol, str(repeat)))
        with claims.on(name, wait=wait) as ours:
            if not ours:
                return False
            self._catch_up()
            key = (planned.cell.id, repeat)
            if key in self._tried_elsewhere or not self.is_due(planned, repeat):
                self.tally.elsewhere += 1
            elif not self._precise(planned):
                attempt = Attempt(self._bench, planned, self._place(planned, repeat, block))
                trial = keep(self._store, *attempt.make())
                self._note_failure(planned, attempt.failure if attempt.same_again else None)
                self._sessions.measured(_now())
                self.ledger.add(trial)
                self.tally.add(trial)
                self.watch("trial", trial)
        return True

    def _place(self, planned: PlannedCell | None, repeat: int, block: int) -> TrialPlace:
        """The position of the next trial, and the state of the machine at its start."""
        nvidia = any(domain.meter == "nvml" for domain in self._recorder.domains)
        here = conditions.read(nvidia=nvidia)
        return TrialPlace(
            repeat=repeat,
            round=0 if planned is None else self._rounds.get(planned.cell.id, 0),
            session=self._sessions.at(here, _now()),
            block=block,
            conditions=here,
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

    def _schedule(self) -> Iterator[Due]:
        """The trials to run, session by session and block by block: computed anew for each block,
        because precision may be reached."""
        grouped = groups(self._plan.cells)
        for number in range(self._sessions_asked):
            begun = False
            for repeat in self._repeats_of(number):
                for cells in grouped:
                    order = ordered(cells, repeat, self._plan.settings.seed)
                    due = [planned for planned in order if self._wanted(planned, repeat)]
                    if due and not begun:
                        self._enter(number)
                        begun = True
                    yield from self._block(due, repeat)

    def _repeats_of(self, number: int) -> range:
        return range(number * self.repeats_a_session, (number + 1) * self.repeats_a_session)

    def _block(self, cells: Sequence[PlannedCell], repeat: int) -> Iterator[Due]:
        began, block = time.monotonic(), _now_ms()
        for planned in cells:
            yield Due(planned, repeat, block)
        took_s = time.monotonic() - began
        if self._plan.settings.reference and took_s >= reference.LEAST_BLOCK_S:
            measured = reference.measure(self._bench, self._place(None, repeat, block))
            if measured is not None:
                self.tally.bill(keep(self._store, *measured))
                self._sessions.measured(_now())

    def _wanted(self, planned: PlannedCell, repeat: int) -> bool:
        """Whether that repeat must be run; counts it, and reports why if not."""
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

    def _enter(self, number: int) -> None:
        """Begin the requested session ``number``, unless an earlier run was already in it; wait
        until its start time."""
        if self._sessions_asked == 1:
            return
        newest = self._store.newest(study=self._plan.name)
        if newest is None or newest.repeat in self._repeats_of(number):
            return
        wait_s = self._every_s - (_now() - self._began(newest)).total_seconds()
        if wait_s > 0:
            self.watch("pause", Pause(number + 1, self._sessions_asked, wait_s))
            time.sleep(wait_s)
        self._sessions.close()

    def _began(self, newest: Trial) -> datetime.datetime:
        """The start time of the session of a trial of this study."""
        first = min(
            trial.started
            for trial in self._store.trials(study=self._plan.name, source="permille")
            if trial.session == newest.session
        )
        return datetime.datetime.fromisoformat(first)

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


def _shape(reason: str) -> str:
    """A reason without its numbers, because addresses, counts and times differ between trials."""
    return re.sub(r"0x[0-9a-f]+|[0-9.]+", "#", reason)


def _stopping(settings: Settings) -> Stopping | None:
    if not settings.precision:
        return None
    return Stopping(precision=settings.precision, max_repeats=settings.max_repeats)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _now_ms() -> int:
    return round(_now().timestamp() * 1000)
