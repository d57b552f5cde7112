"""What ``permille slo`` prints: operating points with their figures, and the choice. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from permille.analysis.estimates import Interval, SessionInterval
from permille.analysis.goodput import Goodput, request_limits
from permille.analysis.knee import End
from permille.analysis.rows import (
    CellRow,
    FailedInferences,
    TimeFigures,
    TokenFigures,
    TrialCounts,
    joules_each,
    row,
)
from permille.analysis.slo import Limit, LimitCheck, OperatingChoice, PointCheck
from permille.carbon.footprint import energy_overhead
from permille.carbon.settings import CarbonSettings
from permille.records import JsonOutput, Record
from permille.records.answers import ScheduleLag
from permille.records.energy import Boundary
from permille.records.recording import Provenance


class PromiseLimit(Record):
    """A limit of the promise (seconds, or a share) next to an operating point's figure.
    ``keeps``: null if the trials cannot tell, for the ``reason``. ``head_room``: the share of the
    limit that is left, negative beyond it."""

    name: str
    most: float
    figure: Interval
    keeps: bool | None
    head_room: Interval
    reason: str | None


class CostPer1000(Record):
    """Energy and carbon of 1,000 inferences."""

    kwh: SessionInterval
    co2e_g: SessionInterval


class GoodputFigures(Record):
    """The requests that keep every limit by their own times. ``per_s``: per second; ``share``: of
    all that were tried; ``j_per_request``: the whole energy, divided by these requests. ``reason``:
    why a figure is missing."""

    per_s: Interval
    share: Interval
    j_per_request: Interval
    reason: str | None


class OperatingPoint(Record):
    """A server under one load. ``settings``: those in which the points differ. ``meets``: whether
    it keeps the promise, null if that is not known. ``notes``: what a reader of its figures should
    know, as in ``permille results --json``."""

    model: str
    settings: dict[str, str]
    meets: bool | None
    limits: tuple[PromiseLimit, ...]
    per_1000: CostPer1000
    goodput: GoodputFigures
    per_token: TokenFigures | None
    tokens_per_s: float | None
    ttft_s: TimeFigures | None
    tpot_s: TimeFigures | None
    request_s: TimeFigures | None
    inference_failures: FailedInferences | None
    trials: TrialCounts
    provenance: Provenance | None
    problem: str | None
    reasons: tuple[str, ...]
    schedule_lag_s: ScheduleLag | None
    notes: tuple[str, ...]


class SloOutput(JsonOutput):
    """The output of ``permille slo --json``. ``promise``: each limit by its name.
    ``request_limits``: the most seconds of a single request, for the goodput. ``points``: the
    cheapest first. ``best``: the cheapest that keeps the promise, null if none is known to.
    ``cheapest``: of all, null if none has a figure. ``cost``: the energy of ``best`` over that of
    ``cheapest``, null if they are the same, or if one is not above 0. ``as_cheap``: others that
    keep the promise and need as much within error. ``undecided``: cheaper ones than ``best`` of
    which the trials cannot tell. ``nearest``: without ``best``, the one with the smallest excess
    over a limit."""

    promise: dict[str, float]
    request_limits: dict[str, float]
    boundary: Boundary
    net: bool
    carbon: CarbonSettings
    task: str
    dataset: str
    study: str
    points: tuple[OperatingPoint, ...]
    best: OperatingPoint | None
    cheapest: str | None
    cost: Interval | None
    as_cheap: tuple[str, ...]
    undecided: tuple[str, ...]
    nearest: str | None
    damage: tuple[str, ...]


class KneeFound(Record):
    """The search of ``run --find-knee``. ``setting``: the server's load, ``concurrency`` or
    ``rate_per_s``. ``kept``: the highest load that keeps the promise, null if none is known to;
    ``beyond``: the lowest one above it that is not known to, null if the promise never broke.
    ``end``: ``resolved``; ``cannot-tell``: so for the load beyond; ``never-breaks``, at the highest
    load of a search; ``none-keeps``. ``loads``: as they were measured, in order."""

    setting: str
    kept: float | None
    beyond: float | None
    end: End
    loads: tuple[float, ...]


class KneeOutput(SloOutput):
    """The output of ``permille run --find-knee --json``: that of ``permille slo`` for the loads of
    the search, and the search."""

    knee: KneeFound


def slo_output(
    choice: OperatingChoice,
    promise: Sequence[Limit],
    boundary: Boundary,
    carbon: CarbonSettings,
    goodputs: Mapping[str, Goodput],
    *,
    net: bool,
    damage: Sequence[str] = (),
) -> SloOutput:
    """The choice as it is printed. ``goodputs``: by the points' names."""
    differing = _differing([p.summary.cell.settings for p in choice.points])
    shown = {p.name: _point(p, differing, carbon, goodputs[p.name], net=net) for p in choice.points}
    # All points are of one place (slo.choose), so that the first speaks for the others.
    summary = choice.points[0].summary
    return SloOutput(
        promise={limit.name: limit.most for limit in promise},
        request_limits=request_limits(promise),
        boundary=boundary,
        net=net,
        carbon=carbon,
        task=summary.cell.task,
        dataset=summary.cell.dataset,
        study=summary.study,
        points=tuple(shown.values()),
        best=None if choice.best is None else shown[choice.best.name],
        cheapest=None if choice.cheapest is None else choice.cheapest.name,
        cost=Interval.known(choice.cost),
        as_cheap=tuple(p.name for p in choice.as_cheap),
        undecided=tuple(p.name for p in choice.undecided),
        nearest=None if choice.nearest is None else choice.nearest.name,
        damage=tuple(damage),
    )


def _point(
    point: PointCheck,
    differing: Sequence[str],
    carbon: CarbonSettings,
    good: Goodput,
    *,
    net: bool,
) -> OperatingPoint:
    summary = point.summary
    figures: CellRow = row(
        summary, intensity_g_per_kwh=carbon.intensity_g_per_kwh, pue=carbon.pue, net=net
    )
    settings = summary.cell.settings
    return OperatingPoint(
        model=point.name,
        settings={key: str(settings[key]) for key in differing if key in settings},
        meets=point.meets,
        limits=tuple(promise_limit(one) for one in point.checks),
        per_1000=CostPer1000(kwh=figures.kwh_per_1000, co2e_g=figures.co2e_g_per_1000),
        goodput=GoodputFigures(
            per_s=Interval.of(good.per_s),
            share=Interval.of(good.share),
            j_per_request=joules_each(
                good.net if net else good.energy, energy_overhead(carbon.pue, summary.boundary)
            ),
            reason=good.reason,
        ),
        per_token=figures.per_token,
        tokens_per_s=figures.tokens_per_s,
        ttft_s=figures.ttft_s,
        tpot_s=figures.tpot_s,
        request_s=figures.request_s,
        inference_failures=figures.inference_failures,
        trials=figures.trials,
        provenance=figures.provenance,
        problem=figures.problem,
        reasons=figures.reasons,
        schedule_lag_s=figures.schedule_lag_s,
        notes=figures.notes,
    )


def promise_limit(one: LimitCheck) -> PromiseLimit:
    """A check of one limit as it is printed."""
    return PromiseLimit(
        name=one.limit.name,
        most=one.limit.most,
        figure=Interval.of(one.figure),
        keeps=one.keeps,
        head_room=Interval.of(one.head_room),
        reason=one.reason,
    )


def _differing(settings: Sequence[dict[str, object]]) -> list[str]:
    """The keys whose values are not the same everywhere."""
    keys = dict.fromkeys(key for one in settings for key in one)
    # As text, because a setting may be a list, which has no hash.
    return [key for key in keys if len({str(one.get(key)) for one in settings}) > 1]
