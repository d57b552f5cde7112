"""Compute a command's figure from its runs: energy with its interval, by domain, or the reason why
there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence

from permille.analysis import compare, intervals
from permille.analysis.boundaries import Bounded, above_idle, within
from permille.analysis.budget import UncertaintyPart, budget_parts
from permille.analysis.estimates import scaled
from permille.analysis.parts import Part as DomainPart
from permille.analysis.parts import parts_of
from permille.analysis.student import CONFIDENCE
from permille.analysis.sums import energy_sums
from permille.analysis.trial_sums import Sums
from permille.carbon.footprint import energy_overhead
from permille.records import Record
from permille.records.energy import Boundary, Estimate, Phase, Refused
from permille.records.recording import Provenance, RecorderStats
from permille.units import kwh_from_joules, per_1000


class DomainMean(Record):
    """Mean joules of one domain over the runs."""

    energy_j: float
    provenance: Provenance


class Figure(Record):
    """A command's energy per run. ``energy`` is None if it is unknown; ``reason`` says why.
    ``runs_j`` are the single runs; ``parts`` the contributions to the interval."""

    energy: Estimate | None
    net: Estimate | None
    domains: dict[str, DomainMean]
    seconds: float
    provenance: Provenance | None
    reason: str | None
    runs_j: tuple[float, ...] = ()
    parts: tuple[UncertaintyPart, ...] = ()
    note: str = ""


def figure(
    phases: Sequence[Phase], idles: Sequence[Phase | None], boundary: Boundary, pue: float = 1.0
) -> Figure:
    """The figure of one command's runs. With one run, the interval is for that run and only
    includes the meters; with more, it is for the mean and includes their spread. ``pue`` multiplies
    the energy in ``facility``."""
    seconds = math.fsum(p.seconds for p in phases) / len(phases)
    domains = _domains(phases)
    bounded: list[Bounded] = []
    for phase in phases:
        energy = within(phase, boundary)
        if isinstance(energy, Refused):
            # One run without a figure leaves none: the others are those that a meter could resolve,
            # which are no fair sample.
            return Figure(
                energy=None,
                net=None,
                domains=domains,
                seconds=seconds,
                provenance=None,
                reason=energy.reason,
            )
        bounded.append(energy)
    overhead = energy_overhead(pue, boundary)
    values = [b.energy_j * overhead for b in bounded]
    return Figure(
        energy=_estimate(values, bounded),
        net=_net(phases, idles, bounded, boundary, overhead),
        domains=domains,
        seconds=seconds,
        provenance=max((b.provenance for b in bounded), key=lambda p: p.weakness),
        reason=None,
        runs_j=tuple(values),
        parts=_parts(values, bounded),
        note=bounded[0].note,
    )


class CommandSide(Record):
    """One command's side of a ratio (see ``compare.Side``)."""

    energy: Sums | None
    parts: tuple[DomainPart, ...]
    provenance: Provenance | None
    problem: str | None


Runs = tuple[Sequence[Phase], Sequence[Phase | None]]
"""A command's runs, and the idle phase before each."""


def ratio(
    a: Runs, b: Runs, boundary: Boundary, *, confidence: float = CONFIDENCE
) -> Estimate | None:
    """Energy of one command over another's. Run ``i`` of the two was measured in one round, so
    that the interval is of the rounds' own ratios. None where one has no figure, or none above 0.
    """
    # A command that failed is not run again, while the others go on (measure.rounds).
    rounds = min(len(a[0]), len(b[0]))
    one, other = (_side(phases[:rounds], idles[:rounds], boundary) for phases, idles in (a, b))
    if one.energy is None or other.energy is None:
        return None
    try:
        plain = intervals.paired_ratio(
            one.energy.values, other.energy.values, confidence=confidence
        )
    except ValueError:  # an energy that is not above 0: there is no ratio to print
        return None
    return compare.with_meters(plain, one, other)


def unpaired_ratio(a: Runs, b: Runs, boundary: Boundary) -> Estimate:
    """Energy of one block of code over another's, whose runs were not measured in rounds.

    Raises:
        CompareError: one has no figure, or none above 0.
    """
    return compare.ratio(_side(*a, boundary), _side(*b, boundary))


def _side(
    phases: Sequence[Phase], idles: Sequence[Phase | None], boundary: Boundary
) -> CommandSide:
    energies = [within(phase, boundary) for phase in phases]
    refused = next((e for e in energies if isinstance(e, Refused)), None)
    bounded = [e for e in energies if isinstance(e, Bounded)]
    if refused is not None:
        return CommandSide(energy=None, parts=(), provenance=None, problem=refused.reason)
    # As if a run were 1,000 inferences: the sums are per 1,000, and so become those of one run.
    runs = [(phase, idle, 1000) for phase, idle in zip(phases, idles, strict=True)]
    return CommandSide(
        energy=energy_sums([(b, 1000) for b in bounded]),
        parts=parts_of(runs, bounded[0].domains),
        provenance=max((b.provenance for b in bounded), key=lambda p: p.weakness),
        problem=None,
    )


def recorders_j(runs: Sequence[tuple[Phase, RecorderStats]]) -> float | None:
    """An upper bound for the recorder's own energy over all runs (J): the processors' mean power in
    the run times the recorder's CPU time, as if nothing else had used that power. The figures of
    the runs include it. None if a run has no figure for a processor."""
    total_j = 0.0
    for phase, stats in runs:
        cpus = [d.energy_j for d in phase.domains.values() if d.kind == "cpu"]
        if not cpus or not phase.seconds:
            return None
        total_j += math.fsum(cpus) / phase.seconds * stats.cpu_s
    return total_j


def per_inference(
    phases: Sequence[Phase], inferences: Sequence[int], boundary: Boundary, pue: float = 1.0
) -> Estimate | None:
    """kWh per 1,000 inferences over runs with ``inferences`` each; None if one run has no
    figure."""
    each = per_unit_j(phases, inferences, boundary, pue)
    return each and scaled(each, lambda j: per_1000(kwh_from_joules(j), 1))


def per_unit_j(
    phases: Sequence[Phase], units: Sequence[int], boundary: Boundary, pue: float = 1.0
) -> Estimate | None:
    """Joules per unit (an inference, a span) over runs with ``units`` each; None if one run has no
    figure.

    It is all energy divided by all units, with the interval of that ratio (Cochran, Sampling
    Techniques, 1977, eq. 6.13), which equals Student's if every run has the same number.
    """
    bounded: list[Bounded] = []
    for phase in phases:
        energy = within(phase, boundary)
        if isinstance(energy, Refused):
            return None
        bounded.append(energy)
    overhead = energy_overhead(pue, boundary)
    values = [b.energy_j * overhead for b in bounded]
    each_j = math.fsum(values) / sum(units)
    mean_n = sum(units) / len(units)
    # The mean energy of a run plus each run's residual from the ratio: the spread of these values
    # is the one in Cochran's variance, so that the interval of their mean becomes the ratio's.
    level = each_j * mean_n
    around = [level + value - each_j * n for value, n in zip(values, units, strict=True)]
    return scaled(_estimate(around, bounded), lambda j: j / mean_n)


def _estimate(values: Sequence[float], bounded: Sequence[Bounded]) -> Estimate:
    total = math.fsum(b.energy_j for b in bounded)
    # The meters' parts are relative to the energy, and there is none.
    if total <= 0:
        return Estimate(value=intervals.mean(values).value, low=None, high=None)
    edge, low, high = _relative(bounded, total)
    return intervals.not_negative(_combined(values, math.hypot(low, edge), math.hypot(high, edge)))


def _combined(values: Sequence[float], low: float, high: float) -> Estimate:
    """The mean, with an interval from the spread of at least two values and from the meters."""
    spread = intervals.mean(values)
    if spread.low is None:
        return intervals.systematic_only(spread.value, low, high)
    return intervals.with_systematic(spread, low, high)


def _relative(bounded: Sequence[Bounded], total: float) -> tuple[float, float, float]:
    """(Edges, accuracy below, accuracy above), relative to all energy, k = 2. Edge errors
    are independent between runs; the accuracy is the same error in all of them."""
    edge = 2 * math.sqrt(math.fsum(b.edge_j**2 for b in bounded)) / total
    low = math.fsum(b.low_j for b in bounded) / total
    return edge, low, math.fsum(b.high_j for b in bounded) / total


def _parts(values: Sequence[float], bounded: Sequence[Bounded]) -> tuple[UncertaintyPart, ...]:
    """The contributions to the interval of the mean."""
    total = math.fsum(b.energy_j for b in bounded)
    spread = intervals.mean(values)
    if total <= 0:
        return ()
    edge, low, high = _relative(bounded, total)
    estimated = any(b.provenance is Provenance.ESTIMATED for b in bounded)
    half = None if spread.high is None else (spread.high - spread.value) / spread.value
    return budget_parts(
        repeats=f"spread of {len(values)} runs (Student t)",
        half=half,
        edge=edge,
        accuracy=(low, high),
        estimated=estimated,
        domains=bounded[0].domains,
    )


def _net(
    phases: Sequence[Phase],
    idles: Sequence[Phase | None],
    bounded: Sequence[Bounded],
    boundary: Boundary,
    overhead: float,
) -> Estimate | None:
    """The energy above the idle power measured just before each run; None without a baseline. The
    absolute uncertainty from the meters' accuracy is that of the gross energy."""
    nets = [
        above_idle(gross, phase.seconds, idle, boundary)
        for phase, idle, gross in zip(phases, idles, bounded, strict=True)
    ]
    known = [net for net in nets if net is not None]
    mean_j = math.fsum(net_j for net_j, _ in known) / len(nets)
    # Relative to a mean of 0, the uncertainty would be infinite.
    if len(known) < len(nets) or not mean_j:
        return None
    edge = math.sqrt(math.fsum(edge_j**2 for _, edge_j in known)) / len(nets)
    _, low, high = _relative(bounded, abs(mean_j) * len(nets))
    edge = 2 * edge / abs(mean_j)
    values = [net_j * overhead for net_j, _ in known]
    return _combined(values, math.hypot(low, edge), math.hypot(high, edge))


def _domains(phases: Sequence[Phase]) -> dict[str, DomainMean]:
    """The mean of each domain for which every run has a figure."""
    names = [n for n in phases[0].domains if all(n in p.domains for p in phases)]
    return {
        name: DomainMean(
            energy_j=math.fsum(p.domains[name].energy_j for p in phases) / len(phases),
            provenance=max((p.domains[name].provenance for p in phases), key=lambda p: p.weakness),
        )
        for name in names
    }
