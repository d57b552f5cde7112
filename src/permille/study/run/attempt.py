"""One attempt at a trial: the idle baseline, the worker, and what the two reported as a trial."""

from __future__ import annotations

import datetime
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from permille import plugins
from permille.energy.disturbance import only_quiet
from permille.errors import RecorderError, TrialError
from permille.processes import WORKER
from permille.records.machine import Environment
from permille.records.recording import Recording, Span
from permille.records.trial import FailureKind, Protocol, ServerUse, Stopping, Trial
from permille.store import Raw
from permille.study.plan import stamps
from permille.study.plan.cells import PlannedCell
from permille.study.plan.grid import Plan
from permille.study.run import evidence
from permille.study.run import supervisor as process
from permille.study.run.elsewhere import TrialRecorder, judged
from permille.study.run.servers import SHARED, SharedServers, client_of
from permille.study.run.session_log import Position
from permille.study.run.trial import make
from permille.study.worker.failing import OURS
from permille.study.worker.messages import (
    Job,
    Message,
    Pausing,
    Progress,
    SpanDone,
    WorkerResult,
)
from permille.workload.protocols import Backend

LINUX = sys.platform == "linux"
# WSL 2 has its GPU as /dev/dxg, and NVIDIA's Jetson boards have theirs as /dev/nvhost-gpu.
GPU_NODES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dri", "/dev/dxg", "/dev/nvhost-gpu")
"""Device files of which Linux has one where it has a GPU."""


@dataclass(frozen=True)
class Turn:
    """Where the run is: repeat ``repeat`` of ``cell``, in ``stage``."""

    cell: PlannedCell
    repeat: int
    stage: str
    expected_s: float | None = None


@dataclass(frozen=True)
class Bench:
    """What the attempts of a run have in common."""

    plan: Plan
    recorder: TrialRecorder
    environment: Environment
    worker_environment: Mapping[str, str]
    stopping: Stopping | None
    quiet: bool
    watch: Callable[[Turn], None]
    servers: SharedServers
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assigned:
    """What an attempt is of: a repeat of a cell under a protocol, where it stands among sessions
    and blocks; the seconds that its query lasts at least, for the meters to carry its energy; and
    its pauses, if a sensor needs them. ``beside_server``: a server that is up may stay."""

    planned: PlannedCell
    protocol: Protocol
    repeat: int
    round: int
    position: Position
    least_query_s: float
    pausing: Pausing | None = None
    beside_server: bool = False


@dataclass
class Attempt:
    """A trial being made. ``failure`` is the workload's fault, ``fault`` the meters'.

    ``same_again`` is false where the failure says nothing of the next attempt: a signal may have
    come from anywhere.
    """

    bench: Bench
    assigned: Assigned
    spans: list[Span] = field(default_factory=list)
    results: list[WorkerResult] = field(default_factory=list)
    failure: str | None = None
    failure_kind: FailureKind = "other"
    fault: str | None = None
    last_lines: tuple[str, ...] = ()
    same_again: bool = True
    began_ns: int = 0
    server: ServerUse | None = None

    def make(self) -> tuple[Trial, Raw]:
        """Run it; the trial, whatever became of it, and what it was computed from."""
        started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._work()
        self._check_server()
        recording = self._recording()
        notes = self._doubts(recording)
        if self.server is not None:
            notes.append(SHARED)
        bench, assigned = self.bench, self.assigned
        trial = make(
            assigned.planned,
            uid=uuid.uuid4().hex,
            study=bench.plan.name,
            repeat=assigned.repeat,
            started=started,
            protocol=assigned.protocol,
            environment=bench.environment,
            recording=judged(recording, assigned.planned),
            spans=self.spans,
            result=self.results[0] if self.results else None,
            failure=self.failure,
            failure_kind=self.failure_kind,
            fault=self.fault,
            stopping=bench.stopping,
            round=assigned.round,
            last_lines=self.last_lines,
            notes=[*notes, *bench.notes],
        )
        session, block, machine = assigned.position
        trial = msgspec.structs.replace(
            trial,
            session=session,
            block=block,
            machine=machine,
            rerun_precision=bench.plan.settings.rerun_precision,
            server=self.server,
        )
        durations = self.results[0].durations_ns if self.results else ()
        raw = Raw(recording=recording, spans=tuple(self.spans), durations_ns=durations)
        return only_quiet(trial) if bench.quiet else trial, raw

    def _work(self) -> None:
        """The idle baseline and the worker's life."""
        bench = self.bench
        try:
            bench.recorder.begin()
            self._use_server()
            self.spans.append(self._idle())
            # As late as possible: a file that is edited during the baseline is noticed, too.
            stamps.check(self.assigned.planned.stamps)
            # After the baseline, whose marks prove nothing about the spans of the worker
            # (evidence.py).
            self.began_ns = time.monotonic_ns()
            process.run(
                self._job(),
                bench.recorder.channel(),
                self._hear,
                started=bench.recorder.watch,
                timeout_s=bench.plan.settings.timeout_s,
                token=bench.recorder.token + WORKER,
                environment=bench.worker_environment,
            )
        except TrialError as error:
            self.failure, self.last_lines = str(error), error.lines
            self.failure_kind = error.kind
            self.same_again = not error.by_signal
            self.fault = _recorders(error)
        except RecorderError as error:
            self.fault = str(error)
        else:
            self.failure = None if self.results else "the worker ended without a result"

    def _use_server(self) -> None:
        """Have the server ready that the cell shares with others. The recording begins after its
        start, whose energy belongs to no cell."""
        bench, planned = self.bench, self.assigned.planned
        if self.assigned.beside_server:
            return
        if planned.server_key is not None and not bench.servers.is_up_for(planned):
            self._turn("server start", None)
        self.server = bench.servers.use(planned)
        if self.server is not None and bench.servers.pid is not None:
            bench.recorder.begin()
            # Or the server's CPU time would count as that of other processes, and as a disturbance.
            bench.recorder.watch(bench.servers.pid)

    def _check_server(self) -> None:
        """Say that the shared server ended, if it did, and never use it again after a failure: it
        may still answer requests that the worker abandoned."""
        if self.server is None or not (self.failure or self.fault):
            return
        ended = self.bench.servers.ended()
        if ended is not None and self.failure is not None:
            self.failure = f"{self.failure}; {ended}"
        self.bench.servers.stop()

    def _recording(self) -> Recording | None:
        recording = None
        try:
            recording = self.bench.recorder.take()
        except RecorderError as error:
            self.fault = str(error)
        if self.fault is not None:
            # The meters are to blame, not the model, whatever became of the worker.
            self.failure = None
            self.bench.recorder.restart()
        return recording

    def _doubts(self, recording: Recording | None) -> list[str]:
        """Check the worker's report against the recording; notes on oddities."""
        if self.failure is not None or recording is None:
            return []
        result = self.results[0] if self.results else None
        if result is None:
            return []
        # The first span is the idle baseline, which this process reports itself.
        contradiction = evidence.contradiction(
            self._assignment(recording), self.spans[1:], result, recording
        )
        if contradiction is not None:
            self.failure = f"what the worker reported cannot be so: {contradiction}"
            # A forged result must leave neither latencies nor a quality in the failed trial.
            self.results.clear()
            return []
        note = evidence.unseen_gpu(result, recording)
        return [] if note is None else [note]

    def _hear(self, message: Message) -> None:
        # Otherwise the model's code could add spans to a finished trial, or replace its result.
        if self.results:
            raise ValueError("a message after the result")
        if isinstance(message, SpanDone):
            self.spans.append(_believable(message.span, self.spans))
        elif isinstance(message, WorkerResult):
            self.results.append(message)
        elif isinstance(message, Progress):
            self._turn(message.stage, self._expect(message))

    def _turn(self, stage: str, expected_s: float | None) -> None:
        assigned = self.assigned
        self.bench.watch(Turn(assigned.planned, assigned.repeat, stage, expected_s))

    def _idle(self) -> Span:
        """The baseline: the machine left alone, just before the trial."""
        recorder, idle_s = self.bench.recorder, self.assigned.protocol.idle_s
        self._turn("idle", idle_s)
        # The clock is read between the marks: both edges then lie between readings of the meters.
        recorder.mark()
        t0_ns = time.monotonic_ns()
        time.sleep(idle_s)
        t1_ns = time.monotonic_ns()
        recorder.mark()
        return Span(name="idle", t0_ns=t0_ns, t1_ns=t1_ns)

    def _job(self) -> Job:
        settings, planned = self.bench.plan.settings, self.assigned.planned
        return Job(
            task=planned.cell.task,
            # By address, so that the worker does not search all entry points in each trial.
            task_target=plugins.target("tasks", planned.cell.task),
            backend_target=plugins.target("backends", planned.model.backend),
            model=client_of(planned),
            dataset=planned.dataset,
            protocol=self.assigned.protocol,
            least_query_s=self.assigned.least_query_s,
            network=planned.network,
            memory_gib=settings.memory_gib,
            max_failures=settings.max_failures,
            pausing=self.assigned.pausing,
            harness=planned.harness,
            # The same weights have the same score: the first repeat has it for all.
            scored=planned.harness is None or self.assigned.repeat == 0,
        )

    def _assignment(self, recording: Recording) -> evidence.Assignment:
        planned = self.assigned.planned
        backend: Backend = plugins.load("backends", planned.model.backend)
        samples = len(planned.dataset.samples)
        gpu_metered = any(series.domain.kind == "gpu" for series in recording.series)
        return evidence.Assignment(
            began_ns=self.began_ns,
            samples=samples,
            batch_size=planned.batch_size,
            inferences=self.assigned.protocol.inferences,
            least_query_s=self.assigned.least_query_s,
            served="concurrency" in backend.settings.__struct_fields__,
            # Other systems have no such files: there, a worker is believed.
            has_gpu=gpu_metered or any(map(os.path.exists, GPU_NODES)) or not LINUX,
            most_scored=samples if planned.harness is None else planned.harness.limit,
            most_at_once=evidence.most_at_once(planned.model.settings),
        )

    def _expect(self, progress: Progress) -> float | None:
        if progress.per_inference_s is None:
            return None
        at_least = progress.per_inference_s * self.assigned.protocol.inferences
        return max(at_least, self.assigned.least_query_s)


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
    edges = [span.t0_ns, *(t_ns for pause in span.pauses for t_ns in pause), span.t1_ns]
    if any(later < earlier for earlier, later in pairwise(edges)):
        raise ValueError(f"pauses of the span {span.name} out of order or outside of it")
    if span.pauses and span.t0_ns == span.t1_ns:  # they are noted as a share of its time
        raise ValueError(f"pauses of the span {span.name}, which takes no time")
    return span
