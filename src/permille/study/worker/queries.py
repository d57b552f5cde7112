"""The loops that are measured: they run the model, read the clock, and do nothing else."""

from __future__ import annotations

import itertools
import time
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from permille.analysis.steady import is_steady
from permille.errors import ModelError
from permille.study.worker.failures import FAILED
from permille.study.worker.messages import Job
from permille.study.worker.pauses import OnePass, PausedPass
from permille.workload.outputs import Output
from permille.workload.protocols import Batched, Loaded

WARMUP_S = 30.0
"""Warm-up ends after this time even if it is not steady, which the trial then notes."""


class Timings:
    """One duration per call (ns), the total number of inferences, and each request's first answer.
    For a server also ``outputs``, the counts of each inference, and the number that ``failed``,
    which nothing else here includes. ``lags_ns``: with random arrivals, the schedule lag in each of
    ``durations_ns``. ``pauses``: between calls, from when to when (ns)."""

    def __init__(self) -> None:
        self.pauses: list[tuple[int, int]] = []
        # Eight bytes per call; a list would have an object of 32 bytes for each as well.
        self.durations_ns = array("q")
        self.lags_ns = array("q")
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


def one_pass(
    infer: Callable[[Any], Any],
    requests: Sequence[Any],
    durations_ns: array[int],
    answers: list[Any],
) -> None:
    """Run each request once: read the clock twice, keep the answer, and do nothing else."""
    # Looked up once: in the loop, each look-up would be part of the measured work.
    clock, keep, note = time.monotonic_ns, answers.append, durations_ns.append
    for request in requests:
        t0 = clock()
        answer = infer(request)
        note(clock() - t0)
        keep(answer)


def warm_up(calls: Calls, most: int) -> Timings:
    """Run until the durations are steady, or at most ``most`` calls."""
    timings = Timings()
    durations = timings.durations_ns
    began = time.monotonic()
    # One after the other, whatever becomes of them: a request that always fails, asked again until
    # it succeeds, would use up the failures that the study allows.
    for request in itertools.cycle(calls.ask):
        if len(durations) >= most or time.monotonic() - began >= WARMUP_S:
            break
        t0 = time.monotonic_ns()
        # It has no duration; WARMUP_S ends the loop of a server that always fails.
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


def query(calls: Calls, job: Job) -> Timings:
    """Run whole passes over the requests, until there are enough inferences and seconds."""
    timings = Timings()
    run_pass = _pass_of(job, timings)
    inferences, least_s = job.protocol.inferences, job.least_query_s
    began = time.monotonic()
    run_pass(calls.infer, calls.ask, timings.durations_ns, timings.answers)
    timings.inferences += calls.inferences
    # Each sample is scored by its first answer: later ones would only fill the memory.
    unread: list[Any] = []
    while timings.inferences < inferences or time.monotonic() - began < least_s:
        run_pass(calls.infer, calls.ask, timings.durations_ns, unread)
        timings.inferences += calls.inferences
        unread.clear()
    return timings


def query_served(calls: Calls, job: Job, model: Loaded) -> Timings:
    """Like :func:`query`, but every answer is parsed, and a failed one only counts as failed."""
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
        # After each pass, although it is in the span: the texts of all passes would fill the
        # memory.
        for duration_ns, answer in zip(durations, answers, strict=True):
            if answer is FAILED:
                timings.failed += 1
                continue
            timings.durations_ns.append(duration_ns)
            timings.outputs.append(counted(model.read(answer)))
        timings.inferences = len(timings.durations_ns)
        known = timings.answers or answers
        timings.answers = [a if b is FAILED else b for a, b in zip(answers, known, strict=True)]
    return timings


def counted(output: Output) -> Output:
    """The part of every answer that is kept: its counts, not its text."""
    return msgspec.structs.replace(output, text=None, label=None, data=None)
