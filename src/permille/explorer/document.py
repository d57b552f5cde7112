"""The JSON document that the page draws: aggregates by column, grids, factors, sources.

The page applies carbon, PUE, boundary and volume, with the formulas of
:mod:`permille.analysis.rows`, so energies are sent in joules per 1,000 inferences.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from permille.analysis import audit, comparable, parity
from permille.analysis.answer import pairs_of_current, places_of_both
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
from permille.output import compact_json
from permille.records.answers import Quality
from permille.records.energy import Boundary, Estimate
from permille.version import __version__

DIGITS = 12
"""Significant digits of numbers in the document: more than any meter has, to save bytes."""


def document(
    cells: Sequence[Shown],
    *,
    store: str | None,
    store_exists: bool = True,
    damage: Sequence[str] = (),
    licences: Sequence[shapes.Licence] = (),
) -> shapes.Document:
    """Everything that the page needs. ``store`` names the store for people, if one is named;
    ``damage`` has a line for each thing in it that could not be read."""
    ranks, answers = _ranked(cells)
    by_column = columns(map(_record, cells))
    if cells:
        by_column |= {name: _column(tuple(on_front), {}) for name, on_front in ranks.items()}
    return {
        "schema": 1,
        "permille": __version__,
        "store": store,
        "store_exists": store is not None and store_exists,
        "cells": {"count": len(cells), "columns": by_column},
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


def divided(found: shapes.Document) -> tuple[shapes.Document, shapes.CellDetails]:
    """The document as a server sends it: what all views need, and the columns that only ratios,
    budgets and downloads do, which a page asks for then. A server has the licences apart, too."""
    every = found["cells"]["columns"]
    later = {name: column for name, column in every.items() if _LATER.fullmatch(name)}
    first = {name: column for name, column in every.items() if name not in later}
    part = found.copy()
    del part["licences"]
    part["cells"] = {"count": found["cells"]["count"], "columns": first}
    return part, {"columns": later}


_LATER = re.compile(
    "parts|part_.*|.*_(?:spread|blocks|ratio_n|ratio_mean|ratio_sd|below|above|edge|widened)"
)


def encode(found: shapes.Document | shapes.CellDetails | dict[str, Any]) -> str:
    """The document as JSON. NaN is refused: it is not JSON."""
    return compact_json(found).decode("utf-8", "surrogatepass")


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
    rows = [tuple(first.values()), *(tuple(map(one.__getitem__, names)) for one in given)]
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
        return _numbers(values, rounded) if float in types else list(values)
    # By its text, what is neither a number nor text.
    keys = values if types <= _TEXT else tuple(map(repr, values))
    distinct = dict.fromkeys(keys)
    number = {key: place for place, key in enumerate(distinct)}
    first = dict(zip(reversed(keys), reversed(values), strict=True))
    return {"of": [first[key] for key in distinct], "at": list(map(number.__getitem__, keys))}


_NUMBERS = {int, float, bool, type(None)}
_TEXT = {str, type(None)}


def _numbers(values: tuple[Any, ...], rounded: dict[float, float]) -> list[Any]:
    floats = [value for value in values if type(value) is float]
    for value in set(floats).difference(rounded):
        rounded[value] = _short(value)
    if len(floats) == len(values):
        return list(map(rounded.__getitem__, floats))
    return [rounded[value] if type(value) is float else value for value in values]


def _rounded(value: float | None) -> float | None:
    return value if value is None or isinstance(value, int) else _short(value)


def _short(value: float) -> float:
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
    known: _Known = []
    for boundary, names in _COLUMNS.items():
        record.update(zip(names, _energy(cell.summaries[boundary], known), strict=True))
    widest = [p for b in reversed(METERED) if (p := cell.summaries[b].parts)]
    record["parts"] = [_part(part) for part in widest[0]] if widest else []
    return record


def _place(shown: Shown) -> str:
    """A key that is equal for cells that may be ranked or divided; it differs between shipped and
    stored cells."""
    return _digest("\0".join((shown.origin, *comparable.place(shown.cell.summary))))


@lru_cache(maxsize=4096)
def _digest(key: str) -> str:
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


_Known = list[tuple["Sums | None", tuple[Any, ...]]]
"""The figures of boundaries before, of which others have the same."""


def _energy(summary: Summary, known: _Known) -> tuple[Any, ...]:
    """The values of a boundary's :data:`_COLUMNS`."""
    n = None if summary.energy is None else summary.energy.n
    spread, *gross = _figures(summary.energy, known)
    _, *net = _figures(summary.net, known)
    domains = list(summary.domains)
    provenance = None if summary.provenance is None else summary.provenance.value
    return (n, spread, *gross, *net, provenance, domains, summary.problem)


def _figures(sums: Sums | None, known: _Known) -> tuple[Any, ...]:
    found = next((figures for other, figures in known if other == sums), None)
    if found is None:
        found = _sums(sums)
        known.append((sums, found))
    return found


def _blocks(sums: Sums) -> list[tuple[str, int, float, str]]:
    """(session, block, logarithm of the energy, machine) of each trial, as a ratio pairs them."""
    return [(b.session, b.block, math.log(b.value), b.machine) for b in sums.blocks]


def _relative(spread: Estimate) -> float | None:
    """The relative half-width of the interval from the trials only."""
    if spread.high is None or spread.value <= 0:
        return None
    return (spread.high - spread.value) / spread.value


def _sums(sums: Sums | None) -> tuple[Any, ...]:
    """The spread, and the values of :data:`_FIGURES`: the estimate that the command line prints,
    and the inputs of a ratio, which differ if a stopping rule left out a cold first repeat."""
    if sums is None:
        return (None,) * (1 + len(_FIGURES))
    estimate, spread, widened, over_sessions = sums.intervals()
    return (
        _relative(spread),
        estimate.value,
        # A ratio pairs nothing else (see ``compare.paired``).
        _blocks(sums) if over_sessions and not sums.asked else None,
        *sums.for_ratio(),
        estimate.low,
        estimate.high,
        sums.low,
        sums.high,
        sums.edge,
        estimate.sessions,
        estimate.machines,
        estimate.rerun_low,
        estimate.rerun_high,
        widened,
    )


_FIGURES = (
    "mean", "blocks", "ratio_n", "ratio_mean", "ratio_sd", "low", "high", "below", "above", "edge",
    "sessions", "machines", "rerun_low", "rerun_high", "widened",
)  # fmt: skip
_COLUMNS: dict[str, tuple[str, ...]] = {
    boundary: (
        f"{boundary}_n",
        f"{boundary}_spread",
        *(f"{boundary}_{name}" for name in _FIGURES),
        *(f"{boundary}_net_{name}" for name in _FIGURES),
        f"{boundary}_provenance",
        f"{boundary}_domains",
        f"{boundary}_problem",
    )
    for boundary in METERED
}


# --- ranks -----------------------------------------------------------------------------------


def _ranked(
    cells: Sequence[Shown],
) -> tuple[dict[str, list[bool | None]], dict[str, list[list[str]]]]:
    """(By column, whether each cell is on the front of a boundary, gross and net; the ids of the
    general-purpose and the task-specific model of each answer.) Shipped and stored cells are never
    ranked together."""
    ranks: dict[str, list[bool | None]] = {f"{name}_front": [None] * len(cells) for name in _RANKED}
    answers: dict[str, list[list[str]]] = {name: [] for name in _RANKED}
    for origin in ("shipped", "store"):
        places = [n for n, shown in enumerate(cells) if shown.origin == origin]
        both = places_of_both([cells[n].cell.summary for n in places])
        for name, (boundary, net) in _RANKED.items():
            summaries = [cells[n].cell.summaries[boundary] for n in places]
            if net:
                summaries = list(map(_net, summaries))
            on_front = ranks[f"{name}_front"]
            for n, found in zip(places, fronts(summaries), strict=True):
                on_front[n] = found
            if both:
                answers[name] += _answered([cells[n].id for n in places], summaries)
    return ranks, answers


_RANKED = {
    f"{boundary}_net" if net else boundary: (boundary, net)
    for boundary in METERED
    for net in (False, True)
}
"""What is ranked by: a boundary's energy, gross or above idle."""


def _answered(ids: Sequence[str], summaries: Sequence[Summary]) -> list[list[str]]:
    # No cell is superseded by another: such cells are not shown.
    by_summary = {id(summary): of_cell for summary, of_cell in zip(summaries, ids, strict=True)}
    pairs = pairs_of_current(summaries)
    return [[by_summary[id(a)], by_summary[id(b)]] for a, b in pairs]


def _net(summary: Summary) -> Summary:
    return msgspec.structs.replace(summary, energy=summary.net)


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
            "audit": audit.audit(members, 1.0),
            "parity": {b: _parity(members, b) for b in METERED},
        }
        for (origin, study, source), members in groups.items()
    ]


def _parity(cells: Sequence[StudyCell], boundary: Boundary) -> list[parity.ParityRow]:
    """The models whose training the paper states; none where the study did not run them."""
    found: list[parity.ParityRow] = []
    models = {cell.summary.cell.model for cell in cells}
    for model in (name for name in TABLE_5 if name in models):
        try:
            found += parity.study_rows(cells, boundary, model=model)
        except CompareError:  # this study has no such model, or no figure of it
            continue
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
