"""What each domain contributes to a figure, and in which coefficients its meter may be wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence

from permille.records import Phase, Record
from permille.units import per_1000


class Part(Record):
    """What one domain contributes, in joules per 1,000 inferences, and how wrong its meter may
    be (relative, k = 2). ``time_j`` is the share that goes with time alone, for an estimate from
    two coefficients (time and work), which may be wrong in opposite ways; None for a figure with
    one scale. ``split`` is false where an estimate should have been divided but had no baseline.
    """

    domain: str
    energy_j: float
    low: float
    high: float
    time_j: float | None = None
    split: bool = True


TWO_COEFFICIENTS = "estimate"
"""The meter whose energies are a sum of watts × time and watts × work."""


def parts_of(
    runs: Sequence[tuple[Phase, Phase | None, int]], domains: Sequence[str]
) -> tuple[Part, ...]:
    """Means by domain over runs: (what was measured, the idle phase before it, inferences)."""
    found = []
    for name in domains:
        figures = [(query.domains.get(name), query, idle, n) for query, idle, n in runs]
        known = [(d, query, idle, n) for d, query, idle, n in figures if d is not None]
        if not known or len(known) < len(figures):
            continue
        first = known[0][0]
        times = [(_time_j(name, query, idle), n) for _, query, idle, n in known]
        two = first.meter == TWO_COEFFICIENTS
        split = [per_1000(time_j, n) for time_j, n in times if time_j is not None]
        found.append(
            Part(
                domain=name,
                energy_j=math.fsum(per_1000(d.energy_j, n) for d, _, _, n in known) / len(known),
                low=max(d.accuracy_low for d, _, _, _ in known),
                high=max(d.accuracy_high for d, _, _, _ in known),
                time_j=math.fsum(split) / len(split) if two and len(split) == len(known) else None,
                split=not two or len(split) == len(known),
            )
        )
    return tuple(found)


def _time_j(name: str, query: Phase, idle: Phase | None) -> float | None:
    """What the domain would have used in the query's time at its idle power, at most what it
    did use; None without a baseline."""
    if idle is None or name not in idle.domains:
        return None
    idle_power_w = idle.domains[name].energy_j / idle.seconds
    return min(query.domains[name].energy_j, idle_power_w * query.seconds)
