"""Embodied carbon and the SCI score: Software Carbon Intensity, ISO/IEC 21031:2024.

SCI = (O + M) per R. O is the operational carbon (energy times location-based intensity), M the
share of the hardware's embodied carbon, R here 1,000 inferences. M = TE x TS x RS: the total
embodied carbon, the share of its life (TiR / EL) and the share of the hardware (RR / ToR).
"""

from __future__ import annotations

import math

from permille.errors import CarbonError
from permille.records import Record
from permille.units import HOURS_PER_YEAR, g_from_kg, hours_from_seconds, per_1000

DEFAULT_LIFESPAN_YEARS = 4.0
"""As in the example of the standard."""


class Hardware(Record, frozen=True):
    """A machine, and the share of it that the workload reserves.

    ``embodied_kg``: carbon of manufacture, transport and end of life (kgCO2e), from the
    manufacturer's declaration. ``lifespan_years``: expected service life, in years of 365 days.
    ``resource_share``: the part reserved for the workload, above 0 and at most 1 (one accelerator
    of eight: 0.125 of the embodied carbon of the accelerators and their host).
    """

    embodied_kg: float
    lifespan_years: float
    resource_share: float = 1.0


def embodied_g(hardware: Hardware, reserved_s: float) -> float:
    """M: grams of embodied CO2e that ``reserved_s`` seconds of ``hardware`` account for.

    Raises:
        CarbonError: a number out of range.
    """
    _check(hardware.embodied_kg >= 0, "the embodied carbon (kg)", hardware.embodied_kg)
    _check(hardware.lifespan_years > 0, "the lifespan (years)", hardware.lifespan_years)
    _check(0 < hardware.resource_share <= 1, "the share in use", hardware.resource_share)
    _check(reserved_s >= 0, "the time reserved (s)", reserved_s)
    time_share = hours_from_seconds(reserved_s) / (hardware.lifespan_years * HOURS_PER_YEAR)
    return g_from_kg(hardware.embodied_kg) * time_share * hardware.resource_share


def sci_g_per_1000(operational_g: float, embodied: float, inferences: int) -> float:
    """The SCI score: gCO2e per 1,000 inferences, from O and M (grams) of ``inferences``.

    O must be location-based: under the standard, contracts and offsets do not lower a score.

    Raises:
        CarbonError: no inferences, or a negative mass.
    """
    _check(operational_g >= 0, "the operational carbon (g)", operational_g)
    _check(embodied >= 0, "the embodied carbon (g)", embodied)
    _check(inferences > 0, "the number of inferences", inferences)
    return per_1000(operational_g + embodied, inferences)


def _check(holds: bool, what: str, value: float) -> None:
    # An infinity would pass the comparisons.
    if not (holds and math.isfinite(value)):
        raise CarbonError(f"{what} is out of range: {value!r}")
