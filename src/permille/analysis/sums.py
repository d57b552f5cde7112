"""Sums of the energies of a cell's trials, with what their meters leave uncertain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from permille.analysis import intervals
from permille.analysis.boundaries import Bounded
from permille.analysis.trial_sums import Sums
from permille.records.trial import Stopping
from permille.units import per_1000


def energy_sums(
    energies: Sequence[tuple[Bounded, float]], asked: Stopping | None = None
) -> Sums | None:
    """Sums of (energy, inferences or other units) of each trial; None without one."""
    if not energies:
        return None
    total_j = math.fsum(b.energy_j for b, _ in energies)
    # A GPU that is off reads 0 J, which is a figure (energy.span_energy.LEAST_W), but there is
    # nothing for an uncertainty to be relative to.
    if total_j <= 0:
        return sums_of([per_1000(b.energy_j, n) for b, n in energies], 0.0, 0.0, 0.0)
    # Edge errors are independent between trials; the accuracy is the same error in all of them.
    edge = 2 * math.sqrt(math.fsum(b.edge_j**2 for b, _ in energies)) / total_j
    low = math.fsum(b.low_j for b, _ in energies) / total_j
    high = math.fsum(b.high_j for b, _ in energies) / total_j
    return sums_of([per_1000(b.energy_j, n) for b, n in energies], low, high, edge, asked)


def sums_of(
    values: Sequence[float],
    low: float,
    high: float,
    edge: float,
    asked: Stopping | None = None,
) -> Sums:
    """Sums of these values; ``low`` and ``high``: of the meters' accuracy alone, with which the
    ``edge`` is combined (all relative, k = 2)."""
    n, mean, sd = intervals.summary(values)
    return Sums(
        n=n,
        mean=mean,
        sd=sd,
        low=math.hypot(low, edge),
        high=math.hypot(high, edge),
        edge=edge,
        values=tuple(values),
        asked=asked,
    )


def net_sums(nets: Sequence[tuple[float, float]], energy: Sums | None) -> Sums | None:
    """Sums of net energies, each with its edges. A meter's accuracy is relative to its reading,
    which is larger than the net energy: the absolute uncertainty is that of the gross energy, so
    the relative one is larger."""
    if not nets or energy is None:
        return None
    values = [value for value, _ in nets]
    n, mean, _ = intervals.summary(values)
    # Sums are uncertain relative to their mean: of a mean of 0, infinitely.
    if not mean:
        return None
    scale = energy.mean / abs(mean)
    edge = 2 * math.sqrt(math.fsum(edge**2 for _, edge in nets)) / n / abs(mean)
    # The edges are taken out: the net energy has its own, which are larger.
    low, high = energy.accuracy
    found = sums_of(values, low * scale, high * scale, edge)
    return msgspec.structs.replace(found, signed=True)
