"""The cheapest operating point that keeps a promise on latency and errors. Pure.

An operating point is a summarised cell: a model under one load (``concurrency``, ``rate_per_s``,
``batch_size``, …). A promise is a set of upper limits. A limit is kept if the whole 95 % interval
of the figure is at or below it, broken if all of it is above; otherwise the trials cannot tell.
Percentiles have Student's interval over the trials, the share of failed inferences Wilson's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from permille.analysis.cell_summary import Summary, Times
from permille.analysis.comparable import place
from permille.analysis.compare import ratio
from permille.analysis.quality import wilson
from permille.errors import CompareError
from permille.records import Estimate, Record

Quantity = Literal["ttft", "tpot", "latency", "error-rate"]
Percentile = Literal["p50", "p95", "p99"]
Verdict = Literal["keeps", "breaks", "cannot-tell"]


class Limit(Record):
    """An upper limit: seconds of a percentile, or a share of failed inferences."""

    quantity: Quantity
    percentile: Percentile | None
    most: float

    @property
    def name(self) -> str:
        """As the option is called: ``ttft-p95``, ``error-rate``."""
        return f"{self.quantity}-{self.percentile}" if self.percentile else self.quantity


class Held(Record):
    """One limit held against an operating point. ``used`` is the figure's share of the limit;
    ``reason`` says why it cannot be told."""

    limit: Limit
    verdict: Verdict
    figure: Estimate | None
    used: float | None
    reason: str | None = None


class LoadPoint(Record):
    """An operating point and the limits held against it. ``verdict`` is that of the worst one."""

    summary: Summary
    verdict: Verdict
    held: tuple[Held, ...]


class BestLoad(Record):
    """The operating points of one place, cheapest first, those without a figure last.

    ``best`` is the cheapest that keeps the promise and ``cheapest`` the cheapest of all, both by
    energy per inference; ``cost`` is the energy of the first over that of the second, None if they
    are the same or one is missing. Without a ``best``, ``nearest`` is the point whose worst figure
    exceeds its limit least.
    """

    points: tuple[LoadPoint, ...]
    best: LoadPoint | None
    cheapest: LoadPoint | None
    cost: Estimate | None
    nearest: LoadPoint | None

    @property
    def verdict(self) -> Verdict:
        """Whether a point keeps the promise; ``breaks``: none does."""
        if self.best is not None:
            return "keeps"
        unclear = any(point.verdict == "cannot-tell" for point in self.points)
        return "cannot-tell" if unclear else "breaks"


def answers(
    summaries: Sequence[Summary], promise: Sequence[Limit], *, net: bool = False
) -> list[BestLoad]:
    """An answer for each place, in which the energies of operating points may be compared."""
    if net:
        summaries = [msgspec.structs.replace(s, energy=s.net) for s in summaries]
    places: dict[tuple[str, ...], list[LoadPoint]] = {}
    for summary in summaries:
        places.setdefault(place(summary), []).append(point(summary, promise))
    return [_answer(points) for points in places.values()]


def point(summary: Summary, promise: Sequence[Limit]) -> LoadPoint:
    """Hold every limit against an operating point."""
    held = tuple(hold(summary, limit) for limit in promise)
    verdicts = {one.verdict for one in held}
    verdict: Verdict = "keeps"
    if "breaks" in verdicts:
        verdict = "breaks"
    elif "cannot-tell" in verdicts or summary.energy is None:
        verdict = "cannot-tell"
    return LoadPoint(summary=summary, verdict=verdict, held=held)


def hold(summary: Summary, limit: Limit) -> Held:
    """Hold one limit against an operating point."""
    figure = _figure(summary, limit)
    if figure is None:
        return _unknown(limit, None, _why_unknown(summary, limit))
    if figure.low is None or figure.high is None:
        return _unknown(limit, figure, "one trial has no interval: measure more repeats")
    used = figure.value / limit.most if limit.most else None
    verdict: Verdict = "cannot-tell"
    if figure.high <= limit.most:
        verdict = "keeps"
    elif figure.low > limit.most:
        verdict = "breaks"
    reason = "the interval includes the limit" if verdict == "cannot-tell" else None
    return Held(limit=limit, verdict=verdict, figure=figure, used=used, reason=reason)


def _unknown(limit: Limit, figure: Estimate | None, reason: str) -> Held:
    used = figure.value / limit.most if figure and limit.most else None
    return Held(limit=limit, verdict="cannot-tell", figure=figure, used=used, reason=reason)


def _figure(summary: Summary, limit: Limit) -> Estimate | None:
    if limit.percentile is None:
        failures = summary.failures
        return None if failures is None else wilson(failures.share, failures.tried)
    times: dict[Quantity, Times | None] = {
        "ttft": summary.first_token_s,
        "tpot": summary.output_token_s,
        "latency": summary.request_s,
    }
    of = times[limit.quantity]
    found: Estimate | None = None if of is None else getattr(of, limit.percentile)
    return found


def _why_unknown(summary: Summary, limit: Limit) -> str:
    if summary.energy is None and summary.problem:
        return summary.problem
    if limit.quantity in ("ttft", "tpot"):
        return "not recorded: set stream = true"
    return "not recorded by every trial"


def _answer(points: Sequence[LoadPoint]) -> BestLoad:
    ordered = sorted(points, key=_joules)
    priced = [one for one in ordered if one.summary.energy is not None]
    cheapest = next(iter(priced), None)
    best = next((one for one in priced if one.verdict == "keeps"), None)
    return BestLoad(
        points=tuple(ordered),
        best=best,
        cheapest=cheapest,
        cost=_cost(best, cheapest),
        nearest=None if best is not None else _nearest(ordered),
    )


def _joules(one: LoadPoint) -> float:
    return float("inf") if one.summary.energy is None else one.summary.energy.value


def _cost(best: LoadPoint | None, cheapest: LoadPoint | None) -> Estimate | None:
    if best is None or cheapest is None or best is cheapest:
        return None
    try:
        return ratio(best.summary, cheapest.summary)
    except CompareError:  # an energy that is not above 0 has no ratio
        return None


def _nearest(points: Sequence[LoadPoint]) -> LoadPoint | None:
    """The point whose worst figure is nearest to its limit; one without figures is not near."""

    def excess(one: LoadPoint) -> float:
        return max((held.used for held in one.held if held.used is not None), default=0.0)

    known = [one for one in points if one.held and all(held.used is not None for held in one.held)]
    return min(known, key=excess, default=None)
