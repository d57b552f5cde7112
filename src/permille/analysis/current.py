"""The trials of cells that are not superseded, and the groups of a store with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from permille.analysis.comparable import current, pooled_by
from permille.analysis.summaries import grouped, summarise
from permille.records.trial import Trial

if TYPE_CHECKING:
    from permille.analysis.cell_summary import Summary

G = TypeVar("G")


def current_trials(trials: Iterable[Trial]) -> list[Trial]:
    """The trials of cells that are not superseded, in order."""
    listed = list(trials)
    groups = [(group, summarise(group, "node")[0]) for group in grouped(listed)]
    # Not the trials of the groups that are kept, one after the other, which is another order.
    kept = {pooled_by(group[0]) for group, _ in current_groups(groups)}
    return [trial for trial in listed if pooled_by(trial) in kept]


def current_groups(groups: Iterable[tuple[G, Summary]]) -> list[tuple[G, Summary]]:
    """The groups of a store that are not superseded, in order, each with its summary."""
    listed = list(groups)
    # By identity: a summary holds dicts, and so has no hash.
    kept = {id(summary) for summary in current(summary for _, summary in listed)}
    return [(group, summary) for group, summary in listed if id(summary) in kept]
