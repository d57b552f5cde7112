"""The paper's question, answered in sentences from the data: task-specific or general-purpose?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from permille.analysis.compare import ratio
from permille.analysis.summaries import Summary
from permille.records import Estimate, Quality


def answers(summaries: Sequence[Summary]) -> list[str]:
    """One sentence per (task, dataset) that has both kinds of model with a figure.

    The general-purpose and the task-specific model of the best quality are set side by side;
    of models without a known quality, those of the least energy.
    """
    groups: dict[tuple[str, ...], list[Summary]] = {}
    for s in summaries:
        if s.energy is not None and s.energy.mean > 0:
            key = (s.cell.task, s.cell.dataset, s.study, s.source, s.fingerprint)
            groups.setdefault(key, []).append(s)
    found = []
    for (task, dataset, *_), members in groups.items():
        general = [s for s in members if s.cell.category == "general-purpose"]
        specific = [s for s in members if s.cell.category == "task-specific"]
        if general and specific:
            a, b = max(general, key=_merit), max(specific, key=_merit)
            found.append(f"{task} on {dataset}: {_sentence(a, b)}")
    return found


def _merit(summary: Summary) -> tuple[float, float]:
    assert summary.energy is not None
    quality = summary.quality.value if summary.quality else -math.inf
    return quality, -summary.energy.mean


def _sentence(a: Summary, b: Summary) -> str:
    times = ratio(a, b)
    words = f"{a.cell.model} needs {times_text(times)} the energy of {b.cell.model}"
    if times.low is not None and times.high is not None and times.low <= 1 <= times.high:
        words = (
            f"{a.cell.model} and {b.cell.model} cannot be told apart in energy"
            f" ({times_text(times)})"
        )
    return f"{words} {_for_quality(a.quality, b.quality)}."


def times_text(ratio: Estimate) -> str:
    """``15 [13, 17] times``; without an interval, says so."""
    if ratio.low is None or ratio.high is None:
        return f"{short(ratio.value)} times (one trial: no interval)"
    return f"{short(ratio.value)} [{short(ratio.low)}, {short(ratio.high)}] times"


def short(value: float) -> str:
    """Two significant digits, without an exponent: 0.067, 1.4, 15, 6,800."""
    if value == 0:
        return "0"
    digits = 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, digits):,.{max(0, digits)}f}"


def _for_quality(a: Quality | None, b: Quality | None) -> str:
    if a is None or b is None or a.metric != b.metric:
        return "(quality not known)"
    error_a, error_b = a.standard_error or 0.0, b.standard_error or 0.0
    # Taking the two as independent overstates the error of a difference on the same samples.
    apart = abs(a.value - b.value) > 1.96 * math.hypot(error_a, error_b)
    level = "the same" if not apart else "a higher" if a.value > b.value else "a lower"
    widest = 1.96 * max(error_a, error_b)
    return (
        f"for {level} {a.metric} ({100 * a.value:.0f} % against {100 * b.value:.0f} %,"
        f" ±{100 * widest:.0f} points each)"
    )
