"""Grams of CO2e of an energy: location-based, and separately market-based."""

from __future__ import annotations

from permille.carbon.settings import CarbonSettings
from permille.records import Record
from permille.records.energy import Boundary
from permille.units import co2e_g


class Footprint(Record, frozen=True):
    """Two separate figures that must not be summed or averaged (GHG Protocol, Scope 2 Guidance,
    2015): what the local grid emitted for this energy, and what the buyer's contracts account for.
    The first is the main figure."""

    location_g: float
    market_g: float | None


def energy_overhead(pue: float, boundary: Boundary) -> float:
    """The factor from a machine's energy to that of ``boundary``: the PUE for ``facility``, which
    is the node with its cooling and power supply, otherwise 1."""
    return pue if boundary == "facility" else 1.0


def carbon_overhead(pue: float, boundary: Boundary) -> float:
    """The factor for the carbon of an energy in ``boundary``: the PUE, unless the energy already
    includes it (see :func:`energy_overhead`). So it counts once."""
    return 1.0 if boundary == "facility" else pue


def footprint(energy_kwh: float, settings: CarbonSettings, boundary: Boundary) -> Footprint:
    """The footprint of an energy (kWh) in ``boundary``.

    The PUE counts once: the energy of ``facility`` already includes it; in any other boundary the
    energy is the machine's, and its carbon is multiplied.
    """
    overhead = carbon_overhead(settings.pue, boundary)
    market = settings.market_intensity_g_per_kwh
    return Footprint(
        location_g=overhead * co2e_g(energy_kwh, settings.intensity_g_per_kwh),
        market_g=None if market is None else overhead * co2e_g(energy_kwh, market),
    )
