"""What became of a trial's inferences: quality, latency, counts, notes. After the measurement."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from permille.analysis.percentiles import percentile
from permille.analysis.steady import steady_start
from permille.errors import ModelError
from permille.records.answers import Latency, ScheduleLag
from permille.study.worker.failures import answered
from permille.study.worker.messages import (
    KEPT_DURATIONS,
    MOST_NOTES,
    NOTE_LIMIT,
    Job,
    WorkerResult,
)
from permille.study.worker.queries import Calls, Timings
from permille.study.worker.request_times import stride
from permille.units import format_number
from permille.workload.outputs import Output
from permille.workload.protocols import Loaded, Task

SUMMED_OF, STEADY_OF = 20_000, 5_000
"""The most durations of the query span, spread evenly, used for the percentiles and for the test of
steadiness. Using all of them would take a third of a short trial."""


def scored(
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
        # Of all of them: the runner takes their sum from it, to hold it against the span
        # (evidence.py).
        mean=sum(durations) / len(durations) / 1e9,
    )
    if steady_start([d / 1e9 for d in evenly(sample, STEADY_OF, calls_per_pass=1)]) is None:
        notes.append("the durations of the query span are not steady")
    facts = model.facts
    replica = facts.weights == "replica"
    quality = None
    if replica:
        notes.append("replica: energy and time only")
    elif job.harness is None:
        quality = task.score(outputs, samples, job.model)
    elif job.scored:
        from permille.study.worker.harness import harness_score  # loads lm-eval

        score = harness_score(model, job.harness, seed=job.protocol.seed)
        quality = score.quality
        notes.append(score.note)
    return WorkerResult(
        facts=facts,
        device=model.device,
        latency=latency,
        durations_ns=tuple(durations[:KEPT_DURATIONS]),
        quality=quality,
        counts=counts,
        # The runner refuses a result with more notes, or longer ones (messages.py).
        notes=tuple(note[:NOTE_LIMIT] for note in notes[:MOST_NOTES]),
        schedule_lag=_schedule_lag(timings),
    )


def evenly(durations: array[int], most: int, *, calls_per_pass: int) -> array[int]:
    """At most ``most`` of the durations, evenly over the span."""
    if len(durations) <= most:
        return durations
    return durations[:: stride(len(durations), most, calls_per_pass=calls_per_pass)]


def _must_answer(outputs: Sequence[Output]) -> None:
    """Refuse a model without any answers: it has no energy per answer, and a quality of 0 would
    look like a figure.

    Raises:
        ModelError: every answer is empty.
    """
    empty = Output()
    # The tokens of the input are not an answer.
    if all(msgspec.structs.replace(output, tokens_in=None) == empty for output in outputs):
        raise ModelError(
            f"the model returned None for each of the {len(outputs)} samples:"
            " does its function return the answer?"
        )


def _counts(task: Task, timings: Timings, outputs: Sequence[Output]) -> dict[str, float]:
    """The quantities processed in the query span."""
    if timings.outputs is not None:
        return task.counts(timings.outputs) | {"failed": float(timings.failed)}
    # Only the answers of the first pass are kept; the other passes had the same inputs.
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


def _schedule_lag(timings: Timings) -> ScheduleLag | None:
    if not timings.lags_ns:
        return None
    # The same calls as those of the latency: each lag is a part of its call's duration.
    sample = evenly(timings.lags_ns, SUMMED_OF, calls_per_pass=len(timings.answers))
    ordered_ns = sorted(sample)
    return ScheduleLag(
        p50=_percentile(ordered_ns, 0.50),
        p95=_percentile(ordered_ns, 0.95),
        most=max(timings.lags_ns) / 1e9,
    )


def _ordered_ns(seconds: Iterable[float | None]) -> list[int]:
    """The known times in nanoseconds, shortest first."""
    return sorted(int(s * 1e9) for s in seconds if s is not None)


def _percentile(ordered_ns: Sequence[int], share: float) -> float:
    """In seconds."""
    return percentile(ordered_ns, share) / 1e9


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
    share = (
        f"{format_number(100 * cached / total, 2)} % of the"
        if total >= cached
        else f"{cached:,.0f}"
    )
    return [
        f"{share} prompt tokens came from the server's cache, so these inferences cost less than"
        " those of new prompts; disable the cache (extra), or use more distinct prompts"
    ]
