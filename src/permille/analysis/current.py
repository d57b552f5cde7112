"""The trials of cells that are not superseded."""

from __future__ import annotations

from collections.abc import Iterable

from permille.analysis.comparable import current, pooled_by
from permille.analysis.summaries import grouped, summarise
from permille.records import Trial


def current_trials(trials: Iterable[Trial]) -> list[Trial]:
    """The trials of cells that are not superseded, in order."""
    listed = list(trials)
    kept = set()
    for summary in current(summarise(group, "node")[0] for group in grouped(listed)):
        kept.add((summary.study, summary.source, summary.cell.id, summary.fingerprint,
                  repr(summary.protocol)))  # fmt: skip
    return [trial for trial in listed if pooled_by(trial) in kept]
