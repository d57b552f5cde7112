"""Which figures may be pooled, which may be ranked or divided, and which still count.

These are rules about experiments, not about numbers; every table, ratio, front and answer asks
here, so that no two of them can disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from permille.records import Cell, Record, Trial

if TYPE_CHECKING:
    from permille.analysis.cell_summary import Summary

OURS = "permille"
"""The source of what permille measured itself."""


def pooled_by(trial: Trial, *, across_machines: bool = False) -> tuple[str, ...]:
    """Trials of one key are repeats of one thing, and their mean means something. Those of
    different studies, sources, cells, protocols or (unless asked for) machines are not."""
    return (
        trial.study,
        trial.source,
        trial.cell.id,
        "" if across_machines else trial.environment.fingerprint,
        repr(trial.protocol),
    )


def place(summary: Summary) -> tuple[str, ...]:
    """Figures of one key may be ranked, or divided by one another.

    Another tool's runs at another batch size were another experiment; in a study of ours it is
    what its author set beside the other. A replica is compared with replicas alone.
    """
    cell = summary.cell
    batch = "" if summary.source == OURS else str(cell.settings.get("batch_size", ""))
    where = (cell.task, cell.dataset, summary.study, summary.source, summary.fingerprint)
    return (*where, summary.boundary, batch, weights(cell))


def weights(cell: Cell) -> str:
    """``replica`` where the weights are random; else empty."""
    return str(cell.settings.get("weights") or "")


class Superseded(Record):
    """A figure that a newer one has taken the place of, and what differs."""

    summary: Summary
    differs: str


def current(summaries: Iterable[Summary]) -> list[Summary]:
    """Those that still count, in their order; see :func:`split`."""
    return split(summaries)[0]


def split(summaries: Iterable[Summary]) -> tuple[list[Summary], list[Superseded]]:
    """The summaries that count, and those that newer ones supersede.

    After a change of code or of a setting, a study's cell is another one, and the figures of the
    old stay in the store. Of one (study, task, dataset, model) on one machine the cell with the
    trial that was started last counts: of two started in the same second, the one that came into
    the store later. What other tools measured is never superseded: there, rows that differ by
    a batch size or a date are rows of their own.
    """
    listed = list(summaries)
    newest: dict[tuple[str, ...], int] = {}
    for number, summary in enumerate(listed):
        key = _model_at(summary)
        if key not in newest or summary.last_started >= listed[newest[key]].last_started:
            newest[key] = number
    kept, older = [], []
    for number, summary in enumerate(listed):
        counts = newest[_model_at(summary)]
        if summary.source != OURS or counts == number:
            kept.append(summary)
        else:
            words = difference(summary, listed[counts])
            older.append(Superseded(summary=summary, differs=words))
    return kept, older


def _model_at(summary: Summary) -> tuple[str, ...]:
    cell = summary.cell
    # Pooled over machines, a summary's fingerprint names those that its trials happen to be of.
    machine = "" if "+" in summary.fingerprint else summary.fingerprint
    return (summary.study, summary.source, cell.task, cell.dataset, cell.model, machine)


def difference(old: Summary, new: Summary) -> str:
    """What differs between a figure and the newer one: ``inferences 100, now 200``."""
    found = []
    if old.protocol is not None and new.protocol is not None:
        was, now = (msgspec.structs.asdict(s.protocol) for s in (old, new))  # type: ignore[arg-type]
        found += [f"{name} {was[name]}, now {now[name]}" for name in was if was[name] != now[name]]
    if old.cell.backend != new.cell.backend:
        found.append(f"backend {old.cell.backend}, now {new.cell.backend}")
    if old.cell.category != new.cell.category:
        found.append(f"category {old.cell.category}, now {new.cell.category}")
    first, second = old.cell.settings, new.cell.settings
    found += [
        f"{name} {_short(first.get(name))}, now {_short(second.get(name))}"
        for name in dict.fromkeys((*first, *second))
        if first.get(name) != second.get(name)
    ]
    return "; ".join(found) or "the model's code or files, or the dataset's samples"


def _short(value: object) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def same_model_twice(cells: Sequence[Cell]) -> tuple[Cell, Cell] | None:
    """Two different cells of one study that no table could tell apart, if there are any."""
    seen: dict[tuple[str, str, str], Cell] = {}
    for cell in cells:
        first = seen.setdefault((cell.task, cell.dataset, cell.model), cell)
        if first.id != cell.id:
            return first, cell
    return None
