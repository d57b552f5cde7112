"""Result rows as a table for people."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from permille.analysis.evidence_words import estimate_text
from permille.cli.text_table import TextColumn, TextTable
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
    from permille.analysis.quality import ShownQuality
    from permille.analysis.results import ResultRow
    from permille.analysis.rows import Percentiles, TrialCounts


def results_table(rows: Sequence[ResultRow], *, net: bool) -> TextTable:
    """One line per row, by task and dataset, the least energy first."""
    ordered = _in_order(rows)
    return TextTable(
        [
            # Names are untrusted: no control characters reach the terminal.
            TextColumn(header, [plain(cell(row), limit=200) for row in ordered], right=right)
            for header, cell, right in _columns(rows, net=net)
        ]
    )


class _Column(NamedTuple):
    header: str
    cell: Callable[[ResultRow], str]
    right: bool = True


def _columns(rows: Sequence[ResultRow], *, net: bool) -> Iterator[_Column]:
    """The columns, of which some are only there if a row has something to say in them."""
    # What is the same in all rows would take the room of the figures.
    if len({(r.task, r.dataset) for r in rows}) > 1:
        yield _Column("task / dataset", lambda row: f"{row.task} / {row.dataset}", right=False)
    yield _Column("model", lambda row: row.model + _labels(row), right=False)
    yield _Column("category", lambda row: row.category, right=False)
    yield _Column(f"{'net ' if net else ''}energy / 1,000", _energy)
    yield _Column("CO2e / 1,000", lambda row: estimate_text(row.co2e_g_per_1000, format_mass_g))
    if any(row.water_l_per_1000 for row in rows):
        yield _Column("water / 1,000", _water)
    if any(row.embodied_g_per_1000 for row in rows):
        yield _Column("embodied CO2e / 1,000", _embodied)
    yield _Column("p50 / p95", lambda row: _latency(row.latency_s))
    if any(row.per_token for row in rows):
        yield _Column("J / output token", _joules_per_token)
    yield _Column("quality", lambda row: _quality(row.quality) + ("*" if row.pareto else ""))
    yield _Column("trials", lambda row: _trials(row.trials))
    yield _Column("provenance", lambda row: row.provenance or "n/a", right=False)
    # Rows that differ in the machine alone would look like one model listed twice.
    if len({r.fingerprint for r in rows}) > 1:
        yield _Column("machine", lambda row: row.fingerprint, right=False)


def _in_order(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """By task and dataset as they first come, since the order in which models were measured is
    drawn; superseded and unknown figures last."""
    places = {
        place: at for at, place in enumerate(dict.fromkeys((r.task, r.dataset) for r in rows))
    }

    def key(row: ResultRow) -> tuple[int, bool, float, str]:
        energy = row.kwh_per_1000.value
        # Not 0: what is unknown must not come first, as the cheapest.
        least = math.inf if energy is None else energy
        return places[row.task, row.dataset], row.superseded is not None, least, row.model

    return sorted(rows, key=key)


def _labels(row: ResultRow) -> str:
    replica = " (replica)" if row.weights == "replica" else ""
    return replica + (" (superseded)" if row.superseded else "")


def _energy(row: ResultRow) -> str:
    """Per 1,000 inferences or, if their number is unknown, per run, labelled as such."""
    if row.kwh_per_1000.value is None and row.kwh_per_trial.value is not None:
        return f"{format_energy_kwh(row.kwh_per_trial.value)} per run"
    return estimate_text(row.kwh_per_1000, format_energy_kwh)


def _water(row: ResultRow) -> str:
    return estimate_text(row.water_l_per_1000, format_volume_l)


def _embodied(row: ResultRow) -> str:
    return estimate_text(row.embodied_g_per_1000, format_mass_g)


def _joules_per_token(row: ResultRow) -> str:
    return "n/a" if row.per_token is None else estimate_text(row.per_token.output, format_energy_j)


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
