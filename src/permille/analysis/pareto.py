"""The Pareto front of quality and energy, per task and dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from permille import metrics
from permille.analysis import quality
from permille.analysis.cell_summary import Summary
from permille.analysis.comparable import place
from permille.analysis.compare import ratio
from permille.errors import CompareError
from permille.records.answers import Quality


def fronts(summaries: Sequence[Summary]) -> list[bool | None]:
    """For each summary, whether it is on the Pareto front of its place and metric.

    It is if no other there needs less energy and is as good, or is better with no more energy. *As
    good* means no significant difference in a test on the shared samples; *less energy* means a
    ratio whose interval is below 1 or, without an interval, a smaller figure. A model without
    readable answers is never on a front. None if energy or quality is unknown. Fronts across tasks
    are meaningless and not computed.
    """
    candidates = [_candidate(s) for s in summaries]
    groups: dict[tuple[str, ...], list[_Candidate]] = {}
    for one in candidates:
        if one is not None:
            groups.setdefault(one.key, []).append(one)
    for group in groups.values():
        group.sort(key=_goodness, reverse=True)  # most are dominated by the best, so try that first
    return [None if one is None else _on_front(one, groups[one.key]) for one in candidates]


class _Candidate(NamedTuple):
    """A summary with an energy and a quality. It is ranked among those with the same ``key``;
    ``energy_j`` is worked out once, since it is compared with that of many others."""

    summary: Summary
    quality: Quality
    energy_j: float
    key: tuple[str, ...]


def _candidate(summary: Summary) -> _Candidate | None:
    energy, score = summary.energy, summary.quality
    if energy is None or score is None:
        return None
    return _Candidate(summary, score, energy.value, (*place(summary), score.metric))


def _goodness(one: _Candidate) -> float:
    return metrics.goodness(one.quality.metric, one.quality.value)


def _on_front(one: _Candidate, group: Sequence[_Candidate]) -> bool:
    if quality.nothing_read(one.quality):
        return False
    return not any(o.energy_j <= one.energy_j and o is not one and _beats(o, one) for o in group)


def _beats(o: _Candidate, s: _Candidate) -> bool:
    """Whether ``o``, which needs no more energy, is as good and needs less, or is better."""
    if quality.nothing_read(o.quality):
        return False
    level = quality.ranked(o.quality, s.quality)
    if level == "worse":
        return False
    return level == "better" or needs_less(o.summary, s.summary)


def needs_less(a: Summary, b: Summary) -> bool:
    """Whether ``a`` needs less energy than ``b`` with the whole interval of their ratio or, without
    an interval, by the figures."""
    if a.energy is None or b.energy is None:
        return False
    try:
        times = ratio(a, b)
    except CompareError:  # one is not above 0: there is no ratio, but the figures can be ordered
        return a.energy.value < b.energy.value
    return (times.value if times.high is None else times.high) < 1
