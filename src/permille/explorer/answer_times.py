"""The times of a cell's answers as the page gets them, for its goodput under any limit.

A trial may have 20,000 answers. The page gets, for each waiting time, how many came within the
limits at which that number changes; limits have three significant digits, as people choose them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

from permille.analysis.goodput import TimedTrial, answered_in, column_of, times_of, tried
from permille.analysis.slo import TIMES
from permille.explorer.shapes import PageAnswerTimes, PageSteps, PageTimedTrial
from permille.records.energy import Refused
from permille.store import Group, Store

DIGITS = 3
"""Significant digits of a limit."""


def answer_times(store: Store, group: Group) -> PageAnswerTimes:
    """Those of the finished trials of a cell of a store.

    Raises:
        StoreError: one is damaged.
    """
    timed = []
    # All of them, and not the newest only: permille slo has its goodput over all.
    for trial in store.of_group(group):
        if trial.status == "done":
            raw = store.raw(trial.uid)
            timed.append(times_of(trial, raw.spans if raw else (), raw.durations_ns if raw else ()))
    return shape(timed)


def shape(timed: Sequence[TimedTrial]) -> PageAnswerTimes:
    """What the page gets of these trials."""
    reasons: dict[str, str] = {}
    trials: list[PageTimedTrial] = []
    for one in timed:
        answered = answered_in(one.trial)
        if isinstance(answered, Refused):
            return {"reasons": dict.fromkeys(TIMES, answered.reason), "trials": []}
        within: dict[str, PageSteps] = {}
        for time in TIMES:
            column = column_of(one.times, time)
            if isinstance(column, Refused):
                reasons.setdefault(time, column.reason)
            else:
                within[time] = steps(column)
        trials.append(
            {
                "inferences": answered.inferences,
                "seconds": answered.seconds,
                "tried": tried(one.trial),
                "within": within,
            }
        )
    return {"reasons": reasons, "trials": trials}


def steps(times_ns: Iterable[int]) -> PageSteps:
    """How many of the times are within each limit at which the number changes."""
    counts = Counter(map(_limit_ns, times_ns))
    limits_ns = sorted(counts)
    return {
        "limits_s": [limit_ns / 1e9 for limit_ns in limits_ns],
        "counts": list(accumulate(counts[limit_ns] for limit_ns in limits_ns)),
    }


def _limit_ns(time_ns: int) -> int:
    """The smallest limit that the time is within."""
    step: int = 10 ** max(0, len(str(time_ns)) - DIGITS)
    # Upwards: a limit below the time would count an answer that came after it.
    return -(-time_ns // step) * step
