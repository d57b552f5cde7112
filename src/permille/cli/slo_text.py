"""The answers of ``permille slo`` for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from permille.analysis.answer import times_text
from permille.analysis.rows import CellRow, Interval, row_at
from permille.analysis.slo import BestLoad, Held, Limit, LoadPoint
from permille.carbon.settings import CarbonSettings
from permille.cli.measure_text import interval_text
from permille.cli.terminal import console
from permille.escaping import plain
from permille.units import format_energy_kwh, format_mass_g, format_seconds


def show(answers: Sequence[BestLoad], carbon: CarbonSettings, *, net: bool) -> None:
    """A table of the operating points of each place, and the answer in sentences."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    for answer in answers:
        first = answer.points[0].summary
        rows = [(point, row_at(point.summary, carbon, net=net)) for point in answer.points]
        title = f"{first.cell.task} on {first.cell.dataset} ({first.study})"
        table = Table(title=plain(title), title_justify="left")
        for heading in ("operating point", "per 1,000", "CO2e", "J per output token"):
            table.add_column(heading, justify="left" if heading == "operating point" else "right")
        for held in answer.points[0].held:
            heading = f"{held.limit.name} ≤ {_amount(held.limit, held.limit.most)}"
            table.add_column(heading, justify="right")
        table.add_column("promise")
        for point, shown in rows:
            table.add_row(*map(plain, _cells(point, shown)))
        out.print(table)
        for line in sentences(answer, {shown.model: shown for _, shown in rows}):
            out.print(Text(plain(line), style="bold"), soft_wrap=True)
        for line in _reasons(answer):
            out.print(Text(plain(line)), soft_wrap=True)


def sentences(answer: BestLoad, rows: dict[str, CellRow]) -> Iterator[str]:
    """The answer in words; ``rows`` are the points' figures by model."""
    if answer.best is not None:
        model = answer.best.summary.cell.model
        yield f"the cheapest load that keeps the promise is {model}: {_price(rows[model])}"
        if answer.cost is not None and answer.cheapest is not None:
            yield (
                f"the promise costs {times_text(answer.cost)} the energy of"
                f" {answer.cheapest.summary.cell.model}, the cheapest of all"
            )
        elif answer.best is answer.cheapest:
            yield "it is the cheapest of all: the promise costs nothing"
        return
    if answer.verdict == "breaks":
        yield "no load keeps the promise"
    else:
        yield "cannot tell whether a load keeps the promise: measure more repeats or inferences"
    if answer.nearest is not None:
        worst = max(answer.nearest.held, key=lambda held: held.used or 0.0)
        assert worst.figure is not None
        yield (
            f"nearest is {answer.nearest.summary.cell.model}: {worst.limit.name} is"
            f" {_amount(worst.limit, worst.figure.value)} of at most"
            f" {_amount(worst.limit, worst.limit.most)}"
        )


def _price(shown: CellRow) -> str:
    parts = [f"{interval_text(shown.kwh_per_1000, format_energy_kwh)} per 1,000 requests"]
    if shown.per_token is not None:
        parts.append(f"{interval_text(shown.per_token.output, _joules)} J per output token")
    return ", ".join(parts)


def _reasons(answer: BestLoad) -> Iterator[str]:
    """Why a point's promise cannot be told."""
    for point in answer.points:
        reasons: dict[str, list[str]] = {}
        for held in point.held:
            if held.reason:
                reasons.setdefault(held.reason, []).append(held.limit.name)
        for reason, limits in reasons.items():
            yield f"{point.summary.cell.model}: cannot tell ({', '.join(limits)}): {reason}"


def _cells(point: LoadPoint, shown: CellRow) -> list[str]:
    tokens = shown.per_token
    return [
        shown.model,
        interval_text(shown.kwh_per_1000, format_energy_kwh),
        interval_text(shown.co2e_g_per_1000, format_mass_g),
        "n/a" if tokens is None else interval_text(tokens.output, _joules),
        *(_held(held) for held in point.held),
        point.verdict.replace("-", " "),
    ]


def _held(held: Held) -> str:
    return interval_text(Interval.of(held.figure), lambda value: _amount(held.limit, value))


def _amount(limit: Limit, value: float) -> str:
    return f"{100 * value:.3g} %" if limit.percentile is None else format_seconds(value)


def _joules(value: float) -> str:
    return f"{value:.3g}"
