"""Quality beside energy: which models no other beats in both, per task and dataset."""

from __future__ import annotations

from collections.abc import Sequence

from permille.analysis.summaries import Summary

LESS_IS_BETTER = frozenset({"perplexity", "pseudo-perplexity", "wer", "cer", "fid"})
"""Metrics that are better the lower they are; all others are better the higher."""


def fronts(summaries: Sequence[Summary]) -> list[bool | None]:
    """For each summary whether it lies on the Pareto front of its own (task, dataset, study,
    source, machine, boundary, metric): no other there needs less or equal energy for better or
    equal quality, one of the two strictly. None where energy or quality is not known. Fronts
    across tasks mean nothing and are not drawn.
    """
    return [_on_front(s, [o for o in summaries if _place(o) == _place(s)]) for s in summaries]


def _on_front(s: Summary, others: Sequence[Summary]) -> bool | None:
    mine = _point(s)
    if mine is None:
        return None
    return not any(
        theirs != mine and theirs[0] <= mine[0] and theirs[1] >= mine[1]
        for theirs in map(_point, others)
        if theirs is not None
    )


def _point(s: Summary) -> tuple[float, float] | None:
    """(energy, goodness), or None."""
    if s.energy is None or s.quality is None:
        return None
    sign = -1.0 if s.quality.metric.casefold() in LESS_IS_BETTER else 1.0
    return s.energy.mean, sign * s.quality.value


def _place(s: Summary) -> tuple[str | None, ...]:
    metric = s.quality.metric if s.quality else None
    cell = s.cell
    return (cell.task, cell.dataset, s.study, s.source, s.fingerprint, s.boundary, metric)
