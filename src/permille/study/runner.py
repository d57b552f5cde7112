"""The runner: plan in, trials out, one at a time, each in the store before the next begins."""

from __future__ import annotations

import datetime
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from permille.analysis.boundaries import within
from permille.analysis.stopping import decide
from permille.errors import RecorderError, TrialError
from permille.processes import end_marked
from permille.recorder import Recorder
from permille.records import Environment, Recording, Span, Stopping, Trial
from permille.store import Raw, Store, Tried
from permille.study import containment, process
from permille.study.environment import describe
from permille.study.file import Settings
from permille.study.ledger import Ledger
from permille.study.messages import Job, Message, Progress, Result, SpanDone
from permille.study.plan import Plan, PlannedCell
from permille.study.trial import least_query_s, make

DEFAULT_REPEATS = 10
RETRIES = 2
"""A repeat that failed, or was invalid, is tried again on the next run, at most this often."""

Watch = Callable[[str, "Turn | Trial"], None]


def most_repeats(settings: Settings) -> int:
    """How often each cell is measured, at most."""
    if settings.precision:
        return settings.max_repeats
    return settings.repeats or DEFAULT_REPEATS


@dataclass(frozen=True)
class Turn:
    """Where the run is: repeat ``repeat`` of ``cell``, in ``stage``."""

    cell: PlannedCell
    repeat: int
    stage: str
    expected_s: float | None = None


@dataclass
class Tally:
    """What a run did. ``kept`` trials were there already."""

    done: int = 0
    failed: int = 0
    invalid: int = 0
    kept: int = 0
    given_up: int = 0
    energy_j: float | None = None
    recorder_cpu_s: float = 0.0
    wall_s: float = 0.0

    def add(self, trial: Trial) -> None:
        """Count one trial and what it cost."""
        if trial.status == "done":
            self.done += 1
        else:
            self.failed += trial.status == "failed"
            self.invalid += trial.status == "invalid"
        if trial.overhead:
            self.recorder_cpu_s += trial.overhead.cpu_s
            self.wall_s += trial.overhead.wall_s
        whole = trial.phases.get("whole")
        spent = within(whole, "node") if whole else "not recorded"
        if not isinstance(spent, str):
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
        pass_env: Sequence[str] = (),
    ) -> None:
        self._plan = plan
        self._store = store
        self._recorder = recorder
        self.watch = watch
        self._least_query_s = least_query_s(recorder.domains)
        settings = plan.settings
        self._stopping = (
            Stopping(precision=settings.precision, max_repeats=settings.max_repeats)
            if settings.precision
            else None
        )
        self.environment: Environment = describe(recorder.domains)
        self._pool = pool
        self._worker_environment = containment.environment(os.environ, pass_env)
        self.ledger = self._open_ledger()
        self.tally = Tally()

    def start_over(self) -> None:
        """Begin a new round of every cell on this machine; what is there stays in the store."""
        for protocol, cells in self._plan.by_protocol.items():
            self._store.start_over(self._plan.name, cells, protocol, self.environment.fingerprint)
        self.ledger = self._open_ledger()

    def is_due(self, planned: PlannedCell, repeat: int) -> bool:
        """Whether that repeat is still to be run; a study's precision may be reached before."""
        tried = self.ledger.attempts(planned.cell.id, repeat)
        return not self.ledger.done(planned.cell.id, repeat) and tried <= RETRIES

    def run(self) -> Tally:
        """Every trial that is not finished, repeat by repeat over all cells."""
        try:
            for planned, repeat in self._schedule():
                trial, raw = self._trial(planned, repeat)
                self._store.add(trial, raw)
                self.ledger.add(trial)
                self.tally.add(trial)
                self.watch("trial", trial)
        finally:
            end_marked(self._recorder.token)
        return self.tally

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

    def _schedule(self) -> Iterator[tuple[PlannedCell, int]]:
        """What is to be run. Repeats go round over the cells, so that a slow drift of the
        machine meets all of them alike; asked anew each round, since precision may be reached."""
        settings = self._plan.settings
        most = most_repeats(settings)
        for repeat in range(most):
            for planned in self._plan.cells:
                if self.ledger.done(planned.cell.id, repeat):
                    self.tally.kept += 1
                elif self.ledger.attempts(planned.cell.id, repeat) > RETRIES:
                    self.tally.given_up += 1
                elif not self._precise(planned):
                    yield planned, repeat

    def _precise(self, planned: PlannedCell) -> bool:
        """Whether the cell needs no more repeats for the study's precision."""
        rule, values = self._stopping, self.ledger.values(planned.cell.id)
        if rule is None or not values:
            return False
        most = max(rule.max_repeats, len(values))
        return decide(values, precision=rule.precision, max_repeats=most).stop

    def _trial(self, planned: PlannedCell, repeat: int) -> tuple[Trial, Raw]:
        started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        spans: list[Span] = []
        results: list[Result] = []
        failure: str | None = None
        last_lines: tuple[str, ...] = ()
        recording: Recording | None = None

        def hear(message: Message) -> None:
            if isinstance(message, SpanDone):
                spans.append(_believable(message.span, spans))
            elif isinstance(message, Result):
                results.append(message)
            elif isinstance(message, Progress):
                self.watch("turn", Turn(planned, repeat, message.stage, self._expect(message)))

        try:
            self._recorder.begin()
            spans.append(self._idle(planned, repeat))
            process.run(
                self._job(planned),
                self._recorder.channel(),
                hear,
                started=self._recorder.watch,
                timeout_s=self._plan.settings.timeout_s,
                token=self._recorder.token,
                environment=self._worker_environment,
            )
        except TrialError as error:
            failure, last_lines = str(error), error.lines
        except RecorderError as error:
            failure = str(error)
        else:
            failure = None if results else "the worker ended without a result"
        try:
            recording = self._recorder.take()
        except RecorderError:
            # Its marks failed too, which ended the worker: the meters are to blame, not the model.
            failure = None
            self._recorder.restart()
        trial = make(
            planned,
            uid=uuid.uuid4().hex,
            study=self._plan.name,
            repeat=repeat,
            started=started,
            protocol=self._plan.protocol_of(planned),
            environment=self.environment,
            recording=recording,
            spans=spans,
            result=results[0] if results else None,
            failure=failure,
            stopping=self._stopping,
            round=self._rounds.get(planned.cell.id, 0),
            last_lines=last_lines,
        )
        durations = results[0].durations_ns if results else ()
        return trial, Raw(recording=recording, spans=tuple(spans), durations_ns=durations)

    def _idle(self, planned: PlannedCell, repeat: int) -> Span:
        """The baseline: the machine left alone, just before the trial."""
        idle_s = self._plan.protocol.idle_s
        self.watch("turn", Turn(planned, repeat, "idle", idle_s))
        self._recorder.mark()
        t0_ns = time.monotonic_ns()
        time.sleep(idle_s)
        t1_ns = time.monotonic_ns()
        self._recorder.mark()
        return Span(name="idle", t0_ns=t0_ns, t1_ns=t1_ns)

    def _job(self, planned: PlannedCell) -> Job:
        return Job(
            task=planned.cell.task,
            model=planned.model,
            dataset=planned.dataset,
            protocol=self._plan.protocol_of(planned),
            least_query_s=self._least_query_s,
            network=planned.network,
            memory_gib=self._plan.settings.memory_gib,
        )

    def _expect(self, progress: Progress) -> float | None:
        if progress.per_inference_s is None:
            return None
        at_least = progress.per_inference_s * self._plan.protocol.inferences
        return max(at_least, self._least_query_s)


def _believable(span: Span, before: Sequence[Span]) -> Span:
    """A worker runs foreign code: its words are checked before they become figures.

    Raises:
        ValueError: no worker of ours says this.
    """
    known = ("load", "warmup", "query")
    if span.name not in known or any(b.name == span.name for b in before):
        raise ValueError(f"a span {span.name[:50]!r}")
    if not before[-1].t1_ns <= span.t0_ns <= span.t1_ns <= time.monotonic_ns():
        raise ValueError(f"the span {span.name} at an impossible time")
    return span
