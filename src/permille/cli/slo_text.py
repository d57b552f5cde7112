"""The answer of ``permille slo`` for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from permille.analysis.answer import short, times_text
from permille.analysis.evidence_words import estimate_text
from permille.analysis.operating_points import promise_limit
from permille.analysis.schedule_lag import LATE
from permille.cli.commands.results import carbon_text
from permille.cli.terminal import console
from permille.escaping import plain
from permille.records.energy import Estimate
from permille.units import format_energy_j, format_energy_kwh, format_mass_g, format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from permille.analysis.operating_points import (
        GoodputFigures,
        OperatingPoint,
        PromiseLimit,
        SloOutput,
    )
    from permille.analysis.slo import PointCheck

_KEEPS = {True: "kept", False: "broken", None: "cannot tell"}
_NAMES = {
    "ttft": "to the first token",
    "tpot": "per output token",
    "latency": "to the whole answer",
}

_TIMES = {"ttft": "first token", "tpot": "each output token", "latency": "whole answer"}


def show(output: SloOutput) -> None:
    """Print a line per operating point, cheapest first, and the answer."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ("operating point", "promise", "energy / 1,000", "J / output token", "CO2e / 1,000")
    for place, column in enumerate((*columns, "goodput")):
        # From the energy on they are numbers, which fitted() folds in no column aligned right.
        table.add_column(column, overflow="fold", justify="right" if place > 1 else "left")
    for name in output.promise:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("trials", justify="right")
    table.add_column("provenance")
    for point in output.points:
        table.add_row(*(Text(plain(cell, limit=200)) for cell in _cells(point)))
    out.print(table)
    for line in answer(output):
        out.print(Text(plain(line)), soft_wrap=True)


def verdict_text(point: PointCheck | None) -> str:
    """Whether a load keeps the promise, with its figures."""
    if point is None:
        return "cannot tell: no trial"
    if point.meets is None and not point.summary.done:
        return f"cannot tell: {point.summary.problem}"
    limits = [promise_limit(one) for one in point.checks]
    figures = "; ".join(
        f"{_what(one.name)} {_figure(one)}" + (f" ({one.reason})" if one.reason else "")
        for one in limits
    )
    return f"{_KEEPS[point.meets]}: {figures}"


def _cells(point: OperatingPoint) -> Iterator[str]:
    yield point.model
    # A server that could not keep up with the arrivals has no finished trial, and breaks the
    # promise all the same.
    has_verdict = point.trials.done or point.meets is False
    yield _KEEPS[point.meets] if has_verdict else "no figure"
    yield estimate_text(point.per_1000.kwh, format_energy_kwh)
    yield estimate_text(
        None if point.per_token is None else point.per_token.output, format_energy_j
    )
    yield estimate_text(point.per_1000.co2e_g, format_mass_g)
    yield estimate_text(point.goodput.per_s, _per_s)
    for limit in point.limits:
        yield estimate_text(limit.figure, _form(limit))
    yield str(point.trials.done)
    yield point.provenance or "n/a"


def answer(output: SloOutput) -> Iterator[str]:
    """The operating point to choose, what the promise costs, and what is not certain."""
    if output.best is None:
        yield from _none(output)
    else:
        yield from _best(output, output.best)
    yield from _doubts(output.points)
    net, carbon = ", above idle" if output.net else "", output.carbon
    yield (
        f"boundary: {output.boundary}{net}; in brackets, 95 % intervals; carbon:"
        f" {carbon_text(carbon)}, PUE {carbon.pue:g}"
    )


def _best(output: SloOutput, best: OperatingPoint) -> Iterator[str]:
    tokens = ""
    if best.per_token is not None:
        tokens = f"{estimate_text(best.per_token.output, format_energy_j)} per output token, "
    yield (
        f"the cheapest load with {promise_text(output.promise)} is {best.model}: {tokens}"
        f"{estimate_text(best.per_1000.kwh, format_energy_kwh)} and"
        f" {estimate_text(best.per_1000.co2e_g, format_mass_g)} CO2e per 1,000"
    )
    for limit in best.limits:
        room = limit.head_room
        yield f"  {_what(limit.name)}: {_figure(limit)}; head-room {estimate_text(room, _percent)}"
    yield from _goodput(output, best.goodput)
    cost = output.cost
    if output.cheapest == best.model:
        yield "no other load is cheaper: the promise costs nothing"
    elif cost is None or cost.value is None:
        yield (
            f"{output.cheapest} needs less; no ratio can be given, because an energy is not above 0"
        )
    else:
        times = times_text(Estimate(value=cost.value, low=cost.low, high=cost.high))
        yield f"the promise costs {times} the energy of the cheapest load, {output.cheapest}"
    if output.as_cheap:
        yield f"as cheap within error, and keeps it too: {', '.join(output.as_cheap)}"
    if output.undecided:
        yield f"cheaper, but the trials cannot tell whether it keeps it: {_list(output.undecided)}"


def _goodput(output: SloOutput, good: GoodputFigures) -> Iterator[str]:
    if good.per_s.value is None:
        yield f"  goodput: n/a: {good.reason}"
        return
    each = "; ".join(
        f"{_TIMES[time]} within {format_seconds(most)}"
        for time, most in output.request_limits.items()
    )
    yield (
        f"  goodput: {estimate_text(good.per_s, _per_s)}, {estimate_text(good.share, _percent)} of"
        f" the requests, {estimate_text(good.j_per_request, format_energy_j)} for each of them"
        + (f" ({each})" if each else " (those that did not fail)")
    )


def _none(output: SloOutput) -> Iterator[str]:
    promised = promise_text(output.promise)
    if output.undecided:
        yield f"no load is known to keep {promised}; cannot tell: {_list(output.undecided)}"
    else:
        yield f"no load keeps {promised}"
    # None where no point has an energy: each of them is named with its problem instead.
    nearest = next((p for p in output.points if p.model == output.nearest), None)
    if nearest is not None:
        figures = "; ".join(f"{_what(one.name)} {_figure(one)}" for one in nearest.limits)
        yield f"nearest: {nearest.model}: {figures}"


def _doubts(points: Sequence[OperatingPoint]) -> Iterator[str]:
    """Why points have no figure or no verdict, and what their percentiles leave out."""
    # By reason: a sweep of many loads mostly has one, which would be a line for each of them.
    undecided: dict[str, list[str]] = {}
    for point in points:
        if point.problem:
            yield f"{point.model}: no figure: {point.problem}"
        elif point.meets is None:
            for limit in point.limits:
                if limit.reason:
                    why = f"{_what(limit.name)}: {limit.reason}"
                    undecided.setdefault(why, []).append(point.model)
        # Of the notes, this one may have decided the verdict; the others are in the results.
        yield from (f"{point.model}: {note}" for note in point.notes if note.startswith(LATE))
        failures = point.inference_failures
        if failures is not None and failures.failed:
            yield (
                f"{point.model}: {failures.failed} of {failures.tried} inferences failed and are in"
                " no percentile; their energy counts"
            )
    for why, models in undecided.items():
        yield f"cannot tell ({why}): {_list(models)}"


def promise_text(promise: dict[str, float]) -> str:
    """``p95 to the first token within 1 s and errors at most 1 %``."""
    return " and ".join(
        f"errors at most {_percent(most)}"
        if name == "error_rate"
        else f"{_what(name)} within {format_seconds(most)}"
        for name, most in promise.items()
    )


def _what(name: str) -> str:
    if name == "error_rate":
        return "errors"
    # A name is that of an option: --ttft-p95 is ttft_p95 (cli.promise).
    kind, _, percentile = name.partition("_")
    return f"{percentile} {_NAMES[kind]}"


def _figure(limit: PromiseLimit) -> str:
    form = _form(limit)
    return f"{estimate_text(limit.figure, form)} of {form(limit.most)}"


def _form(limit: PromiseLimit) -> Callable[[float], str]:
    return _percent if limit.name == "error_rate" else format_seconds


def _percent(share: float) -> str:
    return f"{short(100 * share)} %"


def _per_s(rate: float) -> str:
    return f"{short(rate)}/s"


def _list(names: Sequence[str], most: int = 5) -> str:
    # A sweep may have dozens of loads; --json names them all.
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
