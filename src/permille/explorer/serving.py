"""What the page gets of a cell about tokens, answers and the load on a server. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any, Literal

from permille.analysis import comparable, slo
from permille.analysis.cell_summary import Summary, TokenEnergy
from permille.analysis.study_cells import METERED, StudyCell
from permille.analysis.trial_sums import Sums
from permille.explorer.shapes import (
    PageEstimate,
    PageLimit,
    PageLoad,
    PageServing,
    PageSplit,
    PageTokenEnergy,
)
from permille.records.answers import TokenSplit
from permille.records.energy import Estimate

RATES = ("rate_per_s", "request_rate")
"""Settings that are a rate of arrivals: permille's own, and AIPerf's."""
CLIENTS = ("concurrency", "max_concurrency")
"""Settings that are a number of clients: permille's own and AIPerf's, and vLLM's."""


def serving(cell: StudyCell) -> PageServing | None:
    """The figures; None if the cell has none that other cells do not have too."""
    summary = cell.summary
    load, split = load_of(summary), summary.token_split
    if not (load or split or summary.first_token_s or _has_units(cell)):
        return None
    per_token = {name: _tokens(energy) for name, energy in _token_energies(cell)}
    per_unit = _units(cell)
    each = summary.tokens_each
    return {
        "load": load,
        "per_token": per_token,
        "per_unit": per_unit,
        "inferences_per_s": _sent(summary.inferences_per_s),
        "tokens_per_s": _sent(summary.tokens_per_s),
        "input_tokens": _sent(each.input if each else None),
        "output_tokens": _sent(each.output if each else None),
        "reasoning_tokens": _sent(each.reasoning if each else None),
        "split": _split(split) if split else None,
        "limits": {name: _limit(summary, name) for name in slo.NAMES},
    }


def _has_units(cell: StudyCell) -> bool:
    """Whether there is an energy of tokens or of other units of work."""
    for summary in cell.summaries.values():
        if (
            summary.per_token is not None
            or summary.net_per_token is not None
            or summary.per_unit
            or summary.net_per_unit
        ):
            return True
    return False


def _sent(estimate: Estimate | None) -> PageEstimate | None:
    if estimate is None:
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _joules_each(sums: Sums) -> PageEstimate:
    """Joules of one, from those of 1,000."""
    of_1000 = sums.estimate()
    low, high = (None if end is None else end / 1000 for end in (of_1000.low, of_1000.high))
    return {"value": of_1000.value / 1000, "low": low, "high": high}


def _token_energies(cell: StudyCell) -> Iterator[tuple[str, TokenEnergy]]:
    for boundary in METERED:
        summary = cell.summaries[boundary]
        if summary.per_token is not None:
            yield boundary, summary.per_token
        if summary.net_per_token is not None:
            yield f"{boundary}_net", summary.net_per_token


def _tokens(energy: TokenEnergy) -> PageTokenEnergy:
    every = energy.every
    return {"output": _joules_each(energy.output), "all": _joules_each(every) if every else None}


def _units(cell: StudyCell) -> dict[str, dict[str, PageEstimate]]:
    """By unit of work, then by boundary."""
    units: dict[str, dict[str, PageEstimate]] = {}
    for boundary in METERED:
        summary = cell.summaries[boundary]
        for suffix, energies in (("", summary.per_unit), ("_net", summary.net_per_unit)):
            for unit, sums in energies.items():
                units.setdefault(unit, {})[boundary + suffix] = _joules_each(sums)
    return units


def _split(split: TokenSplit) -> PageSplit:
    return {
        "method": split.method,
        "input": _sent(split.input_j),
        "output": _sent(split.output_j),
        "rest_w": _sent(split.rest_w),
        "problem": split.problem,
        "warning": split.warning,
    }


def _limit(summary: Summary, name: str) -> PageLimit:
    promised = slo.figure_of(summary, name)
    return {
        "figure": _sent(promised.figure),
        "reason": promised.reason,
        "breaks": promised.breaks,
        "too_long": promised.distortion.too_long_s,
        "too_short": promised.distortion.too_short_s,
        "if_late": promised.if_late,
    }


# --- the load --------------------------------------------------------------------------------


def load_of(summary: Summary) -> PageLoad | None:
    """The load of a server's cell. Cells of one sweep have the same place, model and settings, but
    for the load."""
    cell = summary.cell
    if not cell.settings and cell.backend != "endpoint":
        return None
    rate, clients = _number(cell.settings, RATES), _number(cell.settings, CLIENTS)
    if rate is None and clients is None and cell.backend == "endpoint":
        clients = 1.0  # without either, requests are sent one at a time
    # With both, as AIPerf may have, the clients only bound how many requests are in flight.
    at = clients if rate is None else rate
    if at is None:
        return None
    by: Literal["concurrency", "rate_per_s"] = "concurrency" if rate is None else "rate_per_s"
    name = _without_load(cell.model)
    if name == cell.model:
        # Tables that were written one by one may name the server's model.
        name = str(cell.settings.get("model") or cell.model)
    # Beside a rate, a number of clients is a setting like any other: sweeps that differ in it are
    # two.
    loads = (*RATES, *CLIENTS) if rate is None else RATES
    others = {key: value for key, value in cell.settings.items() if key not in loads}
    sweep = json.dumps([comparable.place(summary), name, by, others], sort_keys=True, default=str)
    return {
        "by": by,
        "at": at,
        "sweep": hashlib.sha256(sweep.encode()).hexdigest()[:12],
        "name": name,
    }


def _number(settings: dict[str, Any], names: tuple[str, ...]) -> float | None:
    for name in names:
        value = settings.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9:
            return float(value)
    return None


_LOAD = re.compile(rf", (?:{'|'.join((*RATES, *CLIENTS))}) = [^,]*")


def _without_load(model: str) -> str:
    """The model's name without the part that a sweep adds for its load."""
    return _LOAD.sub("", model)
