"""Answer the paper's question in sentences from the data: task-specific or general-purpose?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from permille import metrics
from permille.analysis import quality
from permille.analysis.cell_summary import Summary
from permille.analysis.comparable import called, current, place
from permille.analysis.compare import ratio
from permille.analysis.evidence_words import over_sessions
from permille.records.energy import Estimate


def answers(summaries: Sequence[Summary], *, net: bool = False) -> list[str]:
    """One sentence per (task, dataset) with a figure for both kinds of model: it compares the two
    of :func:`pairs`; with ``net``, by the energy above idle."""
    if net:
        summaries = [summary.above_idle() for summary in summaries]
    return [
        f"{a.cell.task} on {a.cell.dataset}: {_sentence(a, b, energy_words(net=net))}"
        for a, b in pairs(summaries)
    ]


def energy_words(*, net: bool) -> str:
    """What the ratio of a sentence is of."""
    return "energy above idle" if net else "energy"


def pairs(summaries: Sequence[Summary]) -> list[tuple[Summary, Summary]]:
    """A general-purpose and a task-specific model for each place with a figure for both.

    Of the general-purpose models it is the cheapest that is as good as the best of them. It is
    compared with the cheapest task-specific model that is as good or, if there is none, with the
    cheapest that is as good as the best task-specific one. Of models without a known quality, those
    with the least energy are compared.
    """
    return pairs_of_current(current(summaries))


def pairs_of_current(summaries: Sequence[Summary]) -> list[tuple[Summary, Summary]]:
    """The same of summaries none of which is superseded by another."""
    chosen = []
    for members in _comparable(summaries):
        general = [s for s in members if s.cell.category == "general-purpose"]
        specific = [s for s in members if s.cell.category == "task-specific"]
        if general and specific:
            a = _cheapest_as_good(general, max(general, key=_merit))
            as_good = [s for s in specific if _as_good(s, a)]
            b = (
                min(as_good, key=_energy)
                if as_good
                else _cheapest_as_good(specific, max(specific, key=_merit))
            )
            chosen.append((a, b))
    return chosen


def places_of_both(summaries: Sequence[Summary]) -> set[tuple[str, str]]:
    """The (task, dataset) pairs with both kinds of model."""
    kinds: dict[tuple[str, str], set[str]] = {}
    for s in summaries:
        kinds.setdefault((s.cell.task, s.cell.dataset), set()).add(s.cell.category)
    return {at for at, found in kinds.items() if {"general-purpose", "task-specific"} <= found}


def _comparable(summaries: Sequence[Summary]) -> list[list[Summary]]:
    """The summaries with a figure by place, where there may be both kinds of model."""
    # By task and dataset first: of many cells, few are where both kinds of model are.
    both = places_of_both(summaries)
    groups: dict[tuple[str, ...], list[Summary]] = {}
    for s in summaries:
        at = (s.cell.task, s.cell.dataset)
        # A net energy may be 0 or below, and then has no ratio.
        if at in both and s.energy is not None and s.energy.value > 0:
            groups.setdefault(place(s), []).append(s)
    return list(groups.values())


def _merit(summary: Summary) -> tuple[float, float]:
    measured = summary.quality
    good = -math.inf if measured is None else metrics.goodness(measured.metric, measured.value)
    # Of equally good models, the one with the least energy.
    return good, -_energy(summary)


def _energy(summary: Summary) -> float:
    assert summary.energy is not None
    return summary.energy.value


def _as_good(s: Summary, other: Summary) -> bool:
    """Whether it has readable answers and is not worse than the other."""
    if s.quality is None or other.quality is None or quality.nothing_read(s.quality):
        return False
    return quality.ranked(s.quality, other.quality) in ("better", "same")


def _cheapest_as_good(models: Sequence[Summary], best: Summary) -> Summary:
    # The best is always a candidate: without a quality or readable answers, it is not even as good
    # as itself.
    return min((s for s in models if s is best or _as_good(s, best)), key=_energy)


def _sentence(a: Summary, b: Summary, energy: str) -> str:
    times = ratio(a, b)
    first, second = called(a.cell), called(b.cell)
    words = f"{first} needs {times_text(times)} the {energy} of {second}"
    # An interval that includes 1 does not say which of the two needs more: "1.1 times" would be
    # read as if it did.
    if times.low is not None and times.high is not None and times.low <= 1 <= times.high:
        words = (
            f"{first} and {second} do not differ significantly in {energy} ({times_text(times)})"
        )
    over = over_sessions(times, short)
    evidence = "" if over is None else f" The ratio is {over}."
    return f"{words} {quality.verdict_text(a.quality, b.quality)}.{evidence}"


def times_text(ratio: Estimate) -> str:
    """``15 [13, 17] times``; without an interval, says so."""
    if ratio.low is None or ratio.high is None:
        return f"{short(ratio.value)} times (one trial: no interval)"
    return f"{short(ratio.value)} [{short(ratio.low)}, {short(ratio.high)}] times"


def short(value: float) -> str:
    """Two significant digits, without an exponent: 0.067, 1.4, 15, 6,800."""
    if value == 0:
        return "0"
    # Rounded before it is formatted: the format g has an exponent, and f no significant digits.
    digits = 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, digits):,.{max(0, digits)}f}"
