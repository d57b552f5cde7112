"""The cheapest operating point that keeps a promise of latency and errors. Pure.

An operating point is one cell of a sweep: a server with its settings under one load. A promise is
kept only where the whole interval is within the limit, and broken only where the whole interval is
beyond it. In between, the trials cannot tell; nor can they where permille itself sent requests so
late (:mod:`.schedule_lag`) that this alone may have put the interval where it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from permille.analysis.cell_summary import Summary
from permille.analysis.comparable import place
from permille.analysis.compare import ratio
from permille.analysis.pareto import needs_less
from permille.analysis.schedule_lag import Distortion, distortion, sent_late
from permille.errors import CompareError
from permille.records import Record
from permille.records.energy import Estimate
from permille.units import counted

ERROR_RATE = "error_rate"
TIMES = {"ttft": "first_token_s", "tpot": "output_token_s", "latency": "request_s"}
"""The waiting times that can be promised, and where a summary has them."""
LEAST_ANSWERS = {"p50": 2, "p95": 20, "p99": 100}
"""With fewer answers in a trial, a percentile is only its slowest answer, which says little about
the answers of which that share is faster."""
LEAST_ARRIVALS = 200
"""With random arrivals and fewer answers in a trial, a server that is overloaded by a quarter does
not show it yet: its queue has only begun to grow (see the rule of the load in the worker)."""
NAMES = (*(f"{time}_{percentile}" for time in TIMES for percentile in LEAST_ANSWERS), ERROR_RATE)


class Limit(Record):
    """One part of a promise: the figure ``name`` (one of :data:`NAMES`) is at most ``most``
    (seconds, or a share)."""

    name: str
    most: float


class LimitCheck(Record):
    """A limit next to the figure of an operating point. ``keeps``: None if the trials cannot tell,
    for the ``reason``. ``head_room``: the share of the limit that is left, negative beyond it."""

    limit: Limit
    figure: Estimate | None
    keeps: bool | None
    reason: str | None = None

    @property
    def head_room(self) -> Estimate | None:
        """1 - figure / limit, with its interval."""
        if self.figure is None:
            return None
        figure, most = self.figure, self.limit.most
        return Estimate(
            value=1 - figure.value / most,
            low=None if figure.high is None else 1 - figure.high / most,
            high=None if figure.low is None else 1 - figure.low / most,
        )


class PointCheck(Record):
    """An operating point and whether it keeps the promise; None if that is not known."""

    summary: Summary
    checks: tuple[LimitCheck, ...]
    meets: bool | None

    @property
    def name(self) -> str:
        """The model with its load, as in every table."""
        return self.summary.cell.model

    @property
    def straddles(self) -> bool:
        """Whether more trials may tell: the interval of a figure includes its limit."""
        return any(
            c.keeps is None
            and c.figure is not None
            and c.figure.low is not None
            and c.figure.high is not None
            and c.figure.low <= c.limit.most < c.figure.high
            for c in self.checks
        )

    @property
    def excess(self) -> float:
        """The largest figure as a multiple of its limit; infinite if one is unknown."""
        return max(
            math.inf if c.figure is None else c.figure.value / c.limit.most for c in self.checks
        )


class OperatingChoice(Record):
    """The points, cheapest first, and the answer.

    ``best``: the cheapest that keeps the promise. ``cheapest``: of all. ``cost``: the energy of
    ``best`` over that of ``cheapest``; None if they are the same, or if one is not above 0.
    ``as_cheap``: points that keep
    the promise and whose energy is within error of that of ``best``. ``undecided``: points of
    which the trials cannot tell whether they keep it, and which are cheaper than ``best`` by their
    figure. ``nearest``: without ``best``, the point with the smallest excess over a limit.
    ``cheapest`` and ``nearest`` are None if no point has a figure of energy.
    """

    points: tuple[PointCheck, ...]
    cheapest: PointCheck | None = None
    best: PointCheck | None = None
    cost: Estimate | None = None
    as_cheap: tuple[PointCheck, ...] = ()
    undecided: tuple[PointCheck, ...] = ()
    nearest: PointCheck | None = None


def choose(summaries: Sequence[Summary], promise: Sequence[Limit]) -> OperatingChoice:
    """Judge operating points of one place and find the cheapest that keeps the promise, by its
    energy per inference.

    Raises:
        CompareError: there are none, they cannot be compared with each other, or none has a figure
            of energy, unless every one is known to break the promise.
    """
    _check_one_place(summaries)
    points = sorted((check(summary, promise) for summary in summaries), key=_joules)
    known = [p for p in points if p.summary.energy is not None]
    if not known:
        if all(p.meets is False for p in points):
            return OperatingChoice(points=tuple(points))
        raise CompareError(
            f"no operating point has a figure; {points[0].name}: {points[0].summary.problem}"
        )
    best = next((p for p in known if p.meets), None)
    if best is not None:
        return _kept(points, known, best)
    return OperatingChoice(
        points=tuple(points),
        cheapest=known[0],
        undecided=tuple(p for p in known if p.meets is None),
        nearest=min(known, key=lambda p: p.excess),
    )


def _kept(
    points: Sequence[PointCheck], known: Sequence[PointCheck], best: PointCheck
) -> OperatingChoice:
    others = [p for p in known if p.meets and p is not best]
    return OperatingChoice(
        points=tuple(points),
        best=best,
        cheapest=known[0],
        cost=None if best is known[0] else _cost(best.summary, known[0].summary),
        as_cheap=tuple(p for p in others if not needs_less(best.summary, p.summary)),
        undecided=tuple(p for p in known[: known.index(best)] if p.meets is None),
    )


def _cost(best: Summary, cheapest: Summary) -> Estimate | None:
    try:
        return ratio(best, cheapest)
    except CompareError:  # an energy above idle that is not above 0: the choice stands without it
        return None


def check(summary: Summary, promise: Sequence[Limit]) -> PointCheck:
    """One operating point against every limit."""
    checks = tuple(_check(summary, limit) for limit in promise)
    verdicts = {c.keeps for c in checks}
    meets: bool | None = None
    if False in verdicts:
        meets = False
    # The answer is the cheapest: a point whose energy is unknown cannot be it.
    elif None not in verdicts and summary.energy is not None:
        meets = True
    return PointCheck(summary=summary, checks=checks, meets=meets)


def is_overloaded(summary: Summary) -> bool:
    """Whether the server could not keep up with the arrivals in any trial, so that each further
    request would have waited longer."""
    # If other trials finished, the overload may have been chance.
    return not summary.done and summary.overloaded > 0


def _check(summary: Summary, limit: Limit) -> LimitCheck:
    promised = figure_of(summary, limit.name)
    figure, reason = promised.figure, promised.reason
    # Not by a figure: an overloaded server has none, as its waiting times would have grown for
    # ever.
    if promised.breaks:
        return LimitCheck(limit=limit, figure=figure, keeps=False, reason=reason)
    keeps: bool | None = None
    if figure is not None and figure.low is not None and figure.high is not None:
        # Before the reason: a percentile of few answers is too low if anything, so that what is
        # beyond the limit stays beyond.
        if figure.low - promised.distortion.too_long_s > limit.most:
            return LimitCheck(limit=limit, figure=figure, keeps=False)
        lag = promised.if_late
        if figure.low > limit.most:
            return LimitCheck(limit=limit, figure=figure, keeps=None, reason=lag)
        keeps = True if figure.high <= limit.most and reason is None else None
        reason = reason or (None if keeps else "the interval includes the limit, run more trials")
        if keeps and figure.high + promised.distortion.too_short_s > limit.most:
            keeps, reason = None, lag
    if summary.failed and keeps:
        # What a failed trial saw is in no figure: the others would look better than the server is.
        trials = counted(summary.failed, "trial failed and is", "trials failed and are")
        keeps, reason = None, f"{trials} in no figure: run it again with --fresh"
    return LimitCheck(limit=limit, figure=figure, keeps=keeps, reason=reason)


def least_answers(name: str, *, arrivals: bool) -> int:
    """The fewest answers a trial with which a limit of a waiting time, by its name, can be kept;
    ``arrivals``: at random, not one client after the other."""
    percentile = name.partition("_")[2]
    return max(LEAST_ANSWERS[percentile], LEAST_ARRIVALS if arrivals else 0)


class Promised(Record):
    """What a limit is about. ``reason``: why the figure does not settle a promise whatever the
    limit, if it does not; with ``breaks``, why every promise is broken. ``distortion``: by how much
    the figure may be wrong because permille itself sent requests late; ``if_late``: the reason, if
    that decides."""

    figure: Estimate | None
    reason: str | None
    breaks: bool = False
    distortion: Distortion = Distortion(0.0, 0.0)
    if_late: str | None = None


def figure_of(summary: Summary, name: str) -> Promised:
    """The figure that a limit of this name (one of :data:`NAMES`) is about."""
    if name == ERROR_RATE:
        figure, reason = _error_rate(summary)
        return Promised(figure=figure, reason=reason)
    if is_overloaded(summary):
        overload = "the server could not keep up with the arrivals"
        return Promised(figure=None, reason=overload, breaks=True)
    figure, reason = _time(summary, name)
    lag, each = summary.schedule_lag, summary.tokens_each
    tokens = None if each is None or each.output is None else each.output.value
    return Promised(
        figure=figure,
        reason=reason,
        distortion=distortion(lag, name, tokens),
        if_late=None if lag is None else sent_late(lag),
    )


def _time(summary: Summary, name: str) -> tuple[Estimate | None, str | None]:
    """A percentile, and why it does not settle a promise."""
    kind, _, percentile = name.partition("_")
    times = getattr(summary, TIMES[kind])
    figure: Estimate | None = None if times is None else getattr(times, percentile)
    if figure is None:
        streamed = "" if kind == "latency" else ": it needs stream = true"
        return None, f"not recorded by every trial{streamed}"
    answers = 0 if summary.protocol is None else summary.protocol.inferences
    arrivals = summary.cell.settings.get("rate_per_s") is not None
    least = least_answers(name, arrivals=arrivals)
    if answers < least:
        return figure, (
            f"{percentile} of {counted(answers, 'answer')} a trial"
            + (" with random arrivals" if arrivals else "")
            + f": it needs inferences = {least} or more"
        )
    return figure, "a single trial has no interval" if figure.low is None else None


def _error_rate(summary: Summary) -> tuple[Estimate | None, str | None]:
    """The share of failed inferences with its interval."""
    failures = summary.failures
    if failures is None or not failures.tried:
        return None, "the backend does not count failed inferences"
    return Estimate(value=failures.share, low=failures.low, high=failures.high), None


def _joules(point: PointCheck) -> float:
    energy = point.summary.energy
    return math.inf if energy is None else energy.value


def _check_one_place(summaries: Sequence[Summary]) -> None:
    if not summaries:
        raise CompareError("no operating points: run a study of a server first")
    places = {place(s): s for s in summaries}
    if len(places) > 1:
        names = "; ".join(
            f"{s.cell.task} on {s.cell.dataset}, study {s.study}, machine {s.fingerprint[:12]}"
            for s in list(places.values())[:4]
        )
        raise CompareError(
            f"these operating points cannot be compared with each other ({names}): select with"
            " --study, --task or --dataset"
        )
