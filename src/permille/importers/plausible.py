"""Check whether the figures of one record are consistent. If they contradict each other by a large
factor, nothing tells which is wrong, so none of them can be used."""

from __future__ import annotations

from permille.records.recording import DomainKind

SEVERAL = 3.0
"""The largest accepted ratio of two figures for the same quantity. Tools log the last power reading
next to the energy of the whole run, so a factor of two is common."""
LEAST_W = 0.1
"""A CPU package or a GPU always draws more than this on average; a stuck counter or a wrong unit
reads less. The packages of small single-board computers idle at several tenths of a watt."""
MOST_W = 100_000.0
"""The highest mean power of one machine: racks of eight servers draw about that."""
_GRID_G_PER_KWH = (0.1, 3000.0)
"""No grid is cleaner than a tenth of a gram or dirtier than lignite burnt at a poor efficiency."""


def power_fault(kind: DomainKind, energy_j: float, seconds: float) -> str | None:
    """Why no device of this kind can have used this energy in that time, or None."""
    mean_w = energy_j / seconds
    if kind in ("cpu", "gpu") and mean_w < LEAST_W:
        return f"{mean_w:.2g} W on average, less than any {kind.upper()} draws: not metered"
    if mean_w > MOST_W:
        return f"{mean_w:.2g} W on average, more than a machine draws"
    return None


def disagreement(what: str, figure: float, other: str, reference: float) -> str | None:
    """How two positive figures for the same quantity contradict each other, or None."""
    if max(figure, reference) <= SEVERAL * min(figure, reference):
        return None
    times = max(figure, reference) / min(figure, reference)
    return f"{what} is {figure:.4g}, but {other} gives {reference:.4g}: a factor of {times:.2g}"


def emissions_fault(co2e_kg: float, energy_kwh: float) -> str | None:
    """Why emissions cannot belong to the energy in the same record, or None."""
    low, high = _GRID_G_PER_KWH
    g_per_kwh = co2e_kg * 1000 / energy_kwh
    if low <= g_per_kwh <= high:
        return None
    return (
        f"emissions of {co2e_kg:.4g} kg for {energy_kwh:.4g} kWh are {g_per_kwh:.3g} g/kWh,"
        " which no grid emits"
    )
