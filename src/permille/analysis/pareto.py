"""The Pareto front of quality and energy, per task and dataset."""

from __future__ import annotations

from collections.abc import Sequence

from permille import metrics
from permille.analysis import quality
from permille.analysis.cell_summary import Summary
from permille.analysis.comparable import place
from permille.analysis.compare import ratio
from permille.errors import CompareError


def fronts(summaries: Sequence[Summary]) -> list[bool | None]:
    """For each summary, whether it is on the Pareto front of its place and metric.

    It is if no other there needs less energy and is as good, or is better with no more energy. *As
    good* means no significant difference in a test on the shared samples; *less energy* means a
    ratio whose interval is below 1 or, without an interval, a smaller figure. A model without
    readable answers is never on a front. None if energy or quality is unknown. Fronts across tasks
    are meaningless and not computed.
    """
    groups: dict[tuple[str, ...], list[Summary]] = {}
    known = [s for s in summaries if _known(s)]
    if not known:
        return [None] * len(summaries)
    for s in known:
        groups.setdefault(_key(s), []).append(s)
    for group in groups.values():
        group.sort(key=_goodness, reverse=True)  # most are dominated by the best, so try that first
    return [_on_front(s, groups[_key(s)]) if _known(s) else None for s in summaries]


def _goodness(s: Summary) -> float:
    assert s.quality is not None
    return metrics.goodness(s.quality.metric, s.quality.value)


def _known(s: Summary) -> bool:
    return s.energy is not None and s.quality is not None


def _key(s: Summary) -> tuple[str, ...]:
    return (*place(s), s.quality.metric if s.quality else "")


def _on_front(s: Summary, group: Sequence[Summary]) -> bool:
    if quality.nothing_read(s.quality):
        return False
    return not any(_beats(o, s) for o in group if o is not s)


def _beats(o: Summary, s: Summary) -> bool:
    if quality.nothing_read(o.quality):
        return False
    assert o.energy is not None
    assert s.energy is not None
    if o.energy.value > s.energy.value:
        return False
    level = quality.compared(o.quality, s.quality).level
    if level == "unknown":  # no error is known for either: compare the values
        assert o.quality is not None
        assert s.quality is not None
        level = quality.by_value(o.quality, s.quality)
    if level == "worse":
        return False
    return level == "better" or needs_less(o, s)


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
