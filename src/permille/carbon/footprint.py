"""Grams of CO2e of an energy, location-based, with a market-based figure only beside it."""

from __future__ import annotations

from permille.carbon.settings import CarbonSettings
from permille.records import Boundary, Record
from permille.units import co2e_g


class Footprint(Record, frozen=True):
    """Two answers to two questions, never to be summed or averaged (GHG Protocol, Scope 2
    Guidance, 2015): what the grid of the place emitted for this energy, and what the emissions
    are by the contracts that the buyer holds. The first is the headline."""

    location_g: float
    market_g: float | None


def energy_overhead(pue: float, boundary: Boundary) -> float:
    """What a machine's energy is multiplied by to be that of ``boundary``: the PUE within
    ``facility``, which is the node with all that keeps it running, else 1."""
    return pue if boundary == "facility" else 1.0


def carbon_overhead(pue: float, boundary: Boundary) -> float:
    """What the carbon of an energy within ``boundary`` is multiplied by: the PUE, unless the
    energy holds it already (see :func:`energy_overhead`). So it counts once."""
    return 1.0 if boundary == "facility" else pue


def footprint(energy_kwh: float, settings: CarbonSettings, boundary: Boundary) -> Footprint:
    """The footprint of an energy (kWh) that was taken within ``boundary``.

    The PUE counts once: the energy of ``facility`` holds it already; that of any other boundary
    is the machine's, and its carbon is multiplied.
    """
    overhead = carbon_overhead(settings.pue, boundary)
    market = settings.market_intensity_g_per_kwh
    return Footprint(
        location_g=overhead * co2e_g(energy_kwh, settings.intensity_g_per_kwh),
        market_g=None if market is None else overhead * co2e_g(energy_kwh, market),
    )
