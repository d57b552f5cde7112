"""The uncertainty budget of a figure (GUM, k = 2): what its interval is made of."""

from __future__ import annotations

import math

from permille.analysis import intervals
from permille.analysis.summaries import Summary
from permille.records import Record


class Part(Record):
    """One part of a budget: how far, relatively, it alone would reach below and above."""

    name: str
    low: float
    high: float


def parts(summary: Summary) -> tuple[Part, ...]:
    """The parts of a cell's interval: repeats, edges and ticks, meter accuracy or the estimate's
    model. They combine in quadrature on each side."""
    sums = summary.energy
    if sums is None or sums.mean <= 0:
        return ()
    found = []
    spread = intervals.mean_from(sums.n, sums.mean, sums.sd)
    if spread.low is not None and spread.high is not None:
        half = (spread.high - spread.low) / 2 / sums.mean
        found.append(Part(name=f"spread of {sums.n} trials (Student t)", low=half, high=half))
    found.append(Part(name="edges, ticks and resolution", low=sums.edge, high=sums.edge))
    low = math.sqrt(max(0.0, sums.low**2 - sums.edge**2))
    high = math.sqrt(max(0.0, sums.high**2 - sums.edge**2))
    what = "the estimate's model" if summary.provenance == "estimated" else "meter accuracy"
    found.append(Part(name=f"{what} ({', '.join(summary.domains)})", low=low, high=high))
    return tuple(found)


def budget(summary: Summary) -> list[str]:
    """The budget in lines for people."""
    cell = summary.cell
    lines = [f"{cell.model}, {cell.task} on {cell.dataset}, within {summary.boundary}:"]
    lines += [f"  −{100 * p.low:.3g} % / +{100 * p.high:.3g} %  {p.name}" for p in parts(summary)]
    if summary.energy is None:
        lines.append(f"  no figure: {summary.problem}")
    return lines
