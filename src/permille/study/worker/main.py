"""The worker: it loads one model, runs it, and reports when. It knows nothing about energy.

The runner starts one fresh process per trial, as ``python -P -m permille.study.worker.main OUT MARK
RUNNER`` (two descriptors and a process id) with the job on standard input. An exception
here comes from the model: it ends the process, and the runner stores it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, BinaryIO

import msgspec

from permille import plugins
from permille.analysis.steady import is_steady
from permille.errors import ModelError, OverloadError
from permille.leaving import leave
from permille.recorder.marker import Marker
from permille.records.recording import Span
from permille.records.trial import FailureKind
from permille.study.worker.containment import contain
from permille.study.worker.failing import describe
from permille.study.worker.failures import FailureTally, failed_note
from permille.study.worker.messages import Failure, Job, Message, Progress, SpanDone, write
from permille.study.worker.queries import Calls, Timings, counted, query, query_served, warm_up
from permille.study.worker.request_times import answer_times, request_times
from permille.study.worker.scoring import scored
from permille.workload.protocols import Backend, Loaded, Served, Task
from permille.workload.requests import Traffic

LIBRARIES = frozenset({"diffusers", "llama", "onnx", "transformers"})
"""Backends whose code is a library's."""


class Spans:
    """Marks both edges of a span and then reports it."""

    def __init__(self, marker: Marker, say: Callable[[Message], None]) -> None:
        self._marker, self._say = marker, say

    def around(self, name: str, work: Callable[[], Any], **attributes: Any) -> Any:
        """Run ``work`` in a span; returns its result. ``inferences`` is computed from the
        result."""
        # The clock is read between the marks, so that each edge of the span lies between two
        # readings.
        self._marker.mark_start()
        t0_ns = time.monotonic_ns()
        result = work()
        t1_ns = time.monotonic_ns()
        self._marker.mark()
        pauses: tuple[tuple[int, int], ...] = ()
        if isinstance(result, Timings):
            attributes["inferences"] = result.inferences
            pauses = tuple(result.pauses)
            # Of all answers or of none, as under load (_under_load()).
            if result.outputs and not result.failed:
                attributes |= request_times(result.outputs, t0_ns)
            if result.outputs is not None:
                attributes |= answer_times(
                    result.durations_ns, result.outputs, calls_per_pass=len(result.answers)
                )
        self.done(name, t0_ns, t1_ns, pauses, **attributes)
        return result

    def mark(self) -> None:
        """Request a reading of every meter; returns its time."""
        self._marker.mark()

    def done(
        self,
        name: str,
        t0_ns: int,
        t1_ns: int,
        pauses: tuple[tuple[int, int], ...] = (),
        **attributes: Any,
    ) -> None:
        """Report a span whose edges have been marked."""
        span = Span(name=name, t0_ns=t0_ns, t1_ns=t1_ns, attributes=attributes, pauses=pauses)
        self._say(SpanDone(span=span))


class FailureReport:
    """Send the exception that ends the worker. It propagates, so that Python also prints its
    traceback, whose last lines are stored."""

    def __init__(self, out: BinaryIO, job: Job) -> None:
        self._out, self._folder = out, job.model.settings.get("python_path")

    def __enter__(self) -> None:
        """Nothing has failed yet."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            text = describe(error, self._folder)
            failed: FailureKind = "overload" if isinstance(error, OverloadError) else "other"
            write(self._out, Failure(text=text, kind=failed))


def main(out: BinaryIO, marker: Marker, job: Job, notes: Sequence[str] = ()) -> None:
    """Run one trial. ``notes`` are part of its result."""

    def say(message: Message) -> None:
        write(out, message)

    spans = Spans(marker, say)
    task: Task = plugins.load_target(job.task_target)
    backend: Backend = plugins.load_target(job.backend_target)
    say(Progress(stage="load"))
    model: Loaded = spans.around("load", lambda: backend.load(job.model, job.task))
    # Outside of the spans: what it takes to build prompts is not the model's.
    requests = [task.request(sample, job.model, job.dataset) for sample in job.dataset.samples]
    batch_size = job.protocol.batch_size
    calls = Calls(model, requests, batch_size)
    tally = FailureTally(model.infer, job.max_failures, job.protocol.inferences)
    # Not for others: only a request to a server can fail alone, and in the process of the model the
    # tally would be part of each measured call.
    if isinstance(model, Served):
        calls.infer = tally.infer
    notes = list(notes)
    if job.protocol.warmup_max:
        say(Progress(stage="warmup"))
        warm: Timings = spans.around("warmup", lambda: warm_up(calls, job.protocol.warmup_max))
        if not warm.durations_ns:
            raise ModelError(f"no inference of the warm-up succeeded; first: {tally.words()}")
        if not is_steady([d / 1e9 for d in warm.durations_ns]):
            notes.append(
                f"not steady after {warm.inferences} warm-up inferences:"
                " the first inferences of the trial may be slower than the rest"
            )
        typical = sorted(warm.durations_ns)[len(warm.durations_ns) // 2] / 1e9
        say(Progress(stage="query", per_inference_s=typical / batch_size))
    traffic = model.traffic if isinstance(model, Served) else None
    timings: Timings
    if traffic is not None:
        timings = _under_load(spans, job, model, calls, traffic)
    elif isinstance(model, Served):
        timings = spans.around("query", lambda: query_served(calls, job, model))
    else:
        timings = spans.around("query", lambda: query(calls, job))
    if timings.failed:
        notes.append(failed_note(timings.failed, timings.inferences, tally.words()))
    if job.harness is not None and job.scored:
        say(Progress(stage="lm-eval"))
    say(scored(job, task, model, timings, calls, notes))
    model.close()


def _under_load(spans: Spans, job: Job, model: Loaded, calls: Calls, traffic: Traffic) -> Timings:
    """Run concurrent requests; the query span is the steady state."""
    from permille.study.worker.traffic import drive  # only a server's worker needs it

    load = drive(
        calls.infer,
        calls.ask,
        traffic,
        inferences=job.protocol.inferences,
        least_s=job.least_query_s,
        seed=job.protocol.seed,
        mark=spans.mark,
        digest=lambda answer: counted(model.read(answer)),
    )
    complete = not load.failed and not load.failed_around
    # Of all answers or of none: a part of the requests does not explain the span's energy.
    every = [*load.around, *load.outputs] if complete else []
    spans.done(
        "query",
        load.t0_ns,
        load.t1_ns,
        inferences=len(load.durations_ns),
        **request_times(every, load.t0_ns),
        **answer_times(load.durations_ns, load.outputs, calls_per_pass=len(load.answers)),
    )
    timings = Timings()
    timings.durations_ns, timings.inferences = load.durations_ns, len(load.durations_ns)
    timings.lags_ns = load.lags_ns
    timings.answers, timings.outputs, timings.failed = load.answers, load.outputs, load.failed
    return timings


def runs_a_library_alone(job: Job) -> bool:
    """Whether no code of the user's or of a model's is run. Such code may rely on being freed: a
    file that it has left open is written then."""
    return (
        job.model.backend in LIBRARIES
        and not job.model.settings.get("trust_remote_code")
        and job.task_target.startswith("permille.")
        and job.harness is None
    )


if __name__ == "__main__":
    # The model may print anything: messages use a separate descriptor.
    with os.fdopen(int(sys.argv[1]), "wb") as channel:
        job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)
        # Before any plug-in is imported: libraries start threads as they are imported, and a
        # process with a second thread gets no user namespace (unshare(2)).
        notes = contain(network=job.network, memory_gib=job.memory_gib, parent=int(sys.argv[3]))
        with FailureReport(channel, job):
            main(channel, Marker(int(sys.argv[2])), job, notes)
    if runs_a_library_alone(job):
        leave()
