"""The JSON document that the page draws: aggregates by column, grids, factors, sources.

The page applies carbon, PUE, boundary and volume, with the formulas of
:mod:`permille.analysis.rows`, so energies are sent in joules per 1,000 inferences.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from permille.analysis import audit, parity
from permille.analysis.answer import pairs_of_current, places_of_both
from permille.analysis.cell_summary import Summary
from permille.analysis.evidence_words import ON_MACHINES, ONE_SESSION, SEVERAL, STOPPED
from permille.analysis.paper import published
from permille.analysis.paper.printed import TABLE_5
from permille.analysis.pareto import fronts
from permille.analysis.rerun import CAUTION
from permille.analysis.student import LOG_SERIES
from permille.analysis.study_cells import METERED, StudyCell
from permille.carbon.equivalents import equivalents
from permille.carbon.settings import MEAN_PUE
from permille.carbon.table import grid_table
from permille.errors import CompareError
from permille.explorer import columns, shapes
from permille.explorer.cells import Shown
from permille.output import compact_json
from permille.records.energy import Boundary
from permille.version import __version__


def document(
    cells: Sequence[Shown],
    *,
    store: str | None,
    store_exists: bool = True,
    damage: Sequence[str] = (),
    licences: Sequence[shapes.Licence] = (),
) -> shapes.Document:
    """Everything that a page needs that can ask no server; see :func:`served`."""
    found = served(cells, store=store, store_exists=store_exists, damage=damage)
    beside = details(cells)
    found["cells"]["columns"] |= beside["columns"]
    found["studies"] = beside["studies"]
    found["licences"] = list(licences)
    return found


def served(
    cells: Sequence[Shown],
    *,
    store: str | None,
    store_exists: bool = True,
    damage: Sequence[str] = (),
) -> shapes.Document:
    """What all views of a page need, which a server sends first. ``store`` names the store for
    people, if one is named; ``damage`` has a line for each thing in it that could not be read."""
    ranks, answers = _ranked(cells)
    by_column = columns.columns(cells)
    if cells:
        by_column |= columns.of_boundaries(ranks.items(), columns.stored_from(cells))
    return {
        "schema": 1,
        "permille": __version__,
        "store": store,
        "store_exists": store is not None and store_exists,
        "cells": {"count": len(cells), "columns": by_column},
        "answers": answers,
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
    }


def details(cells: Sequence[Shown]) -> shapes.Details:
    """What only ratios, budgets, audits and downloads need, which a page asks for then."""
    return {"columns": columns.details(cells), "studies": _studies(cells)}


def encode(found: shapes.Document | shapes.Details | dict[str, Any]) -> str:
    """The document as JSON. NaN is refused: it is not JSON."""
    content = compact_json(found)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        # A store's name that is not UTF-8 has lone surrogates (PEP 383), which cannot be encoded,
        # for a file or for an answer; JSON has an escape for each (RFC 8259, 7).
        text = content.decode("utf-8", "surrogatepass")
        return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_SURROGATE = re.compile("[\ud800-\udfff]")


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
        if not both:  # only those with a quality can be on a front
            places = [n for n in places if cells[n].cell.summary.quality is not None]
        for name, (boundary, net) in _RANKED.items():
            summaries = [_energies(cells[n], boundary, net=net) for n in places]
            on_front = ranks[f"{name}_front"]
            for n, found in zip(places, fronts(summaries), strict=True):
                on_front[n] = found
            if both:
                answers[name] += _answered([cells[n].id for n in places], summaries)
    return ranks, answers


# One front for each: the PUE and the grid multiply all energies alike, and change no order.
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


def _energies(shown: Shown, boundary: Boundary, *, net: bool) -> Summary:
    summary = shown.cell.summaries[boundary]
    return summary.above_idle() if net else summary


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
            "parity": _parities(members),
        }
        for (origin, study, source), members in groups.items()
    ]


def _parities(cells: Sequence[StudyCell]) -> dict[str, list[parity.ParityRow]]:
    """By boundary, the models whose training the paper states; none where the study did not run
    them."""
    models = {cell.summary.cell.model for cell in cells}
    trained = [name for name in TABLE_5 if name in models]
    return {boundary: _parity(cells, boundary, trained) for boundary in METERED}


def _parity(
    cells: Sequence[StudyCell], boundary: Boundary, models: Sequence[str]
) -> list[parity.ParityRow]:
    found: list[parity.ParityRow] = []
    for model in models:
        try:
            found += parity.study_rows(cells, boundary, model=model)
        except CompareError:  # this study has no figure of it
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
