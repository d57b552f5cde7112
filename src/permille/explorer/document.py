"""The JSON document that the page draws: aggregates by column, grids, factors, sources.

The page applies carbon, PUE, boundary and volume, with the formulas of
:mod:`permille.analysis.rows`, so energies are sent in joules per 1,000 inferences.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec

from permille.analysis import audit, comparable, parity
from permille.analysis.answer import pairs
from permille.analysis.cell_summary import Summary, Sums
from permille.analysis.evidence_words import ON_MACHINES, ONE_SESSION, SEVERAL, STOPPED
from permille.analysis.paper import published
from permille.analysis.paper.printed import TABLE_5
from permille.analysis.pareto import fronts
from permille.analysis.parts import Part
from permille.analysis.quality import interval
from permille.analysis.rerun import CAUTION
from permille.analysis.student import LOG_SERIES
from permille.analysis.study_cells import METERED, PARTS, StudyCell
from permille.carbon.equivalents import equivalents
from permille.carbon.settings import MEAN_PUE
from permille.carbon.table import grid_table
from permille.errors import CompareError
from permille.explorer import shapes
from permille.explorer.cells import Shown
from permille.explorer.serving import serving
from permille.metrics import in_percent, metric_of
from permille.records import Boundary, Quality
from permille.version import __version__

DIGITS = 12
"""Significant digits of numbers in the document: more than any meter has, to save bytes."""


def document(
    cells: Sequence[Shown],
    *,
    store: str | None,
    damage: Sequence[str] = (),
    licences: Sequence[shapes.Licence] = (),
) -> shapes.Document:
    """Everything that the page needs. ``store`` names the store for people, if there is one;
    ``damage`` has a line for each thing in it that could not be read."""
    ranks, answers = _ranked(cells)
    records = (_record(c) | ranked for c, ranked in zip(cells, ranks, strict=True))
    return {
        "schema": 1,
        "permille": __version__,
        "store": store,
        "cells": {"count": len(cells), "columns": columns(records)},
        "answers": answers,
        "studies": _studies(cells),
        "published": _published(),
        "grid": _grid(),
        "equivalents": _equivalents(),
        "mean_pue": MEAN_PUE,
        "student_t": list(LOG_SERIES),
        "rerun_caution": CAUTION,
        "evidence": {
            "one": ONE_SESSION,
            "several": SEVERAL,
            "machines": ON_MACHINES,
            "stopped": STOPPED,
        },
        "damage": list(damage),
        "licences": list(licences),
    }


def encode(found: shapes.Document | dict[str, Any]) -> str:
    """The document as JSON. NaN is refused: it is not JSON."""
    return json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


# --- cells, by column ------------------------------------------------------------------------


def columns(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Columns of equal length. A column of numbers is a list; any other is ``{"of": distinct
    values, "at": index of each}``, because names repeat; a constant column is ``{"all":
    value}``."""
    given = iter(records)
    first = next(given, None)
    if first is None:
        return {}
    # Of many cells, only one at a time is a dictionary.
    names = tuple(first)
    rows = [tuple(first.values()), *(tuple(one[name] for name in names) for one in given)]
    rounded: dict[float, float] = {}
    return {
        name: _column(values, rounded)
        for name, values in zip(names, zip(*rows, strict=True), strict=True)
    }


def _column(values: tuple[Any, ...], rounded: dict[float, float]) -> Any:
    """``rounded`` is what numbers were rounded to before: boundaries share many."""
    types = set(map(type, values))
    if len(types) == 1 and values.count(values[0]) == len(values):
        return {"all": values[0]}
    if types <= _NUMBERS:
        return [_again(v, rounded) if type(v) is float else v for v in values]
    distinct: dict[str | None, int] = {}
    kept: list[Any] = []
    at = []
    for value in values:
        key = value if types <= _TEXT else json.dumps(value, sort_keys=True)
        if key not in distinct:
            distinct[key] = len(kept)
            kept.append(value)
        at.append(distinct[key])
    return {"of": kept, "at": at}


_NUMBERS = {int, float, bool, type(None)}
_TEXT = {str, type(None)}


def _again(value: float, rounded: dict[float, float]) -> float:
    short = rounded.get(value)
    if short is None:
        short = rounded[value] = cast(float, _rounded(value))
    return short


def _rounded(value: float | None) -> float | None:
    if value is None or isinstance(value, int):
        return value
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 2**53 else short


def _record(shown: Shown) -> dict[str, Any]:
    cell = shown.cell
    summary = cell.summary
    quality = summary.quality
    record: dict[str, Any] = {
        "id": shown.id,
        "place": _place(shown),
        "origin": shown.origin,
        "study": summary.study,
        "source": summary.source,
        "task": summary.cell.task,
        "dataset": summary.cell.dataset,
        "model": summary.cell.model,
        "category": summary.cell.category,
        "backend": summary.cell.backend,
        "settings": summary.cell.settings,
        "architecture": cell.architecture,
        "weights": shown.weights,
        "device": summary.device,
        "fingerprint": summary.fingerprint,
        "batch_size": shown.batch_size,
        "params": summary.params,
        "input_length": cell.input_length,
        "output_length": cell.output_length,
        "logged_g_per_kwh": cell.logged_g_per_kwh,
        "done": summary.done,
        "failed": summary.failed,
        "invalid": summary.invalid,
        "seconds": None if summary.seconds is None else summary.seconds.mean,
        "latency_p50": summary.latency_p50_s,
        "latency_p95": summary.latency_p95_s,
        "metric": quality and quality.metric,
        "quality": None if quality is None else quality.value,
        "quality_n": quality and quality.n,
        "quality_error": quality and quality.standard_error,
        **_quality(quality),
        "unreadable": quality and quality.unreadable,
        "asked": _precision(cell),
        "reasons": list(summary.reasons),
        "notes": list(summary.notes),
        "serving": serving(cell),
    }
    for part in sorted({*PARTS, *cell.parts}):
        record[f"part_{part}"] = cell.parts[part].mean if part in cell.parts else None
    for boundary in METERED:
        record |= _energy(boundary, cell.summaries[boundary])
    widest = [p for b in reversed(METERED) if (p := cell.summaries[b].parts)]
    record["parts"] = [_part(part) for part in widest[0]] if widest else []
    return record


def _place(shown: Shown) -> str:
    """A key that is equal for cells that may be ranked or divided; it differs between shipped and
    stored cells."""
    key = "\0".join((shown.origin, *comparable.place(shown.cell.summary)))
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def _quality(quality: Quality | None) -> dict[str, Any]:
    """The interval, the direction and whether to show percent: the page knows nothing about
    metrics."""
    bounded = quality and interval(quality)
    return {
        "quality_low": bounded and bounded.low,
        "quality_high": bounded and bounded.high,
        "lower_is_better": None if quality is None else metric_of(quality.metric).lower_is_better,
        "in_percent": None if quality is None else in_percent(quality.metric, quality.value),
    }


def _precision(cell: StudyCell) -> float | None:
    """The requested relative half-width of the repeats; None if their number was fixed."""
    rules = [s.energy.asked for s in cell.summaries.values() if s.energy]
    return next((rule.precision for rule in rules if rule), None)


def _part(part: Part) -> list[Any]:
    """Domain, joules, accuracy below and above, joules proportional to time, whether it is
    split, joules of a constant error."""
    figures = (part.energy_j, part.low, part.high, part.time_j)
    return [part.domain, *map(_rounded, figures), part.split, _rounded(part.offset_j)]


def _energy(boundary: str, summary: Summary) -> dict[str, Any]:
    return {
        f"{boundary}_n": summary.energy and summary.energy.n,
        f"{boundary}_spread": summary.energy and _spread(summary.energy),
        **_sums(boundary, summary.energy),
        **_sums(f"{boundary}_net", summary.net),
        f"{boundary}_provenance": summary.provenance,
        f"{boundary}_domains": list(summary.domains),
        f"{boundary}_problem": summary.problem,
    }


def _blocks(sums: Sums | None) -> list[tuple[str, int, float, str]] | None:
    """(session, block, logarithm of the energy, machine) of each trial, as a ratio pairs them; None
    where a ratio does not (see ``compare.paired``)."""
    if sums is None or sums.asked or not sums.session_means():
        return None
    return [(b.session, b.block, math.log(b.value), b.machine) for b in sums.blocks]


def _spread(sums: Sums) -> float | None:
    """The relative half-width of the interval from the trials only."""
    spread = sums.spread()
    if spread.high is None or spread.value <= 0:
        return None
    return (spread.high - spread.value) / spread.value


def _sums(name: str, sums: Sums | None) -> dict[str, Any]:
    """The estimate that the command line prints, and the inputs of a ratio, which differ if a
    stopping rule left out a cold first repeat."""
    estimate = sums.estimate() if sums else None
    n, mean, sd = sums.for_ratio() if sums else (None, None, None)
    return {
        f"{name}_mean": estimate.value if estimate else None,
        f"{name}_blocks": _blocks(sums),
        f"{name}_ratio_n": n,
        f"{name}_ratio_mean": mean,
        f"{name}_ratio_sd": sd,
        f"{name}_low": estimate.low if estimate else None,
        f"{name}_high": estimate.high if estimate else None,
        f"{name}_below": sums.low if sums else None,
        f"{name}_above": sums.high if sums else None,
        f"{name}_edge": sums.edge if sums else None,
        f"{name}_sessions": estimate.sessions if estimate else None,
        f"{name}_machines": estimate.machines if estimate else None,
        f"{name}_rerun_low": estimate.rerun_low if estimate else None,
        f"{name}_rerun_high": estimate.rerun_high if estimate else None,
        f"{name}_widened": sums.selection_factor if sums else None,
    }


# --- ranks -----------------------------------------------------------------------------------


def _summaries(cells: Sequence[Shown], boundary: str, *, net: bool) -> list[Summary]:
    summaries = [shown.cell.summaries[boundary] for shown in cells]
    return [msgspec.structs.replace(s, energy=s.net) for s in summaries] if net else summaries


def _ranked(cells: Sequence[Shown]) -> tuple[list[dict[str, Any]], dict[str, list[list[str]]]]:
    """(For each cell, whether it is on the front of each boundary, gross and net; likewise the ids
    of the general-purpose and the task-specific model of each answer.) Shipped and stored cells are
    never ranked together."""
    by_cell: dict[str, dict[str, Any]] = {shown.id: {} for shown in cells}
    answers: dict[str, list[list[str]]] = {}
    for boundary in METERED:
        for net in (False, True):
            name = f"{boundary}_net" if net else boundary
            answers[name] = []
            for origin in ("shipped", "store"):
                members = [shown for shown in cells if shown.origin == origin]
                summaries = _summaries(members, boundary, net=net)
                ids = {id(s): shown.id for s, shown in zip(summaries, members, strict=True)}
                for shown, on_front in zip(members, fronts(summaries), strict=True):
                    by_cell[shown.id][f"{name}_front"] = on_front
                answers[name] += [[ids[id(a)], ids[id(b)]] for a, b in pairs(summaries)]
    return [by_cell[shown.id] for shown in cells], answers


# --- other parts of the document -------------------------------------------------------------


def _studies(cells: Sequence[Shown]) -> list[shapes.PageStudy]:
    """By origin and study: what its numbers rest on, and its parity, at a PUE of 1."""
    groups: dict[tuple[shapes.Origin, str, str], list[StudyCell]] = {}
    for shown in cells:
        summary = shown.cell.summary
        groups.setdefault((shown.origin, summary.study, summary.source), []).append(shown.cell)
    return [
        {
            "origin": origin,
            "study": study,
            "source": source,
            "audit": cast(shapes.PageAudit, msgspec.to_builtins(audit.audit(members, 1.0))),
            "parity": {b: _parity(members, b) for b in METERED},
        }
        for (origin, study, source), members in groups.items()
    ]


def _parity(cells: Sequence[StudyCell], boundary: Boundary) -> list[shapes.PageParity]:
    """The models whose training the paper states; none where the study did not run them."""
    found: list[shapes.PageParity] = []
    for model in TABLE_5:
        try:
            rows = parity.study_rows(cells, boundary, model=model)
        except CompareError:  # this study has no such model, or no figure of it
            continue
        found += cast(list[shapes.PageParity], msgspec.to_builtins(rows))
    return found


def _published() -> shapes.ShippedStudy:
    facts = published.about()
    return {
        "name": facts.name,
        "citation": facts.citation,
        "licence": facts.licence,
        "source": facts.source,
        "machine": facts.machine,
        "notes": list(facts.notes),
    }


def _grid() -> shapes.Grid:
    """Places with a figure, and each year's gCO2e/kWh with the index of its source."""
    table = grid_table()
    sources: dict[str, int] = {}
    listed: list[shapes.PageSource] = []
    places: list[shapes.PagePlace] = []
    for place in table.places.values():
        years: dict[str, tuple[float, int]] = {}
        for figure in table.of(place).values():
            source = figure.source
            if source.id not in sources:
                sources[source.id] = len(listed)
                listed.append(
                    {
                        "name": source.name,
                        "kind": source.kind,
                        "licence": source.licence,
                        "url": source.url,
                        "attribution": source.attribution,
                    }
                )
            years[str(figure.year)] = (figure.g_per_kwh, sources[source.id])
        places.append(
            {
                "code": place.code,
                "name": table.full_name(place),
                "kind": place.kind,
                "grid": place.grid,
                "years": years,
            }
        )
    return {"places": places, "sources": listed}


def _equivalents() -> list[shapes.PageEquivalent]:
    """``per``: how many of it one kWh (basis energy) or one gram (basis carbon) is."""
    return [
        {
            "name": each.name,
            "unit": each.unit,
            "basis": each.basis,
            "per": each.amount,
            "factor": each.factor,
            "source": each.source,
        }
        for each in equivalents(1.0, 1.0)
    ]
