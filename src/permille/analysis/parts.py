"""The contribution of each domain to a figure, and the coefficients in which its meter may be
wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence

from permille.records import Record
from permille.records.energy import DomainEnergy, Phase
from permille.units import per_1000


class Part(Record, array_like=True):
    """What one domain contributes, in joules per 1,000 inferences, and how wrong its meter may
    be (relative, k = 2). ``time_j`` is the share that goes with time alone, for an estimate from
    two coefficients (time and work), which may be wrong in opposite ways; None for a figure with
    one scale. ``split`` is false where an estimate should have been divided, but was recorded
    before its parts were kept, and had no baseline either. ``offset_j``: how wrong the meter may
    be by a constant (k = 2), which ``low`` and ``high`` do not include.
    """

    domain: str
    energy_j: float
    low: float
    high: float
    time_j: float | None = None
    split: bool = True
    offset_j: float = 0.0


TWO_COEFFICIENTS = "estimate"
"""The meter whose energies are a sum of watts × time and watts × work."""


MeteredRun = tuple[Phase, Phase | None, int]
"""(The measured phase, the idle phase before it, inferences)."""


def parts_of(runs: Sequence[MeteredRun], domains: Sequence[str]) -> tuple[Part, ...]:
    """Means by domain over runs."""
    parts = (_part(name, runs) for name in domains)
    return tuple(part for part in parts if part is not None)


def _part(name: str, runs: Sequence[MeteredRun]) -> Part | None:
    """One domain's part; None if a run has no figure for it, because a mean over the other runs is
    not a part of a mean over all."""
    known = [(d, n) for query, _, n in runs if (d := query.domains.get(name)) is not None]
    if not known or len(known) < len(runs):
        return None
    two = known[0][0].meter == TWO_COEFFICIENTS
    time_j = _mean_time_j(name, runs) if two else None
    return Part(
        domain=name,
        energy_j=math.fsum(per_1000(d.energy_j, n) for d, n in known) / len(known),
        # The widest, where the accuracy differs between runs: it is one error common to all of
        # them.
        low=max(_gain(d, d.accuracy_low) for d, _ in known),
        high=max(_gain(d, d.accuracy_high) for d, _ in known),
        time_j=time_j,
        split=not two or time_j is not None,
        offset_j=math.fsum(per_1000(d.offset_j, n) for d, n in known) / len(known),
    )


def _gain(domain: DomainEnergy, accuracy: float) -> float:
    """The accuracy without the constant error that it includes."""
    if not domain.offset_j or domain.energy_j <= 0:
        return accuracy
    return math.sqrt(max(0.0, accuracy**2 - (domain.offset_j / domain.energy_j) ** 2))


def _mean_time_j(name: str, runs: Sequence[MeteredRun]) -> float | None:
    """The mean energy proportional to time, per 1,000 inferences; None if a run has no baseline to
    determine it."""
    times = [(_time_j(name, query, idle), n) for query, idle, n in runs]
    known = [per_1000(time_j, n) for time_j, n in times if time_j is not None]
    return math.fsum(known) / len(known) if len(known) == len(runs) else None


def _time_j(name: str, query: Phase, idle: Phase | None) -> float | None:
    """What of the domain's energy goes with time alone. Where the estimate does not say so, what
    it would have used at its idle power, at most what it did use; None without a baseline."""
    known = query.domains[name].time_j
    if known is not None:
        return known
    if idle is None or not idle.seconds or name not in idle.domains:
        return None
    idle_power_w = idle.domains[name].energy_j / idle.seconds
    return min(query.domains[name].energy_j, idle_power_w * query.seconds)
