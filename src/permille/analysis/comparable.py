"""The rules for which figures may be pooled, ranked or divided, and which are superseded.

These are rules about experiments, not about numbers. Every table, ratio, front and answer uses
them, so that no two of them can disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from permille.records import Record
from permille.records.cell import Cell
from permille.records.trial import PER_GPU, Trial

if TYPE_CHECKING:
    from permille.analysis.cell_summary import Summary

OURS = "permille"
"""The source of what permille measured itself."""


def pooled_by(trial: Trial, *, across_machines: bool = False) -> tuple[str, ...]:
    """Trials with the same key are repeats of the same experiment and may be averaged. Trials of
    different studies, sources, cells, protocols or (unless pooled) machines are not."""
    return (
        trial.study,
        trial.source,
        trial.cell.id,
        "" if across_machines else trial.environment.fingerprint,
        # All of it, so that a field that is added to the protocol keeps trials apart, too.
        repr(trial.protocol),
    )


def place(summary: Summary) -> tuple[str, ...]:
    """Figures with the same key may be ranked and divided.

    For another tool's runs, a different batch size is a different experiment; in a permille study
    it is a setting that the author wants to compare. Replicas are only compared with replicas, and
    trials of one GPU beside others only with such.
    """
    cell = summary.cell
    batch = "" if summary.source == OURS else str(cell.settings.get("batch_size", ""))
    # The study, because its protocol (samples, passes, idle) is part of the experiment; the source,
    # because two tools measure different things under one name.
    where = (cell.task, cell.dataset, summary.study, summary.source, summary.fingerprint)
    return (*where, summary.boundary, batch, weights(cell), _beside_others(summary))


def _beside_others(summary: Summary) -> str:
    """``gpu`` if its trials ran beside others on the machine's other GPUs; otherwise empty."""
    return "gpu" if summary.protocol is not None and summary.protocol.name == PER_GPU else ""


def weights(cell: Cell) -> str:
    """``replica`` if the weights are random; otherwise empty."""
    return str(cell.settings.get("weights") or "")


def called(cell: Cell) -> str:
    """The model's name in a sentence; of one with random weights, it says so."""
    return f"{cell.model} ({found})" if (found := weights(cell)) else cell.model


def agent_of(summary: Summary) -> str | None:
    """The address of the agent whose machine was measured; None: no agent did."""
    meter = summary.cell.settings.get("meter")
    return meter if isinstance(meter, str) and summary.source == OURS else None


class Superseded(Record):
    """A figure that a newer one supersedes, and what differs."""

    summary: Summary
    differs: str


def current(summaries: Iterable[Summary]) -> list[Summary]:
    """The summaries that are not superseded, in order; see :func:`split`."""
    return split(summaries)[0]


def split(summaries: Iterable[Summary]) -> tuple[list[Summary], list[Superseded]]:
    """The summaries that count, and those that newer ones supersede.

    A change of code or settings makes a new cell, and the figures of the old one stay in the store.
    For each (study, task, dataset, model) on one machine, the cell with the trial that was started
    last counts; of two started in the same second, the one stored later. Figures of other tools are
    never superseded: rows that differ in batch size or date stay separate.
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
    # If machines are pooled, a summary's fingerprint depends on which machines its trials are from.
    machine = "" if "+" in summary.fingerprint else summary.fingerprint
    where = (summary.study, summary.source, cell.task, cell.dataset, cell.model, machine)
    # A figure of one GPU alone (--per gpu) does not supersede one of the whole machine.
    return (*where, _beside_others(summary))


def difference(old: Summary, new: Summary) -> str:
    """What differs between a figure and the newer one: ``inferences 100, now 200``."""
    differences = []
    if old.protocol is not None and new.protocol is not None:
        was, now = (msgspec.structs.asdict(s.protocol) for s in (old, new))  # type: ignore[arg-type]
        differences += [
            f"{name} {was[name]}, now {now[name]}" for name in was if was[name] != now[name]
        ]
    if old.cell.backend != new.cell.backend:
        differences.append(f"backend {old.cell.backend}, now {new.cell.backend}")
    if old.cell.category != new.cell.category:
        differences.append(f"category {old.cell.category}, now {new.cell.category}")
    first, second = old.cell.settings, new.cell.settings
    differences += [
        f"{name} {_short(first.get(name))}, now {_short(second.get(name))}"
        for name in dict.fromkeys((*first, *second))
        if first.get(name) != second.get(name)
    ]
    return "; ".join(differences) or "the model's code or files, or the dataset's samples"


def _short(value: object) -> str:
    text = "not given" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def same_model_twice(cells: Sequence[Cell]) -> tuple[Cell, Cell] | None:
    """Two different cells of one study that no table could distinguish, if there are any."""
    known: dict[tuple[str, str, str], Cell] = {}
    for cell in cells:
        first = known.setdefault((cell.task, cell.dataset, cell.model), cell)
        if first.id != cell.id:
            return first, cell
    return None
