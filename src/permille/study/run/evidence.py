"""Check a worker's report against the observations of the runner and the recorder. Pure.

A worker runs untrusted code, which can write to the worker's channel. What can be checked: the
times of the marks, the worker's lifetime, the sum of the durations, and the samples. What cannot be
checked: that a model did the work for its answers (see SECURITY.md).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from permille.records import Record
from permille.records.recording import Recording, Span
from permille.study.worker.backlog import MOST_THREADS
from permille.study.worker.messages import KEPT_DURATIONS, WorkerResult

LEAST_CALL_NS = 20
"""On any machine, a Python call and two clock readings take longer than this."""
_GPU = re.compile(r"cuda|nvidia|geforce|tesla|rocm|radeon|gpu|[ah]\d00", re.IGNORECASE)


class Assignment(Record):
    """The worker's task. ``served``: by a server, possibly with concurrent requests, of which
    ``most_at_once`` can be in flight. ``most_scored``: the most answers that its quality can be of;
    None: unknown, of lm-eval's own samples."""

    began_ns: int
    samples: int
    batch_size: int
    inferences: int
    least_query_s: float
    served: bool
    has_gpu: bool
    most_scored: int | None
    most_at_once: int = 1


def most_at_once(settings: Mapping[str, Any]) -> int:
    """The most requests in flight to a server that a model with these settings uses."""
    # Only an open loop ends at its limit: a closed one has as many in flight as it has clients.
    clients: int = settings.get("concurrency", 1)
    return max(MOST_THREADS, clients)


def contradiction(
    assignment: Assignment, spans: Sequence[Span], result: WorkerResult, recording: Recording
) -> str | None:
    """The first contradiction, or None. ``spans``: the worker's, in order."""
    query = next((span for span in spans if span.name == "query"), None)
    if query is None:
        return "there is a result without a query span"
    return (
        _unmarked(spans, assignment.began_ns, recording.marks)
        or _miscounted(assignment, query, result)
        or _impossible(result, assignment.most_scored)
        or _impossible_lag(result)
        or _elsewhere(assignment, result.device)
    )


def _unmarked(spans: Sequence[Span], began_ns: int, marks: Sequence[int]) -> str | None:
    """Every span must be between two marks of its own."""
    # The recorder wrote down the times of the marks: a worker cannot name a time at which nothing
    # was read.
    after_ns = began_ns
    for span in spans:
        if not any(after_ns <= mark_ns <= span.t0_ns for mark_ns in marks):
            return f"the meters were not read before the {span.name} span started"
        after_ns = next((mark_ns for mark_ns in sorted(marks) if mark_ns >= span.t1_ns), -1)
        if after_ns < 0:
            return f"the meters were not read after the {span.name} span ended"
    return None


def _miscounted(assignment: Assignment, query: Span, result: WorkerResult) -> str | None:
    """The inferences, calls, durations and the span must be consistent."""
    span_ns = query.t1_ns - query.t0_ns
    inferences = query.attributes.get("inferences")
    # True is an int in Python, and would count as one inference.
    if isinstance(inferences, bool) or not isinstance(inferences, int) or inferences < 1:
        return f"the number of inferences is {inferences!r:.40}"
    if inferences < assignment.inferences or span_ns < assignment.least_query_s * 1e9:
        return (
            f"it should make {assignment.inferences:,} inferences in {assignment.least_query_s:g} s"
            f" at least, and reported {inferences:,} in {span_ns / 1e9:.4g} s"
        )
    if assignment.served:
        return _miscounted_server(inferences, span_ns, result, assignment.most_at_once)
    if result.schedule_lag is not None:
        return "there is a schedule lag without random arrivals"
    passes, more = divmod(inferences, assignment.samples)
    if more:
        return f"{inferences:,} inferences are not whole passes over {assignment.samples:,} samples"
    calls = passes * math.ceil(assignment.samples / assignment.batch_size)
    timed = result.latency.n
    if timed != calls or len(result.durations_ns) != min(calls, KEPT_DURATIONS):
        return (
            f"{inferences:,} inferences take {calls:,} calls, and {timed:,} were reported with"
            f" {len(result.durations_ns):,} durations"
        )
    if span_ns < LEAST_CALL_NS * calls:
        return f"{calls:,} calls do not fit into {span_ns / 1e9:.4g} s"
    # The mean is rounded: an excess of 1e-9 is not a contradiction.
    # Only the first durations are kept; where there are more, the mean tells the sum.
    total_ns = max(sum(result.durations_ns), result.latency.mean * 1e9 * timed * (1 - 1e-9))
    if total_ns > span_ns:
        return (
            f"the durations of one call after the other add up to {total_ns / 1e9:.4g} s, and the"
            f" span lasted {span_ns / 1e9:.4g} s"
        )
    return None


def _miscounted_server(
    inferences: int, span_ns: int, result: WorkerResult, most_at_once: int
) -> str | None:
    timed, kept = result.latency.n, len(result.durations_ns)
    if inferences > timed or kept < min(inferences, KEPT_DURATIONS):
        return f"{inferences:,} inferences were reported with {timed:,} latencies, {kept:,} kept"
    # A request that is in flight at an edge reaches beyond the span, by the longest one at most.
    longest_ns = max(result.durations_ns, default=0)
    # Before it is sent, a request that is late is not in flight.
    lag_ns = 0.0 if result.schedule_lag is None else result.schedule_lag.most * 1e9
    in_flight_ns = sum(result.durations_ns) - kept * lag_ns
    if in_flight_ns > most_at_once * (span_ns + longest_ns):
        return "the latencies add up to more than so many requests at once could take"
    return None


def _impossible(result: WorkerResult, most_scored: int | None) -> str | None:
    """Impossible figures."""
    latency, quality = result.latency, result.quality
    tail = latency.p95 if latency.p99 is None else latency.p99
    figures = [latency.p50, latency.p95, tail, latency.mean]
    if not all(math.isfinite(f) and f >= 0 for f in figures) or min(result.durations_ns) < 0:
        return "a latency is negative or not a number"
    if not latency.p50 <= latency.p95 <= tail:
        return "the percentiles of the latency are out of order"
    n = 0 if quality is None or quality.n is None else quality.n
    if n < 0:
        return f"the quality is of {n:,} answers"
    if most_scored is not None and n > most_scored:
        return f"the quality is of {n:,} answers, and there are {most_scored:,} samples"
    if not all(math.isfinite(count) and count >= 0 for count in result.counts.values()):
        return "a count of what was processed is negative or not a number"
    return None


def _impossible_lag(result: WorkerResult) -> str | None:
    """Each lag is a part of its latency."""
    lag, latency = result.schedule_lag, result.latency
    if lag is None:
        return None
    rounding_s = 1e-9
    in_order = 0 <= lag.p50 <= lag.p95 <= lag.most < math.inf
    if not in_order or lag.p50 > latency.p50 + rounding_s or lag.p95 > latency.p95 + rounding_s:
        return "the schedule lag is out of order, or longer than the latency, which includes it"
    return None


def _elsewhere(assignment: Assignment, device: str) -> str | None:
    # A served model's device is only a phrase, and its server may run on another machine.
    if not assignment.served and not assignment.has_gpu and _GPU.search(device):
        return f"the device is {device[:60]!r}, and this machine has no GPU"
    return None


def unseen_gpu(result: WorkerResult, recording: Recording) -> str | None:
    """A note if the worker names a GPU but the meters saw none in use."""
    gpus = [series.domain for series in recording.series if series.domain.kind == "gpu"]
    if not gpus or not _GPU.search(result.device) or any(domain.in_use for domain in gpus):
        return None
    return f"the model reported that it ran on {result.device[:60]}; no GPU was seen in use"
