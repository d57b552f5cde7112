"""Result rows as a table for people."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from permille.analysis.evidence_words import estimate_text
from permille.escaping import plain
from permille.metrics import interval_text
from permille.units import (
    format_energy_j,
    format_energy_kwh,
    format_mass_g,
    format_seconds,
    format_volume_l,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from permille.analysis.estimates import Interval
    from permille.analysis.quality import ShownQuality
    from permille.analysis.results import ResultRow
    from permille.analysis.rows import Percentiles, TrialCounts


def results_table(rows: Sequence[ResultRow], *, net: bool) -> Table:
    """One line per row, by task and dataset, the least energy first. Columns with the same value
    in every row move to the title."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left")
    several_data = len({(r.task, r.dataset) for r in rows}) > 1
    several_machines = len({r.fingerprint for r in rows}) > 1
    if several_data:
        table.add_column("task / dataset")
    table.add_column("model", overflow="fold")
    table.add_column("category")
    table.add_column(f"{'net ' if net else ''}energy / 1,000", justify="right")
    table.add_column("CO2e / 1,000", justify="right")
    impacts = _add_impact_columns(table, rows)
    table.add_column("p50 / p95", justify="right")
    has_tokens = any(r.per_token for r in rows)
    if has_tokens:
        table.add_column("J / output token", justify="right")
    table.add_column("quality", justify="right")
    table.add_column("trials", justify="right")
    table.add_column("provenance")
    if several_machines:
        table.add_column("machine")
    for row in _in_order(rows):
        cells = [_text(f"{row.task} / {row.dataset}")] if several_data else []
        cells += [
            _text(row.model + _labels(row)),
            _text(row.category),
            _energy(row),
            _estimate(row.co2e_g_per_1000, format_mass_g),
            *(cell_of(row) for cell_of in impacts),
            _text(_latency(row.latency_s)),
            *([_joules_per_token(row)] if has_tokens else []),
            _text(_quality(row.quality) + ("*" if row.pareto else "")),
            _text(_trials(row.trials)),
            _text(row.provenance or "n/a"),
        ]
        if several_machines:
            cells.append(_text(row.fingerprint))
        table.add_row(*cells)
    return table


def _in_order(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """By task and dataset as they first come, since the order in which models were measured is
    drawn; superseded and unknown figures last."""
    places = {
        place: at for at, place in enumerate(dict.fromkeys((r.task, r.dataset) for r in rows))
    }

    def key(row: ResultRow) -> tuple[int, bool, float, str]:
        energy = row.kwh_per_1000.value
        least = math.inf if energy is None else energy
        return places[row.task, row.dataset], row.superseded is not None, least, row.model

    return sorted(rows, key=key)


def _add_impact_columns(
    table: Table, rows: Sequence[ResultRow]
) -> list[Callable[[ResultRow], RenderableType]]:
    """Columns of water and embodied carbon, if a row has them; how to make their cells."""
    cells: list[Callable[[ResultRow], RenderableType]] = []
    if any(row.water_l_per_1000 for row in rows):
        table.add_column("water / 1,000", justify="right")
        cells.append(lambda row: _text(estimate_text(row.water_l_per_1000, format_volume_l)))
    if any(row.embodied_g_per_1000 for row in rows):
        table.add_column("embodied CO2e / 1,000", justify="right")
        cells.append(lambda row: _text(estimate_text(row.embodied_g_per_1000, format_mass_g)))
    return cells


def _labels(row: ResultRow) -> str:
    replica = " (replica)" if row.weights == "replica" else ""
    return replica + (" (superseded)" if row.superseded else "")


def _text(text: str) -> RenderableType:
    """Untrusted text without markup or control characters."""
    from rich.text import Text

    return Text(plain(text, limit=200))


def _energy(row: ResultRow) -> RenderableType:
    """Per 1,000 inferences or, if their number is unknown, per run, labelled as such."""
    if row.kwh_per_1000.value is None and row.kwh_per_trial.value is not None:
        return _text(f"{format_energy_kwh(row.kwh_per_trial.value)} per run")
    return _estimate(row.kwh_per_1000, format_energy_kwh)


def _joules_per_token(row: ResultRow) -> RenderableType:
    if row.per_token is None:
        return _text("n/a")
    return _estimate(row.per_token.output, format_energy_j)


def _estimate(estimate: Interval, form: Callable[[float], str]) -> RenderableType:
    return _text(estimate_text(estimate, form))


def _latency(latency: Percentiles) -> str:
    if latency.p50 is None or latency.p95 is None:
        return "n/a"
    return f"{format_seconds(latency.p50)} / {format_seconds(latency.p95)}"


def _quality(quality: ShownQuality | None) -> str:
    if quality is None:
        return "n/a"
    words = interval_text(quality.metric, quality.value, quality.low, quality.high)
    unreadable = f", {quality.unreadable} unreadable" if quality.unreadable else ""
    return f"{quality.metric} {words}{unreadable}"


def _trials(trials: TrialCounts) -> str:
    bad = [
        f"{count} {how}"
        for how, count in (("failed", trials.failed), ("invalid", trials.invalid))
        if count
    ]
    return ", ".join([f"{trials.done} done", *bad])
