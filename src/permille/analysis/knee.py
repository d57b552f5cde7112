"""Find the load at which a server stops keeping a promise: doubling, then bisection. Pure.

The search is a walk that only depends on the verdicts so far, so that it goes on from stored trials
where it stopped. A load of which the trials cannot tell whether it keeps the promise ends the walk
in its direction like one that breaks it; between a load that keeps it and one that cannot be told,
further loads would not be told either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from permille.records import Record

DOUBLINGS = 10
"""The most doublings, or halvings, of the first load."""
RESOLUTION = 0.1
"""The bisection ends when the load beyond is at most this share above the one that is kept."""
MOST_LOADS = 1 + DOUBLINGS + 4
"""The most loads of a search: after n bisections of a doubling, the two differ by 2 to the power of
-n, which is below the resolution for n = 4."""

End = Literal["resolved", "cannot-tell", "never-breaks", "none-keeps"]


class KneeStep(Record):
    """The state of a search. ``load``: what to measure next; None at the ``end``. ``kept``: the
    highest load so far that keeps the promise; ``beyond``: the lowest one above it that is not
    known to."""

    load: float | None
    kept: float | None
    beyond: float | None
    end: End | None = None


def step(verdicts: Mapping[float, bool | None], start: float, *, whole: bool) -> KneeStep:
    """The next step from the verdicts on the loads so far: True, the promise is kept; False,
    broken; None, the trials cannot tell. ``whole``: a load is a whole number (of clients)."""
    kept: float | None = None
    beyond: float | None = None
    load: float | None = start
    for _ in range(DOUBLINGS + 1):
        if load is None or (kept is not None and beyond is not None):
            break
        if load not in verdicts:
            return KneeStep(load=load, kept=kept, beyond=beyond)
        if verdicts[load] is True:
            kept, load = load, 2 * load
        else:
            beyond, load = load, _half(load, whole=whole)
    if kept is None:
        return KneeStep(load=None, kept=None, beyond=beyond, end="none-keeps")
    if beyond is None:
        return KneeStep(load=None, kept=kept, beyond=None, end="never-breaks")
    return _bisect(verdicts, kept, beyond, whole=whole)


def _bisect(
    verdicts: Mapping[float, bool | None], kept: float, beyond: float, *, whole: bool
) -> KneeStep:
    # Not on from one that cannot be told: loads below it, nearer to the limit, could not be told
    # either.
    while verdicts[beyond] is False and not _is_resolved(kept, beyond, whole=whole):
        middle = (kept + beyond) / 2
        if whole:
            middle = (kept + beyond) // 2
        if middle not in verdicts:
            return KneeStep(load=middle, kept=kept, beyond=beyond)
        if verdicts[middle] is True:
            kept = middle
        else:
            beyond = middle
    end: End = "resolved" if verdicts[beyond] is False else "cannot-tell"
    return KneeStep(load=None, kept=kept, beyond=beyond, end=end)


def _is_resolved(kept: float, beyond: float, *, whole: bool) -> bool:
    return beyond <= kept * (1 + RESOLUTION) or (whole and beyond - kept <= 1)


def _half(load: float, *, whole: bool) -> float | None:
    """Half the load; None below one client."""
    if not whole:
        return load / 2
    return load // 2 if load > 1 else None
