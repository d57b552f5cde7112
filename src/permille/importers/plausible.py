"""Whether figures of one record can all be true. A record that contradicts itself several times
over holds a fault that nothing in it tells, so that none of its figures can be averaged."""

from __future__ import annotations

from permille.records import DomainKind

SEVERAL = 3.0
"""How many times apart two figures of the same thing may be. Tools log the last power that they
read beside the energy of a whole run, which may well be twice the other."""
LEAST_W = 0.1
"""Mean power that a CPU package or a GPU always exceeds; a counter that stands still or a wrong
unit reads less. The packages of small single-board computers idle at several tenths of a watt."""
MOST_W = 100_000.0
"""Mean power of one machine: racks of eight servers draw about that."""
_GRID_G_PER_KWH = (0.1, 3000.0)
"""No grid is cleaner than a tenth of a gram or dirtier than lignite burnt at a poor efficiency."""


def power_fault(kind: DomainKind, energy_j: float, seconds: float) -> str | None:
    """Why no device of this kind can have used so much energy in that time; None if one can."""
    mean_w = energy_j / seconds
    if kind in ("cpu", "gpu") and mean_w < LEAST_W:
        return f"{mean_w:.2g} W on the mean, less than any {kind.upper()} draws: not metered"
    if mean_w > MOST_W:
        return f"{mean_w:.2g} W on the mean, more than a machine draws"
    return None


def disagreement(what: str, figure: float, other: str, reference: float) -> str | None:
    """How two positive figures of the same thing contradict each other; None if they do not."""
    if max(figure, reference) <= SEVERAL * min(figure, reference):
        return None
    times = max(figure, reference) / min(figure, reference)
    return f"{what} is {figure:.4g}, but {other} gives {reference:.4g}: {times:.2g} times apart"


def emissions_fault(co2e_kg: float, energy_kwh: float) -> str | None:
    """Why emissions do not belong to the energy beside them; None if they may."""
    low, high = _GRID_G_PER_KWH
    g_per_kwh = co2e_kg * 1000 / energy_kwh
    if low <= g_per_kwh <= high:
        return None
    return (
        f"emissions of {co2e_kg:.4g} kg for {energy_kwh:.4g} kWh are {g_per_kwh:.3g} g/kWh,"
        " which no grid emits"
    )
