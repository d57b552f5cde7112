"""The cells of the page's document as columns: made one column at a time, since a record of every
cell takes longer."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from permille.analysis import comparable
from permille.analysis.cell_summary import Summary
from permille.analysis.parts import Part
from permille.analysis.quality import interval
from permille.analysis.study_cells import METERED, OTHER, PARTS, REST, StudyCell
from permille.analysis.trial_sums import Sums
from permille.explorer.cells import Shown
from permille.explorer.serving import serving
from permille.metrics import in_percent, metric_of
from permille.records.answers import Quality
from permille.records.energy import Boundary, Estimate

DIGITS = 12
"""Significant digits of numbers in the document: more than any meter has, to save bytes."""

Named = Iterator[tuple[str, Any]]
"""Columns with their names, in the order of the document."""


def columns(cells: Sequence[Shown]) -> dict[str, Any]:
    """What all views of the page need of each cell, by column (see :func:`packed`)."""
    if not cells:
        return {}
    studied = [shown.cell for shown in cells]
    first = stored_from(cells)
    found = {name: packed(values, first) for name, values in _facts(cells, studied)}
    return found | of_boundaries(_energies(studied), first)


def details(cells: Sequence[Shown]) -> dict[str, Any]:
    """What only ratios, budgets, components and downloads need beside it."""
    if not cells:
        return {}
    studied = [shown.cell for shown in cells]
    first = stored_from(cells)
    found = {name: packed(values, first) for name, values in _components(studied)}
    found |= of_boundaries(_for_ratios(studied), first)
    return found | {"parts": packed(_parts(studied), first)}


def stored_from(cells: Sequence[Shown]) -> int:
    """The number of shipped cells before those of a store, which differ from them in most columns
    and are often alike; 0 without a store."""
    return next((i for i, shown in enumerate(cells) if shown.origin == "store"), 0)


def of_boundaries(named: Iterable[tuple[str, Sequence[Any]]], first: int) -> dict[str, Any]:
    """Columns of boundaries, packed. One that is the same in another boundary, from the cell
    ``first`` on, is sent once: the other is ``{"as": name}``, with ``before`` as in
    :func:`packed`."""
    known: dict[str, dict[str, Sequence[Any]]] = {}
    found = {}
    for name, values in named:
        alike = known.setdefault(name.partition("_")[2], {})
        column = packed(values, first)
        if isinstance(column, list) or "at" in column:
            column = _as_another(values, alike, first) or column
            alike[name] = values
        found[name] = column
    return found


def _as_another(
    values: Sequence[Any], known: dict[str, Sequence[Any]], first: int
) -> dict[str, Any] | None:
    for name, others in known.items():
        if values == others:
            return {"as": name}
        if first and values[first:] == others[first:]:
            return {"as": name, "from": first, "before": packed(values[:first])}
    return None


def packed(values: Sequence[Any], first: int = 0) -> Any:
    """A column of numbers as a list; any other as ``{"of": distinct values, "at": index of each}``,
    because names repeat; a constant one as ``{"all": value}``, or from the cell ``first`` on as
    ``{"all": value, "from": first, "before": column}``. Tuples are of texts."""
    if _constant(values):
        return {"all": values[0]}
    if 0 < first < len(values) and _constant(values[first:]):
        return {"all": values[first], "from": first, "before": packed(values[:first])}
    types = set(map(type, values))
    if types <= _NUMBERS:
        return _rounded(values) if float in types else list(values)
    # By its text, what is neither a number nor text nor texts.
    keys = values if types <= _TEXTS else list(map(repr, values))
    distinct = dict.fromkeys(keys)
    number = {key: place for place, key in enumerate(distinct)}
    # Backwards, so that of equal keys the first value stays.
    firsts = dict(zip(reversed(keys), reversed(values), strict=True))
    return {"of": [firsts[key] for key in distinct], "at": list(map(number.__getitem__, keys))}


def _constant(values: Sequence[Any]) -> bool:
    # True equals 1, and 1 equals 1.0: of several types, equal is not the same.
    return len(set(map(type, values))) == 1 and values.count(values[0]) == len(values)


_NUMBERS = {int, float, bool, type(None)}
_TEXTS = {str, type(None), tuple}


def _rounded(values: Sequence[Any]) -> list[Any]:
    """The values, with floats to :data:`DIGITS` digits; whole ones as integers."""
    floats = [value for value in values if type(value) is float]
    text = ",".join([f"{value:.{DIGITS}g}" for value in floats])
    # As JSON, whole numbers are read back as integers, all in a third of the time of one by one:
    # but for those with an exponent, and for those that JSON does not have.
    odd = "e+" in text or "n" in text
    short = map(_short, floats) if odd else msgspec.json.decode(f"[{text}]")
    rounded = iter(short)
    return [next(rounded) if type(value) is float else value for value in values]


def _short(value: float) -> float:
    short = float(f"{value:.{DIGITS}g}")
    # Up to here JavaScript has every whole number (ECMA-262, Number.MAX_SAFE_INTEGER).
    return int(short) if short.is_integer() and abs(short) < 2**53 else short


# --- facts -----------------------------------------------------------------------------------


def _facts(cells: Sequence[Shown], studied: Sequence[StudyCell]) -> Named:
    """What does not depend on the boundary."""
    summaries = [cell.summary for cell in studied]
    measured = [summary.cell for summary in summaries]
    qualities = [summary.quality for summary in summaries]
    yield from _attributes(cells, "id")
    yield "place", list(map(_place, cells))
    yield from _attributes(cells, "origin")
    yield from _attributes(summaries, "study", "source")
    names = ("task", "dataset", "model", "category", "backend", "settings")
    yield from _attributes(measured, *names)
    yield from _attributes(studied, "architecture")
    yield from _attributes(cells, "weights")
    yield from _attributes(summaries, "device", "fingerprint")
    yield from _attributes(cells, "batch_size")
    yield from _attributes(summaries, "params")
    yield from _attributes(studied, "input_length", "output_length", "logged_g_per_kwh")
    yield from _attributes(summaries, "done", "failed", "invalid")
    yield "seconds", [s.seconds and s.seconds.mean for s in summaries]
    yield "latency_p50", [summary.latency_p50_s for summary in summaries]
    yield "latency_p95", [summary.latency_p95_s for summary in summaries]
    yield from zip(_QUALITY, zip(*map(_quality, qualities), strict=True), strict=True)
    yield "asked", list(map(_precision, studied))
    yield from _attributes(summaries, "reasons", "notes")
    yield "serving", list(map(serving, studied))


def _attributes(things: Sequence[Any], *names: str) -> Named:
    for name in names:
        yield name, list(map(attrgetter(name), things))


def _place(shown: Shown) -> str:
    """A key that is equal for cells that may be ranked or divided; it differs between shipped and
    stored cells."""
    return _digest("\0".join((shown.origin, *comparable.place(shown.cell.summary))))


@lru_cache(maxsize=4096)
def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]


_QUALITY = (
    "metric", "quality", "quality_n", "quality_error", "quality_low", "quality_high",
    "lower_is_better", "in_percent", "unreadable",
)  # fmt: skip
"""With the interval, the direction and whether to show percent: the page knows nothing about
metrics."""


def _quality(quality: Quality | None) -> tuple[Any, ...]:
    if quality is None:
        return _NO_QUALITY
    bounded = interval(quality)
    return (
        quality.metric,
        quality.value,
        quality.n,
        quality.standard_error,
        bounded.low,
        bounded.high,
        metric_of(quality.metric).lower_is_better,
        in_percent(quality.metric, quality.value),
        quality.unreadable,
    )


_NO_QUALITY = (None,) * len(_QUALITY)


def _precision(cell: StudyCell) -> float | None:
    """The requested relative half-width of the repeats; None if their number was fixed."""
    for summary in cell.summaries.values():
        if summary.energy is not None and summary.energy.asked is not None:
            return summary.energy.asked.precision
    return None


def _components(cells: Sequence[StudyCell]) -> Named:
    """What the node's energy is made of."""
    for part in sorted((*PARTS, OTHER, REST)):
        sums = [cell.parts.get(part) for cell in cells]
        yield f"part_{part}", [of_part and of_part.mean for of_part in sums]


def _parts(cells: Iterable[StudyCell]) -> list[list[list[Any]]]:
    """The parts of each cell's widest boundary: domain, joules, accuracy below and above, joules
    proportional to time, whether it is split, joules of a constant error."""
    # Flat, because _rounded is fast for many numbers at once.
    widest = [_of_widest(cell) for cell in cells]
    figures = [
        figure
        for parts in widest
        for part in parts
        for figure in (part.energy_j, part.low, part.high, part.time_j, part.offset_j)
    ]
    short = iter(_rounded(figures))
    return [
        [
            [
                part.domain,
                next(short),
                next(short),
                next(short),
                next(short),
                part.split,
                next(short),
            ]
            for part in parts
        ]
        for parts in widest
    ]


def _of_widest(cell: StudyCell) -> Sequence[Part]:
    return next((p for b in reversed(METERED) if (p := cell.summaries[b].parts)), ())


# --- energies --------------------------------------------------------------------------------


def _energies(cells: Sequence[StudyCell]) -> Named:
    """The figures of each boundary with their intervals."""
    made = _Made(_estimate)
    for boundary in METERED:
        summaries = [cell.summaries[boundary] for cell in cells]
        yield f"{boundary}_n", [s.energy and s.energy.n for s in summaries]
        for prefix, sums in _gross_and_net(boundary, summaries):
            yield from zip((f"{prefix}_{name}" for name in _ESTIMATE), made(sums), strict=True)
        yield f"{boundary}_provenance", list(map(_provenance, summaries))
        yield f"{boundary}_domains", [summary.domains for summary in summaries]
        yield f"{boundary}_problem", [summary.problem for summary in summaries]


def _for_ratios(cells: Sequence[StudyCell]) -> Named:
    """What ratios and budgets need of the figures of each boundary."""
    made = _Made(_inputs)
    for boundary in METERED:
        summaries = [cell.summaries[boundary] for cell in cells]
        for prefix, sums in _gross_and_net(boundary, summaries):
            spread, *inputs = made(sums)
            if prefix == boundary:  # a budget is of the gross energy
                yield f"{boundary}_spread", spread
            yield from zip((f"{prefix}_{name}" for name in _INPUTS), inputs, strict=True)


def _gross_and_net(
    boundary: Boundary, summaries: Sequence[Summary]
) -> list[tuple[str, list[Sums | None]]]:
    return [
        (boundary, [summary.energy for summary in summaries]),
        (f"{boundary}_net", [summary.net for summary in summaries]),
    ]


class _Made:
    """Columns of what is made of figures. Boundaries with the same meters have the same figures, of
    which it is made once."""

    def __init__(self, made: Callable[[Sums | None], tuple[Any, ...]]) -> None:
        self._made = made
        self._known: dict[int, tuple[Any, ...]] = {}

    def __call__(self, sums: Sequence[Sums | None]) -> Iterator[tuple[Any, ...]]:
        """The columns."""
        rows = []
        for each in sums:
            # By identity: the roll-up has the figures of boundaries with the same domains once. The
            # cells keep them alive, so that no other can get the same id.
            row = self._known.get(id(each))
            if row is None:
                row = self._known[id(each)] = self._made(each)
            rows.append(row)
        return zip(*rows, strict=True)


def _provenance(summary: Summary) -> str | None:
    return None if summary.provenance is None else summary.provenance.value


def _estimate(sums: Sums | None) -> tuple[Any, ...]:
    """The values of :data:`_ESTIMATE`: those that the command line prints."""
    if sums is None:
        return (None,) * len(_ESTIMATE)
    estimate = sums.estimate()
    return (
        estimate.value,
        estimate.low,
        estimate.high,
        estimate.sessions,
        estimate.machines,
        estimate.rerun_low,
        estimate.rerun_high,
    )


_ESTIMATE = ("mean", "low", "high", "sessions", "machines", "rerun_low", "rerun_high")


def _inputs(sums: Sums | None) -> tuple[Any, ...]:
    """The relative half-width from the trials alone, and the values of :data:`_INPUTS`, of which a
    ratio is made: they differ from the estimate if a stopping rule left out a cold first repeat."""
    if sums is None:
        return (None,) * (1 + len(_INPUTS))
    found = sums.intervals()
    # A ratio pairs nothing else (see ``compare.paired``).
    blocks = _blocks(sums) if found.over_sessions and not sums.asked else None
    return (
        _relative(found.spread),
        blocks,
        # The blocks have the sessions, too.
        sorted(sums.session_names) or None if blocks is None else None,
        *sums.for_ratio(),
        sums.low,
        sums.high,
        sums.edge,
        found.selection_factor,
    )


_INPUTS = (
    "blocks", "measured_in", "ratio_n", "ratio_mean", "ratio_sd", "below", "above", "edge",
    "widened",
)  # fmt: skip


def _blocks(sums: Sums) -> list[tuple[str, int, float, str]]:
    """(session, block, logarithm of the energy, machine) of each trial, as a ratio pairs them."""
    return [
        (place.session, place.block, math.log(value), place.machine)
        for place, value in zip(sums.places, sums.block_values, strict=True)
    ]


def _relative(spread: Estimate) -> float | None:
    """The relative half-width of the interval from the trials only."""
    if spread.high is None or spread.value <= 0:
        return None
    return (spread.high - spread.value) / spread.value
