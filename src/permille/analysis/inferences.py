"""The energy of each inference of a query span, where the meters can carry it. Pure.

One inference is far shorter than most meters' ticks, so that only slow ones (an image drawn, a text
of many tokens) have an energy of their own; the others are counted as refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from permille import energy
from permille.analysis.boundaries import within
from permille.records import Boundary, EachInference, Recording, Refused, Span

MOST = 10_000
"""Inferences that are looked at, at most: the first."""
_POLLS = 2
"""Polls of the recorder that the mean inference must last, or nothing is tried."""
_GAPS = 0.05
"""Share of the span that may lie between its inferences: more, and they were not one by one."""


def each_inference(
    recording: Recording, query: Span, durations_ns: Sequence[int], boundary: Boundary = "compute"
) -> EachInference | None:
    """Joules of single inferences within a boundary: their median and 95th percentile.

    ``durations_ns`` are those of the query span's calls, one after the other from its start. None
    where they are too short to be tried, or do not fill the span (a server under load).
    """
    if not durations_ns:
        return None
    total_ns = sum(durations_ns)
    if total_ns / len(durations_ns) < _POLLS * recording.stats.interval_s * 1e9:
        return None
    span_ns = query.t1_ns - query.t0_ns
    if abs(span_ns - total_ns) > _GAPS * span_ns:
        return None
    # What lies between two inferences, some hundred nanoseconds, is shared out evenly.
    gap_ns = max(0, span_ns - total_ns) // len(durations_ns)
    edges = list(accumulate((d + gap_ns for d in durations_ns), initial=query.t0_ns))
    joules, refused = [], 0
    for t0_ns, t1_ns in list(pairwise(edges))[:MOST]:
        span = Span(name="inference", t0_ns=t0_ns, t1_ns=min(t1_ns, query.t1_ns))
        spent = within(energy.phase(recording, span), boundary)
        if isinstance(spent, Refused):
            refused += 1
        else:
            joules.append(spent.energy_j)
    joules.sort()
    return EachInference(
        n=len(joules),
        refused=refused,
        p50_j=joules[len(joules) // 2] if joules else None,
        p95_j=joules[min(len(joules) - 1, int(0.95 * len(joules)))] if joules else None,
    )
