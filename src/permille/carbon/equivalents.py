"""Everyday equivalents of an energy or a mass of CO2e, each with its source."""

from __future__ import annotations

from typing import Literal

from permille.records import Record
from permille.units import KM_PER_MILE

_EPA = "US EPA, Greenhouse Gas Equivalencies Calculator, calculations and references, 2024"

SMARTPHONE_CHARGE_KWH = 0.022
"""kWh to charge a smartphone: EPA, as Luccioni, Jernite and Strubell (2024) cite it."""

SMARTPHONE_CHARGE_G = 12.4
"""gCO2 of charging a smartphone on the US grid: EPA 2024, 1.24e-5 t."""

CAR_G_PER_MILE = 393.0
"""gCO2e per mile of an average petrol passenger car in the US: EPA 2024, 3.93e-4 t."""

LED_BULB_KW = 0.009
"""kW of an LED bulb as bright as a 60 W incandescent one (about 800 lm): ENERGY STAR."""


class Equivalent(Record, frozen=True):
    """``amount`` of ``unit`` is equivalent to the energy or to the CO2e, depending on ``basis``.

    An equivalent by energy is valid anywhere. One by carbon depends on the grid intensity with
    which the CO2e was computed.
    """

    name: str
    amount: float
    unit: str
    basis: Literal["energy", "carbon"]
    factor: str
    source: str


def amounts(kwh: float, co2e_g: float) -> dict[str, float]:
    """By name, the equivalents of an energy (kWh) and of its CO2e (g)."""
    miles = co2e_g / CAR_G_PER_MILE
    return {
        "smartphone charges": kwh / SMARTPHONE_CHARGE_KWH,
        "smartphone charges on the US grid": co2e_g / SMARTPHONE_CHARGE_G,
        "distance by car": miles * KM_PER_MILE,
        "distance by car, in miles": miles,
        "hours of an LED bulb": kwh / LED_BULB_KW,
    }


def equivalents(kwh: float, co2e_g: float) -> list[Equivalent]:
    """The equivalents of an energy (kWh) and of its CO2e (g)."""
    amount = amounts(kwh, co2e_g)
    car = f"{CAR_G_PER_MILE:g} gCO2e per mile, an average petrol car in the US"
    return [
        Equivalent(
            name="smartphone charges",
            amount=amount["smartphone charges"],
            unit="charges",
            basis="energy",
            factor=f"{SMARTPHONE_CHARGE_KWH:g} kWh a charge",
            source=f"{_EPA}, as cited in arXiv 2311.16863",
        ),
        Equivalent(
            name="smartphone charges on the US grid",
            amount=amount["smartphone charges on the US grid"],
            unit="charges",
            basis="carbon",
            factor=f"{SMARTPHONE_CHARGE_G:g} gCO2 a charge",
            source=_EPA,
        ),
        Equivalent(
            name="distance by car",
            amount=amount["distance by car"],
            unit="km",
            basis="carbon",
            factor=car,
            source=_EPA,
        ),
        Equivalent(
            name="distance by car, in miles",
            amount=amount["distance by car, in miles"],
            unit="miles",
            basis="carbon",
            factor=car,
            source=_EPA,
        ),
        Equivalent(
            name="hours of an LED bulb",
            amount=amount["hours of an LED bulb"],
            unit="hours",
            basis="energy",
            factor=f"{LED_BULB_KW * 1000:g} W, about 800 lm",
            source="ENERGY STAR (US EPA and DOE): an LED bulb of 800 lm in place of 60 W",
        ),
    ]
