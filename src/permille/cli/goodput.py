"""The goodput of operating points, from the recordings of their trials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from permille.analysis.cell_summary import Summary
from permille.analysis.goodput import Goodput, TimedTrial, goodput, request_limits, times_of
from permille.analysis.slo import Limit
from permille.records.trial import Trial
from permille.store import Store


def goodputs(
    store: Store, summaries: Sequence[Summary], promise: Iterable[Limit]
) -> dict[str, Goodput]:
    """By the model's name with its load; the summaries are of one study."""
    limits = request_limits(promise)
    timed: dict[str, list[TimedTrial]] = {summary.cell.model: [] for summary in summaries}
    for trials in store.by_cell(summaries[0].study):
        for summary in summaries:
            timed[summary.cell.model] += _timed(store, summary, trials)
    return {s.cell.model: goodput(timed[s.cell.model], limits, s.boundary) for s in summaries}


def _timed(store: Store, summary: Summary, trials: Iterable[Trial]) -> Iterator[TimedTrial]:
    """The finished trials of a summary, among those of one cell, with their recorded times."""
    # A summary over several machines joins their fingerprints by "+".
    machines = summary.fingerprint.split("+")
    for trial in trials:
        if (
            trial.status == "done"
            and trial.cell.id == summary.cell.id
            and trial.source == summary.source
            and trial.protocol == summary.protocol
            and trial.environment.fingerprint in machines
        ):
            # One recording at a time in memory, and not those of the whole study.
            raw = store.raw(trial.uid)
            yield times_of(trial, raw.spans if raw else (), raw.durations_ns if raw else ())
