"""One attempt at a trial: the idle baseline, the worker, and what the two reported as a trial."""

from __future__ import annotations

import datetime
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from permille import plugins
from permille.disturbance import only_quiet
from permille.errors import RecorderError, TrialError
from permille.recorder.client import Recorder
from permille.records import Conditions, Environment, Recording, Span, Stopping, Trial
from permille.store import Raw
from permille.study.plan import stamps
from permille.study.plan.cells import PlannedCell
from permille.study.plan.grid import Plan
from permille.study.run import conditions, evidence
from permille.study.run import supervisor as process
from permille.study.run.elsewhere import judged
from permille.study.run.trial import make
from permille.study.worker.failing import OURS
from permille.study.worker.messages import Job, Message, Progress, SpanDone, WorkerResult
from permille.workload.protocols import Backend

LINUX = sys.platform == "linux"
GPU_NODES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dri", "/dev/dxg", "/dev/nvhost-gpu")
"""Device files of which at least one exists on a Linux machine with a GPU."""


@dataclass(frozen=True)
class Turn:
    """The run's progress: repeat ``repeat`` of ``cell``, in ``stage``."""

    cell: PlannedCell
    repeat: int
    stage: str
    expected_s: float | None = None


@dataclass(frozen=True)
class Bench:
    """Everything that the attempts of a run share."""

    plan: Plan
    recorder: Recorder
    environment: Environment
    worker_environment: Mapping[str, str]
    least_query_s: float
    stopping: Stopping | None
    quiet: bool
    watch: Callable[[Turn], None]

    def only_quiet(self, trial: Trial) -> Trial:
        """The trial; invalid if a quiet machine is required and this one was not."""
        return only_quiet(trial) if self.quiet else trial


@dataclass(frozen=True)
class TrialPlace:
    """The position of an attempt in the run: its repeat, round, session and block, and the state of
    the machine at its start."""

    repeat: int
    round: int
    session: str
    block: int
    conditions: Conditions


@dataclass
class Attempt:
    """A trial in progress. ``failure`` is an error of the workload, ``fault`` one of the meters.

    ``same_again`` is false if the failure says nothing about the next attempt, because a signal may
    come from anywhere.
    """

    bench: Bench
    planned: PlannedCell
    place: TrialPlace
    spans: list[Span] = field(default_factory=list)
    results: list[WorkerResult] = field(default_factory=list)
    failure: str | None = None
    fault: str | None = None
    last_lines: tuple[str, ...] = ()
    same_again: bool = True
    began_ns: int = 0

    def make(self) -> tuple[Trial, Raw]:
        """Run it; returns the trial, of any status, and its raw data."""
        started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._work()
        recording = self._recording()
        notes = self._doubts(recording)
        bench, place = self.bench, self.place
        trial = make(
            self.planned,
            uid=uuid.uuid4().hex,
            study=bench.plan.name,
            repeat=place.repeat,
            started=started,
            protocol=bench.plan.protocol_of(self.planned),
            environment=bench.environment,
            recording=judged(recording, self.planned),
            spans=self.spans,
            result=self.results[0] if self.results else None,
            failure=self.failure,
            fault=self.fault,
            stopping=bench.stopping,
            round=place.round,
            last_lines=self.last_lines,
            notes=notes,
        )
        now = msgspec.structs.replace(
            place.conditions, temperature_end_c=conditions.temperature_c()
        )
        trial = msgspec.structs.replace(
            trial, session=place.session, block=place.block, conditions=now
        )
        durations = self.results[0].durations_ns if self.results else ()
        raw = Raw(recording=recording, spans=tuple(self.spans), durations_ns=durations)
        return bench.only_quiet(trial), raw

    def _work(self) -> None:
        """The idle baseline and the worker's life."""
        bench = self.bench
        try:
            bench.recorder.begin()
            self.spans.append(self._idle())
            stamps.check(self.planned.stamps)
            self.began_ns = time.monotonic_ns()
            process.run(
                self._job(),
                bench.recorder.channel(),
                self._hear,
                started=bench.recorder.watch,
                timeout_s=bench.plan.settings.timeout_s,
                token=bench.recorder.token,
                environment=dict(bench.worker_environment),
            )
        except TrialError as error:
            self.failure, self.last_lines = str(error), error.lines
            self.same_again = not error.by_signal
            self.fault = _recorders(error)
        except RecorderError as error:
            self.fault = str(error)
        else:
            self.failure = None if self.results else "the worker ended without a result"

    def _recording(self) -> Recording | None:
        recording = None
        try:
            recording = self.bench.recorder.take()
        except RecorderError as error:
            self.fault = str(error)
        if self.fault is not None:
            # The meters have failed, not the model, whatever happened to the worker.
            self.failure = None
            self.bench.recorder.restart()
        return recording

    def _doubts(self, recording: Recording | None) -> list[str]:
        """Check the worker's report against the observations; returns notes on anything unusual."""
        if self.failure is not None or recording is None:
            return []
        result = self.results[0] if self.results else None
        if result is None:
            return []
        contradiction = evidence.contradiction(
            self._assignment(recording), self.spans[1:], result, recording
        )
        if contradiction is not None:
            self.failure = f"the worker's report is contradictory: {contradiction}"
            self.results.clear()
            return []
        note = evidence.unseen_gpu(result, recording)
        return [] if note is None else [note]

    def _hear(self, message: Message) -> None:
        if self.results:
            raise ValueError("a message after the result")
        if isinstance(message, SpanDone):
            self.spans.append(_believable(message.span, self.spans))
        elif isinstance(message, WorkerResult):
            self.results.append(message)
        elif isinstance(message, Progress):
            self._turn(message.stage, self._expect(message))

    def _turn(self, stage: str, expected_s: float | None) -> None:
        self.bench.watch(Turn(self.planned, self.place.repeat, stage, expected_s))

    def _idle(self) -> Span:
        """Record the baseline: the idle machine just before the trial."""
        recorder, idle_s = self.bench.recorder, self.bench.plan.protocol.idle_s
        self._turn("idle", idle_s)
        recorder.mark()
        t0_ns = time.monotonic_ns()
        time.sleep(idle_s)
        t1_ns = time.monotonic_ns()
        recorder.mark()
        return Span(name="idle", t0_ns=t0_ns, t1_ns=t1_ns)

    def _job(self) -> Job:
        bench, planned = self.bench, self.planned
        return Job(
            task=planned.cell.task,
            task_target=plugins.target("tasks", planned.cell.task),
            backend_target=plugins.target("backends", planned.model.backend),
            model=planned.model,
            dataset=planned.dataset,
            protocol=bench.plan.protocol_of(planned),
            least_query_s=bench.least_query_s,
            network=planned.network,
            memory_gib=bench.plan.settings.memory_gib,
            max_failures=bench.plan.settings.max_failures,
        )

    def _assignment(self, recording: Recording) -> evidence.Assignment:
        bench, planned = self.bench, self.planned
        backend: Backend = plugins.load("backends", planned.model.backend)
        gpu_metered = any(series.domain.kind == "gpu" for series in recording.series)
        return evidence.Assignment(
            began_ns=self.began_ns,
            samples=len(planned.dataset.samples),
            batch_size=planned.batch_size,
            inferences=bench.plan.protocol.inferences,
            least_query_s=bench.least_query_s,
            served="concurrency" in backend.settings.__struct_fields__,
            has_gpu=gpu_metered or any(map(os.path.exists, GPU_NODES)) or not LINUX,
        )

    def _expect(self, progress: Progress) -> float | None:
        if progress.per_inference_s is None:
            return None
        bench = self.bench
        at_least = progress.per_inference_s * bench.plan.protocol.inferences
        return max(at_least, bench.least_query_s)


def _recorders(error: TrialError) -> str | None:
    """The reason if the recorder did not answer the worker; None if the worker itself failed."""
    if not error.lines or not error.lines[-1].startswith(f"{OURS}RecorderError"):
        return None
    return "the recorder did not answer the worker: a meter may block; see: permille meters"


def _believable(span: Span, before: Sequence[Span]) -> Span:
    """Check a worker's message before it becomes a figure, because a worker runs untrusted code.

    Raises:
        ValueError: the message is invalid.
    """
    known = ("load", "warmup", "query")
    if span.name not in known or any(b.name == span.name for b in before):
        raise ValueError(f"a span {span.name[:50]!r}")
    if not before[-1].t1_ns <= span.t0_ns <= span.t1_ns <= time.monotonic_ns():
        raise ValueError(f"the span {span.name} at an impossible time")
    return span
