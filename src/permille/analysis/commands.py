"""Runs of a command -> its figure: energy with its interval, by domain, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence

from permille.analysis import intervals
from permille.analysis.boundaries import Bounded, within
from permille.analysis.rows import scaled
from permille.records import Boundary, Estimate, Phase, Provenance, Record
from permille.units import kwh_from_joules, per_1000


class DomainMean(Record):
    """Mean joules of one domain over the runs."""

    energy_j: float
    provenance: Provenance


class Figure(Record):
    """What a command costs, a run. ``energy`` is None where it cannot be told; ``reason`` says
    why. ``runs_j`` are the runs one by one."""

    energy: Estimate | None
    net: Estimate | None
    domains: dict[str, DomainMean]
    seconds: float
    provenance: Provenance | None
    reason: str | None
    runs_j: tuple[float, ...] = ()
    note: str = ""


def figure(
    phases: Sequence[Phase], idles: Sequence[Phase | None], boundary: Boundary, pue: float = 1.0
) -> Figure:
    """The figure of one command's runs. With one run the interval is the meters' alone, and is
    of that run; with more it is of the mean, and holds their spread too. ``pue`` multiplies the
    energy within ``facility``."""
    seconds = math.fsum(p.seconds for p in phases) / len(phases)
    domains = _domains(phases)
    bounded: list[Bounded] = []
    for phase in phases:
        found = within(phase, boundary)
        if isinstance(found, str):
            return Figure(
                energy=None,
                net=None,
                domains=domains,
                seconds=seconds,
                provenance=None,
                reason=found,
            )
        bounded.append(found)
    overhead = pue if boundary == "facility" else 1.0
    values = [b.energy_j * overhead for b in bounded]
    return Figure(
        energy=_estimate(values, bounded),
        net=_net(phases, idles, bounded, boundary, overhead),
        domains=domains,
        seconds=seconds,
        provenance=max((b.provenance for b in bounded), key=lambda p: p.weakness),
        reason=None,
        runs_j=tuple(values),
        note=bounded[0].note,
    )


def per_inference(
    phases: Sequence[Phase], inferences: Sequence[int], boundary: Boundary, pue: float = 1.0
) -> Estimate | None:
    """kWh per 1,000 inferences over runs that made ``inferences`` each; None where one run has
    no figure.

    All energy over all inferences, with the interval of that ratio (Cochran, Sampling
    Techniques, 1977, eq. 6.13), which is Student's where every run made as many.
    """
    bounded: list[Bounded] = []
    for phase in phases:
        found = within(phase, boundary)
        if isinstance(found, str):
            return None
        bounded.append(found)
    overhead = pue if boundary == "facility" else 1.0
    values = [b.energy_j * overhead for b in bounded]
    each_j = math.fsum(values) / sum(inferences)
    mean_n = sum(inferences) / len(inferences)
    level = each_j * mean_n
    around = [level + value - each_j * n for value, n in zip(values, inferences, strict=True)]
    found_j = _estimate(around, bounded)
    return scaled(found_j, lambda j: per_1000(kwh_from_joules(j) * len(phases), sum(inferences)))


def _estimate(values: Sequence[float], bounded: Sequence[Bounded]) -> Estimate:
    total = math.fsum(b.energy_j for b in bounded)
    if total <= 0:
        return Estimate(value=intervals.mean(values).value, low=None, high=None)
    edge = 2 * math.sqrt(math.fsum(b.edge_j**2 for b in bounded)) / total
    low = math.hypot(math.fsum(b.low_j for b in bounded) / total, edge)
    high = math.hypot(math.fsum(b.high_j for b in bounded) / total, edge)
    spread = intervals.mean(values)
    if spread.low is None:
        estimate = intervals.systematic_only(spread.value, low, high)
    else:
        estimate = intervals.with_systematic(spread, low, high)
    return intervals.not_negative(estimate)


def _net(
    phases: Sequence[Phase],
    idles: Sequence[Phase | None],
    bounded: Sequence[Bounded],
    boundary: Boundary,
    overhead: float,
) -> Estimate | None:
    """Above the idle power measured just before each run; None without a baseline."""
    values = []
    for phase, idle, gross in zip(phases, idles, bounded, strict=True):
        baseline = within(idle, boundary) if idle else "no baseline"
        if idle is None or isinstance(baseline, str) or baseline.domains != gross.domains:
            return None
        idle_power_w = baseline.energy_j / idle.seconds
        values.append((gross.energy_j - idle_power_w * phase.seconds) * overhead)
    return intervals.mean(values)


def _domains(phases: Sequence[Phase]) -> dict[str, DomainMean]:
    """Mean of each domain that every run has a figure of."""
    names = [n for n in phases[0].domains if all(n in p.domains for p in phases)]
    return {
        name: DomainMean(
            energy_j=math.fsum(p.domains[name].energy_j for p in phases) / len(phases),
            provenance=max((p.domains[name].provenance for p in phases), key=lambda p: p.weakness),
        )
        for name in names
    }
