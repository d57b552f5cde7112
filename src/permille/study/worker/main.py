"""The worker: it loads one model, runs it, and reports when. It knows nothing about energy.

The runner starts one fresh process per trial, as ``python -P -m permille.study.worker.main OUT MARK
RUNNER`` (two descriptors and a process id) with the job on standard input. An exception
here comes from the model: it ends the process, and the runner stores it.
"""

from __future__ import annotations

import math
import os
import sys
import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, BinaryIO

import msgspec

from permille import plugins
from permille.analysis.steady import is_steady, steady_start
from permille.errors import ModelError
from permille.recorder.marker import Marker
from permille.records import Latency, Span
from permille.study.worker.containment import contain
from permille.study.worker.failing import describe
from permille.study.worker.failures import FAILED, FailureTally, answered, failed_note
from permille.study.worker.messages import (
    KEPT_DURATIONS,
    MOST_NOTES,
    NOTE_LIMIT,
    Failure,
    Job,
    Message,
    Progress,
    SpanDone,
    WorkerResult,
    write,
)
from permille.study.worker.pauses import OnePass, PausedPass
from permille.study.worker.request_times import request_times
from permille.workload.outputs import Output
from permille.workload.protocols import Backend, Batched, Loaded, Served, Task
from permille.workload.requests import Traffic

WARMUP_S = 30.0
"""Warm-up ends after this time even if it is not steady, which the trial then notes."""
SUMMED_OF, STEADY_OF = 20_000, 5_000
"""The most durations of the query span, spread evenly, used for the percentiles and for the test of
steadiness. Using all of them would take a third of a short trial."""


class Spans:
    """Marks both edges of a span and then reports it."""

    def __init__(self, marker: Marker, say: Callable[[Message], None]) -> None:
        self._marker, self._say = marker, say

    def around(self, name: str, work: Callable[[], Any], **attributes: Any) -> Any:
        """Run ``work`` in a span; returns its result. ``inferences`` is computed from the
        result."""
        self._marker.mark_start()
        t0_ns = time.monotonic_ns()
        result = work()
        t1_ns = time.monotonic_ns()
        self._marker.mark()
        pauses: tuple[tuple[int, int], ...] = ()
        if isinstance(result, Timings):
            attributes["inferences"] = result.inferences
            pauses = tuple(result.pauses)
            if result.outputs and not result.failed:
                attributes |= request_times(result.outputs, t0_ns)
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


class Timings:
    """One duration per call (ns), the total number of inferences, and each request's first answer.
    For a server also ``outputs``, the counts of each inference, and the number that ``failed``,
    which nothing else here includes. ``pauses``: between calls, from when to when (ns)."""

    def __init__(self) -> None:
        self.pauses: list[tuple[int, int]] = []
        self.durations_ns = array("q")
        self.inferences = 0
        self.answers: list[Any] = []
        self.outputs: list[Output] | None = None
        self.failed = 0


class Calls:
    """The arguments of the model's calls, used repeatedly: single requests, or batches.

    Raises:
        ModelError: the study sets a batch size, but the model does not support batches.
    """

    def __init__(self, model: Loaded, requests: Sequence[Any], batch_size: int) -> None:
        self.inferences = len(requests)
        self.batched = batch_size > 1
        self.ask: Sequence[Any] = requests
        self.infer: Callable[[Any], Any] = model.infer
        self._read: Callable[[Any], Sequence[Output]] = lambda raw: (model.read(raw),)
        if self.batched:
            if not isinstance(model, Batched):
                raise ModelError(f"this model takes one sample at a time, not {batch_size}")
            steps = range(0, len(requests), batch_size)
            self.ask = [tuple(requests[i : i + batch_size]) for i in steps]
            self.infer, self._read = model.infer_batch, model.read_batch

    def read(self, answers: Sequence[Any]) -> list[Output]:
        """One output per request of one pass."""
        return [output for answer in answers for output in self._read(answer)]


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
            write(self._out, Failure(text=describe(error, self._folder)))


def main(out: BinaryIO, marker: Marker, job: Job, notes: Sequence[str] = ()) -> None:
    """Run one trial. ``notes`` are part of its result."""

    def say(message: Message) -> None:
        write(out, message)

    spans = Spans(marker, say)
    task: Task = plugins.load_target(job.task_target)
    backend: Backend = plugins.load_target(job.backend_target)
    say(Progress(stage="load"))
    model: Loaded = spans.around("load", lambda: backend.load(job.model, job.task))
    requests = [task.request(sample, job.model, job.dataset) for sample in job.dataset.samples]
    batch_size = job.protocol.batch_size
    calls = Calls(model, requests, batch_size)
    tally = FailureTally(model.infer, job.max_failures, job.protocol.inferences)
    if isinstance(model, Served):
        calls.infer = tally.infer
    notes = list(notes)
    if job.protocol.warmup_max:
        say(Progress(stage="warmup"))
        warm: Timings = spans.around("warmup", lambda: _warm_up(calls, job.protocol.warmup_max))
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
        timings = spans.around("query", lambda: _query_served(calls, job, model))
    else:
        timings = spans.around("query", lambda: _query(calls, job))
    tally.check()
    if timings.failed:
        notes.append(failed_note(timings.failed, timings.inferences, tally.words()))
    say(_result(job, task, model, timings, calls, notes))
    model.close()


def _warm_up(calls: Calls, most: int) -> Timings:
    """Run until the durations are steady, or at most ``most`` calls."""
    timings = Timings()
    durations = timings.durations_ns
    began = time.monotonic()
    while len(durations) < most and time.monotonic() - began < WARMUP_S:
        request = calls.ask[len(durations) % len(calls.ask)]
        t0 = time.monotonic_ns()
        if calls.infer(request) is FAILED:
            continue
        durations.append(time.monotonic_ns() - t0)
        timings.inferences += len(request) if calls.batched else 1
        if len(durations) % 10 == 0 and is_steady([d / 1e9 for d in durations]):
            break
    return timings


def _pass_of(job: Job, timings: Timings) -> OnePass:
    """How one pass is run: without a rest, or with pauses, which ``timings`` then has."""
    if job.pausing is None:
        return one_pass
    paused = PausedPass(job.pausing, job.protocol.seed, one_pass)
    timings.pauses = paused.pauses
    return paused


def _query(calls: Calls, job: Job) -> Timings:
    """Run whole passes over the requests, until there are enough inferences and seconds."""
    timings = Timings()
    run_pass = _pass_of(job, timings)
    inferences, least_s = job.protocol.inferences, job.least_query_s
    began = time.monotonic()
    run_pass(calls.infer, calls.ask, timings.durations_ns, timings.answers)
    timings.inferences += calls.inferences
    unread: list[Any] = []
    while timings.inferences < inferences or time.monotonic() - began < least_s:
        run_pass(calls.infer, calls.ask, timings.durations_ns, unread)
        timings.inferences += calls.inferences
        unread.clear()
    return timings


def _query_served(calls: Calls, job: Job, model: Loaded) -> Timings:
    """Like :func:`_query`, but every answer is parsed, and a failed one only counts as failed."""
    timings = Timings()
    timings.outputs = []
    run_pass = _pass_of(job, timings)
    began = time.monotonic()
    while (
        not timings.answers
        or timings.inferences < job.protocol.inferences
        or time.monotonic() - began < job.least_query_s
    ):
        durations, answers = array("q"), list[Any]()
        run_pass(calls.infer, calls.ask, durations, answers)
        for duration_ns, answer in zip(durations, answers, strict=True):
            if answer is FAILED:
                timings.failed += 1
                continue
            timings.durations_ns.append(duration_ns)
            timings.outputs.append(_counted(model.read(answer)))
        timings.inferences = len(timings.durations_ns)
        known = timings.answers or answers
        timings.answers = [a if b is FAILED else b for a, b in zip(answers, known, strict=True)]
    return timings


def _counted(output: Output) -> Output:
    """The part of every answer that is kept: its counts, not its text."""
    return msgspec.structs.replace(output, text=None, label=None, data=None)


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
        digest=lambda answer: _counted(model.read(answer)),
    )
    complete = not load.failed and not load.failed_around
    every = [*load.around, *load.outputs] if complete else []
    spans.done(
        "query",
        load.t0_ns,
        load.t1_ns,
        inferences=len(load.durations_ns),
        **request_times(every, load.t0_ns),
    )
    timings = Timings()
    timings.durations_ns, timings.inferences = load.durations_ns, len(load.durations_ns)
    timings.answers, timings.outputs, timings.failed = load.answers, load.outputs, load.failed
    return timings


def one_pass(
    infer: Callable[[Any], Any],
    requests: Sequence[Any],
    durations_ns: array[int],
    answers: list[Any],
) -> None:
    """Run each request once: read the clock twice, keep the answer, and do nothing else."""
    clock, keep, note = time.monotonic_ns, answers.append, durations_ns.append
    for request in requests:
        t0 = clock()
        answer = infer(request)
        note(clock() - t0)
        keep(answer)


def _result(
    job: Job,
    task: Task,
    model: Loaded,
    timings: Timings,
    calls: Calls,
    notes: list[str],
) -> WorkerResult:
    """Score the answers, after the measurement."""
    durations = timings.durations_ns
    answers, samples = answered(timings.answers, job.dataset.samples, notes)
    outputs = calls.read(answers)
    _must_answer(outputs)
    every = timings.outputs if timings.outputs is not None else outputs
    counts = _counts(task, timings, outputs)
    notes += cache_notes(counts) + reasoning_notes(counts, job.model.settings.get("reasoning"))
    sample = evenly(durations, SUMMED_OF, calls_per_pass=len(timings.answers))
    latency = msgspec.structs.replace(
        _latency(sorted(sample), every),
        n=len(durations),
        mean=sum(durations) / len(durations) / 1e9,
    )
    if steady_start([d / 1e9 for d in evenly(sample, STEADY_OF, calls_per_pass=1)]) is None:
        notes.append("the durations of the query span are not steady")
    facts = model.facts
    replica = facts.weights == "replica"
    if replica:
        notes.append("replica: energy and time only")
    return WorkerResult(
        facts=facts,
        device=model.device,
        latency=latency,
        durations_ns=tuple(durations[:KEPT_DURATIONS]),
        quality=None if replica else task.score(outputs, samples, job.model),
        counts=counts,
        notes=tuple(note[:NOTE_LIMIT] for note in notes[:MOST_NOTES]),
    )


def evenly(durations: array[int], most: int, *, calls_per_pass: int) -> array[int]:
    """At most ``most`` of the durations, evenly over the span. The step is coprime to the length of
    a pass, so that it includes every sample, not the same few each time."""
    if len(durations) <= most:
        return durations
    step = -(-len(durations) // most)
    while math.gcd(step, calls_per_pass) > 1:
        step += 1
    return durations[::step]


def _must_answer(outputs: Sequence[Output]) -> None:
    """Refuse a model without any answers: it has no energy per answer, and a quality of 0 would
    look like a figure.

    Raises:
        ModelError: every answer is empty.
    """
    empty = Output()
    if all(msgspec.structs.replace(output, tokens_in=None) == empty for output in outputs):
        raise ModelError(
            f"the model returned None for each of the {len(outputs)} samples:"
            " does its function return the answer?"
        )


def _counts(task: Task, timings: Timings, outputs: Sequence[Output]) -> dict[str, float]:
    """The quantities processed in the query span."""
    if timings.outputs is not None:
        return task.counts(timings.outputs) | {"failed": float(timings.failed)}
    passes = timings.inferences / len(outputs)
    return {name: total * passes for name, total in task.counts(outputs).items()}


def _latency(ordered_ns: Sequence[int], outputs: Sequence[Output]) -> Latency:
    first = _ordered_ns(o.first_token_s for o in outputs)
    each = _ordered_ns(o.output_token_s for o in outputs)
    return Latency(
        p50=_percentile(ordered_ns, 0.50),
        p95=_percentile(ordered_ns, 0.95),
        p99=_percentile(ordered_ns, 0.99),
        mean=sum(ordered_ns) / len(ordered_ns) / 1e9,
        n=len(ordered_ns),
        first_token_p50=_percentile(first, 0.50) if first else None,
        first_token_p95=_percentile(first, 0.95) if first else None,
        first_token_p99=_percentile(first, 0.99) if first else None,
        output_token_p50=_percentile(each, 0.50) if each else None,
        output_token_p95=_percentile(each, 0.95) if each else None,
        output_token_p99=_percentile(each, 0.99) if each else None,
    )


def _ordered_ns(seconds: Iterable[float | None]) -> list[int]:
    """The known times in nanoseconds, shortest first."""
    return sorted(int(s * 1e9) for s in seconds if s is not None)


def reasoning_notes(counts: Mapping[str, float], setting: object) -> list[str]:
    """A note that a model should reason, and that no answer shows that it did."""
    if setting in (None, "off") or counts.get("reasoned") or counts.get("tokens_reasoning"):
        return []
    return [
        f"no answer shows any reasoning, although reasoning = {setting!r}: the server or the model"
        " may not know that setting"
    ]


def cache_notes(counts: Mapping[str, float]) -> list[str]:
    """A note that prompt tokens came from a server's cache, which makes them cheaper than new
    ones."""
    cached = counts.get("tokens_cached", 0.0)
    if not cached:
        return []
    total = counts.get("tokens_in", 0.0)
    share = f"{100 * cached / total:.2g} % of the" if total >= cached else f"{cached:,.0f}"
    return [
        f"{share} prompt tokens came from the server's cache, so these inferences cost less than"
        " those of new prompts; disable the cache (extra), or use more distinct prompts"
    ]


def _percentile(ordered_ns: Sequence[int], share: float) -> float:
    """Linear between the closest ranks, in seconds (Hyndman and Fan's type 7)."""
    at = share * (len(ordered_ns) - 1)
    low = int(at)
    high = min(low + 1, len(ordered_ns) - 1)
    return (ordered_ns[low] + (at - low) * (ordered_ns[high] - ordered_ns[low])) / 1e9


if __name__ == "__main__":
    # The model may print anything: messages use a separate descriptor.
    with os.fdopen(int(sys.argv[1]), "wb") as channel:
        job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)
        notes = contain(network=job.network, memory_gib=job.memory_gib, parent=int(sys.argv[3]))
        with FailureReport(channel, job):
            main(channel, Marker(int(sys.argv[2])), job, notes)
