"""The runner: run a plan's trials one at a time, and store each before the next begins."""

from __future__ import annotations

import datetime
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from permille import plugins
from permille.analysis.boundaries import Bounded, within
from permille.analysis.stopping import decide
from permille.balanced import order
from permille.disturbance import disturbed, only_quiet
from permille.errors import RecorderError, TrialError
from permille.processes import end_marked
from permille.recorder.client import Recorder
from permille.records import Environment, Protocol, Recording, Span, Stopping, Trial
from permille.store import REFERENCE_SOURCE, Raw, Store, Tried
from permille.store.rows import protocol_key
from permille.study.plan import stamps
from permille.study.plan.cells import PlannedCell
from permille.study.plan.file import Settings
from permille.study.plan.grid import Plan
from permille.study.run import blocks, evidence, reference
from permille.study.run import supervisor as process
from permille.study.run.blocks import Block
from permille.study.run.elsewhere import judged
from permille.study.run.environment import describe
from permille.study.run.ledger import Ledger
from permille.study.run.reference import reference_cell
from permille.study.run.session_log import SessionLog, state_of
from permille.study.run.trial import keep, least_query_s, make
from permille.study.run.trial_locks import Claims
from permille.study.worker import containment
from permille.study.worker.failing import OURS
from permille.study.worker.messages import Job, Message, Progress, SpanDone, WorkerResult
from permille.workload.protocols import Backend

LINUX = sys.platform == "linux"
GPU_NODES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dri", "/dev/dxg", "/dev/nvhost-gpu")
"""Device files of which Linux has one where it has a GPU."""
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
class Turn:
    """Where the run is: repeat ``repeat`` of ``cell``, in ``stage``."""

    cell: PlannedCell
    repeat: int
    stage: str
    expected_s: float | None = None


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
        watch: Watch = lambda what, seen: None,
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
        # The reference uses no device: the slow counters of those need not be waited for.
        self._least_reference_s = least_query_s(
            domain for domain in recorder.domains if domain.kind in ("cpu", "dram")
        )
        settings = plan.settings
        self._stopping = (
            Stopping(precision=settings.precision, max_repeats=settings.max_repeats)
            if settings.precision
            else None
        )
        self.environment: Environment = describe(recorder.domains)
        self._pool = pool
        self._quiet = quiet
        self._worker_environment = containment.environment(os.environ, pass_env)
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
            place = self._sessions.place()
            began_s = time.monotonic()
            trial, raw = self._trial(planned, repeat, self._plan.protocol_of(planned))
            trial = msgspec.structs.replace(trial, session=place.session, block=place.block)
            trial = keep(self._store, trial, raw)
            self._since_reference_s += time.monotonic() - began_s
            self.ledger.add(trial)
            self.tally.add(trial)
            self.watch("trial", trial)
            self._sessions.ended(place)

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
        machine meets all of them alike; asked anew each round, since precision may be reached."""
        seed = self._plan.settings.seed
        for repeat in repeats:
            for (task, dataset), cells in blocks.groups(self._plan.cells).items():
                ordered = order(len(cells), repeat, f"{seed}/{task}/{dataset}")
                due = tuple(cells[i] for i in ordered if self._to_make(cells[i], repeat))
                if due:
                    yield Block(task, dataset, repeat, due)

    def _to_make(self, planned: PlannedCell, repeat: int) -> bool:
        """Whether a repeat is to be made; what is left out is counted and said."""
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
        planned, place = reference_cell(), self._sessions.place()
        trial, raw = self._trial(planned, place.block, reference.PROTOCOL)
        trial = msgspec.structs.replace(
            trial,
            source=REFERENCE_SOURCE,
            session=place.session,
            block=place.block,
            stopping=None,
        )
        self.tally.add_cost(keep(self._store, trial, raw))
        self._since_reference_s = 0.0
        self._sessions.ended(place)

    def _trial(self, planned: PlannedCell, repeat: int, protocol: Protocol) -> tuple[Trial, Raw]:
        started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        spans: list[Span] = []
        results: list[WorkerResult] = []
        failure: str | None = None
        last_lines: tuple[str, ...] = ()
        recording: Recording | None = None
        same_again = True
        fault: str | None = None

        def hear(message: Message) -> None:
            if results:
                raise ValueError("a message after the result")
            if isinstance(message, SpanDone):
                spans.append(_believable(message.span, spans))
            elif isinstance(message, WorkerResult):
                results.append(message)
            elif isinstance(message, Progress):
                expected_s = self._expect(message, protocol)
                self.watch("turn", Turn(planned, repeat, message.stage, expected_s))

        try:
            self._recorder.begin()
            spans.append(self._idle(planned, repeat, protocol.idle_s))
            stamps.check(planned.stamps)
            began_ns = time.monotonic_ns()
            process.run(
                self._job(planned, protocol),
                self._recorder.channel(),
                hear,
                started=self._recorder.watch,
                timeout_s=self._plan.settings.timeout_s,
                token=self._recorder.token,
                environment=self._worker_environment,
            )
        except TrialError as error:
            failure, last_lines, same_again = str(error), error.lines, not error.by_signal
            fault = _recorders(error)
        except RecorderError as error:
            fault = str(error)
        else:
            failure = None if results else "the worker ended without a result"
        try:
            recording = self._recorder.take()
        except RecorderError as error:
            fault = str(error)
        if fault is not None:
            # The meters are to blame, not the model, whatever became of the worker.
            failure = None
            self._recorder.restart()
        notes: list[str] = []
        if failure is None and recording is not None:
            assignment = self._assignment(planned, protocol, began_ns, recording)
            contradiction = evidence.contradiction(assignment, spans[1:], results[0], recording)
            if contradiction is not None:
                failure = f"what the worker reported cannot be so: {contradiction}"
                results.clear()
            elif (note := evidence.unseen_gpu(results[0], recording)) is not None:
                notes.append(note)
        self._note_failure(planned, failure if same_again else None)
        trial = make(
            planned,
            uid=uuid.uuid4().hex,
            study=self._plan.name,
            repeat=repeat,
            started=started,
            protocol=protocol,
            environment=self.environment,
            recording=judged(recording, planned),
            spans=spans,
            result=results[0] if results else None,
            failure=failure,
            fault=fault,
            stopping=self._stopping,
            round=self._rounds.get(planned.cell.id, 0),
            last_lines=last_lines,
            notes=notes,
        )
        if self._quiet:
            trial = only_quiet(trial)
        durations = results[0].durations_ns if results else ()
        return trial, Raw(recording=recording, spans=tuple(spans), durations_ns=durations)

    def _idle(self, planned: PlannedCell, repeat: int, idle_s: float) -> Span:
        """The baseline: the machine left alone, just before the trial."""
        self.watch("turn", Turn(planned, repeat, "idle", idle_s))
        self._recorder.mark()
        t0_ns = time.monotonic_ns()
        time.sleep(idle_s)
        t1_ns = time.monotonic_ns()
        self._recorder.mark()
        return Span(name="idle", t0_ns=t0_ns, t1_ns=t1_ns)

    def _job(self, planned: PlannedCell, protocol: Protocol) -> Job:
        return Job(
            task=planned.cell.task,
            task_target=plugins.target("tasks", planned.cell.task),
            backend_target=plugins.target("backends", planned.model.backend),
            model=planned.model,
            dataset=planned.dataset,
            protocol=protocol,
            least_query_s=self._least_s(protocol),
            network=planned.network,
            memory_gib=self._plan.settings.memory_gib,
            max_failures=self._plan.settings.max_failures,
        )

    def _assignment(
        self, planned: PlannedCell, protocol: Protocol, began_ns: int, recording: Recording
    ) -> evidence.Assignment:
        backend: Backend = plugins.load("backends", planned.model.backend)
        gpu_metered = any(series.domain.kind == "gpu" for series in recording.series)
        return evidence.Assignment(
            began_ns=began_ns,
            samples=len(planned.dataset.samples),
            batch_size=planned.batch_size,
            inferences=protocol.inferences,
            least_query_s=self._least_s(protocol),
            served="concurrency" in backend.settings.__struct_fields__,
            has_gpu=gpu_metered or any(map(os.path.exists, GPU_NODES)) or not LINUX,
        )

    def _least_s(self, protocol: Protocol) -> float:
        """Seconds that a query span lasts at least, for the meters to carry its energy."""
        is_reference = protocol.name == reference.PROTOCOL.name
        return self._least_reference_s if is_reference else self._least_query_s

    def _expect(self, progress: Progress, protocol: Protocol) -> float | None:
        if progress.per_inference_s is None:
            return None
        at_least = progress.per_inference_s * protocol.inferences
        return max(at_least, self._least_s(protocol))


def _shape(reason: str) -> str:
    """A reason without its numbers, because addresses, counts and times differ between trials."""
    return re.sub(r"0x[0-9a-f]+|[0-9.]+", "#", reason)


def _recorders(error: TrialError) -> str | None:
    """What a worker says of the recorder that gave it no answer; None if it failed by itself."""
    if not error.lines or not error.lines[-1].startswith(f"{OURS}RecorderError"):
        return None
    return "the recorder did not answer the worker: a meter may block; see: permille meters"


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
