"""The energy of single inferences in a query span, if the meters can resolve it. Pure.

Most inferences are far shorter than a meter's tick, so only slow ones (generating an image or a
long text) have their own energy; the others are counted as refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from permille.analysis.boundaries import within
from permille.analysis.percentiles import percentile
from permille.energy import phases
from permille.records.answers import EachInference
from permille.records.energy import Boundary, Refused
from permille.records.recording import Recording, Span

MOST = 10_000
"""The most inferences that are evaluated: the first ones."""
_POLLS = 2
"""The mean inference must last this many polls of the recorder; otherwise none is evaluated."""
_GAPS = 0.05
"""The largest share of the span between inferences; above that, they did not run one by one."""


def each_inference(
    recording: Recording, query: Span, durations_ns: Sequence[int], boundary: Boundary = "compute"
) -> EachInference | None:
    """Joules of single inferences in a boundary: their median and 95th percentile.

    ``durations_ns`` are those of the query span's consecutive calls from its start. None if they
    are too short, or do not fill the span (a server under load), or if there are pauses between
    them.
    """
    # The edges below add up the durations, which do not tell where a pause was.
    if not durations_ns or query.pauses:
        return None
    total_ns = sum(durations_ns)
    if total_ns / len(durations_ns) < _POLLS * recording.stats.interval_s * 1e9:
        return None
    span_ns = query.t1_ns - query.t0_ns
    if abs(span_ns - total_ns) > _GAPS * span_ns:
        return None
    # The gaps between inferences, some hundred nanoseconds, are distributed evenly.
    gap_ns = max(0, span_ns - total_ns) // len(durations_ns)
    edges = list(accumulate((d + gap_ns for d in durations_ns), initial=query.t0_ns))
    joules, refused = [], 0
    for t0_ns, t1_ns in list(pairwise(edges))[:MOST]:
        # The durations may add up to slightly more than the span, up to _GAPS of it.
        span = Span(name="inference", t0_ns=t0_ns, t1_ns=min(t1_ns, query.t1_ns))
        spent = within(phases.phase(recording, span), boundary)
        if isinstance(spent, Refused):
            refused += 1
        else:
            joules.append(spent.energy_j)
    joules.sort()
    return EachInference(
        n=len(joules),
        refused=refused,
        p50_j=percentile(joules, 0.50) if joules else None,
        p95_j=percentile(joules, 0.95) if joules else None,
    )
