"""Goodput: the requests per second whose own times are within the limits of a promise. Pure.

That is the goodput of Zhong et al. (DistServe, OSDI 2024) and of vLLM's benchmark (``--goodput``):
a request counts if each of its times is within its limit, and a failed request does not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from permille.analysis.cell_energy import CellEnergy
from permille.analysis.quality import over_trials_and_requests, wilson
from permille.analysis.serving import over_trials
from permille.analysis.slo import ERROR_RATE, Limit
from permille.analysis.trial_sums import Sums
from permille.records import Record
from permille.records.answers import AnswerTimes
from permille.records.energy import Boundary, Estimate, Refused
from permille.records.recording import Span
from permille.records.trial import Trial

_COLUMNS: dict[str, Callable[[AnswerTimes], Sequence[int | None]]] = {
    "ttft": lambda times: times.first_ns,
    "tpot": lambda times: times.token_ns,
    "latency": lambda times: times.whole_ns,
}
"""Each waiting time of the answers that were kept, by its key in :data:`.slo.TIMES`."""


class Goodput(Record):
    """Of one operating point. ``per_s``: requests per second that keep every limit; ``share``: of
    all that were tried; ``energy``: the whole energy in joules per 1,000 of them, ``net`` above
    idle. ``reason``: why a figure is missing."""

    per_s: Estimate | None = None
    share: Estimate | None = None
    energy: Sums | None = None
    net: Sums | None = None
    reason: str | None = None


class TimedTrial(NamedTuple):
    """A finished trial with the times of its answers, or the reason why it has none."""

    trial: Trial
    times: AnswerTimes | Refused


def request_limits(promise: Iterable[Limit]) -> dict[str, float]:
    """The most seconds of each time (a key of :data:`.slo.TIMES`) of a single request: the limit of
    the highest percentile, because a lower one allows for slower requests."""
    highest: dict[str, tuple[str, float]] = {}
    for limit in promise:
        if limit.name == ERROR_RATE:
            continue
        time, _, percentile = limit.name.partition("_")
        # As text: p50, p95 and p99 are in the right order.
        highest[time] = max(highest.get(time, ("", 0.0)), (percentile, limit.most))
    return {time: most for time, (_, most) in highest.items()}


def times_of(trial: Trial, spans: Iterable[Span], durations_ns: Sequence[int]) -> TimedTrial:
    """A trial with the times in its recording. Older trials and other backends kept only how long
    each call took."""
    query = next((span for span in spans if span.name == "query"), None)
    if query is None:
        return TimedTrial(trial, Refused(reason="a trial has no times of its single requests"))
    if "answers" not in query.attributes:
        return TimedTrial(trial, _from_durations(trial, durations_ns))
    try:
        times = msgspec.convert(query.attributes["answers"], AnswerTimes)
    except msgspec.ValidationError as error:
        return TimedTrial(trial, Refused(reason=f"the times of the answers are invalid: {error}"))
    return TimedTrial(trial, times if _is_consistent(times, trial) else _CONTRADICTION)


_CONTRADICTION = Refused(reason="the times of a trial's answers contradict its other figures")


def _is_consistent(times: AnswerTimes, trial: Trial) -> bool:
    # A worker reports them, and a store of another program may hold anything.
    kept = len(times.whole_ns)
    return (
        0 < kept <= times.n == trial.phases["query"].inferences
        and len(times.first_ns) == len(times.token_ns) == kept
        and min(times.whole_ns) >= 0
    )


def _from_durations(trial: Trial, durations_ns: Sequence[int]) -> AnswerTimes | Refused:
    if trial.protocol.batch_size > 1:
        return Refused(reason="the calls of the trials are batches, not single requests")
    # A worker keeps the durations of the first calls alone (KEPT_DURATIONS): where there were more,
    # these do not stand for the span.
    if not durations_ns or trial.latency is None or trial.latency.n != len(durations_ns):
        return Refused(reason="a trial has no times of its single requests")
    unknown = (None,) * len(durations_ns)
    return AnswerTimes(
        n=len(durations_ns), whole_ns=tuple(durations_ns), first_ns=unknown, token_ns=unknown
    )


def goodput(
    timed: Sequence[TimedTrial], limits: Mapping[str, float], boundary: Boundary
) -> Goodput:
    """Of the finished trials of one cell. None unless every trial knows the times of its requests,
    because a figure over some of them would not match the others."""
    if not timed:
        return Goodput(reason="the store has no finished trial of it")
    good: dict[str, float] = {}
    for trial, times in timed:
        count = _good(trial, times, limits)
        if isinstance(count, Refused):
            return Goodput(reason=count.reason)
        good[trial.uid] = count
    trials = [one.trial for one in timed]
    per_s = over_trials([good[trial.uid] / trial.phases["query"].seconds for trial in trials])
    # None, not 0: without a request in time, there is no energy of one.
    energy, net = CellEnergy(trials, boundary).per(lambda trial: good[trial.uid] or None)
    return Goodput(
        per_s=per_s,
        share=_share(
            [good[trial.uid] for trial in trials],
            [tried(trial) for trial in trials],
            # Without a limit on a time, every answer counts, whether its times were kept or not.
            sum(_seen(*one) for one in timed) if limits else sum(map(tried, trials)),
        ),
        energy=energy,
        net=net,
        reason=None if all(good.values()) else "in a trial, no request kept every limit",
    )


def _good(
    trial: Trial, times: AnswerTimes | Refused, limits: Mapping[str, float]
) -> float | Refused:
    """The number of a trial's requests that keep every limit."""
    answered = answered_in(trial)
    if isinstance(answered, Refused):
        return answered
    inferences = answered.inferences
    if not limits:
        return float(inferences)
    columns = []
    for time in limits:
        column = column_of(times, time)
        if isinstance(column, Refused):
            return column
        columns.append(column)
    # In seconds: a limit times 1e9 may be rounded to just below a time that is equal to it.
    kept = sum(
        all(value / 1e9 <= most for value, most in zip(values, limits.values(), strict=True))
        for values in zip(*columns, strict=True)
    )
    return inferences * kept / len(columns[0])


class Answered(NamedTuple):
    """The requests that a trial answered, and in how many seconds."""

    inferences: int
    seconds: float


def answered_in(trial: Trial) -> Answered | Refused:
    """What a finished trial answered, or that it does not say so."""
    query = trial.phases.get("query")
    if query is None or not query.inferences or not query.seconds:
        return Refused(reason="a trial does not say how many requests it answered")
    return Answered(query.inferences, query.seconds)


def column_of(times: AnswerTimes | Refused, time: str) -> list[int] | Refused:
    """One waiting time (ns) of each answer that was kept, or why there is none."""
    if isinstance(times, Refused):
        return times
    known = [value for value in _COLUMNS[time](times) if value is not None]
    if len(known) < len(times.whole_ns):
        return Refused(reason=f"a trial did not record the {time} of each request")
    return known


def tried(trial: Trial) -> int:
    """The requests of a finished trial, with those that failed."""
    return (trial.phases["query"].inferences or 0) + round(trial.counts.get("failed", 0.0))


def _seen(trial: Trial, times: AnswerTimes | Refused) -> int:
    """The requests that the kept times stand on: a long trial keeps those of a part of its answers
    (a worker's MOST_ANSWERS), and the failed ones count in the same proportion."""
    if isinstance(times, Refused):
        return 0
    return len(times.whole_ns) * tried(trial) // times.n


def _share(good: Sequence[float], tried: Sequence[int], seen: int) -> Estimate | None:
    """The mean over the trials, of as many requests as were ``seen``."""
    share = over_trials([one / of for one, of in zip(good, tried, strict=True)])
    alone = wilson(math.fsum(good) / sum(tried), seen)
    return None if share is None else over_trials_and_requests(share, alone)
