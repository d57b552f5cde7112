"""Joules, kWh, grams: the only conversions in permille.

Every function takes and returns floats in the units of its name. None of them accepts ``None``, so
callers must handle missing figures.
"""

from __future__ import annotations

import math

JOULES_PER_KWH = 3.6e6
"""1 kWh = 3.6 MJ, exactly (SI Brochure, 9th edition, table 8 and section 2.3.4)."""

NS_PER_S = 1_000_000_000

MOST_TYPED = 10**18
"""The largest number that a study file, a query or a field of the explorer's page (``MOST`` of its
``format.js``) may hold: above any number of parameters, and what is computed of it stays finite."""

LONGEST_S = 30 * 86_400
"""The longest time (s) that may be asked for, 30 days: time.sleep() raises an OverflowError from
2^63 ns on, in the midst of measuring."""

KM_PER_MILE = 1.609344
"""The international mile, exactly (NIST SP 811, appendix B.8)."""

G_PER_LB = 453.59237
"""The international avoirdupois pound, exactly (NIST SP 811, appendix B.8)."""

HOURS_PER_YEAR = 8760.0
"""A year of 365 days, as ISO/IEC 21031 counts a lifespan."""


# --- energy ----------------------------------------------------------------------------------


def kwh_from_joules(energy_j: float) -> float:
    """Kilowatt-hours of an energy in joules."""
    return energy_j / JOULES_PER_KWH


def joules_from_kwh(energy_kwh: float) -> float:
    """Joules of an energy in kilowatt-hours."""
    return energy_kwh * JOULES_PER_KWH


def wh_from_kwh(energy_kwh: float) -> float:
    """Watt-hours of an energy in kilowatt-hours."""
    return energy_kwh * 1000.0


def kwh_from_wh(energy_wh: float) -> float:
    """Kilowatt-hours of an energy in watt-hours."""
    return energy_wh / 1000.0


# --- carbon ----------------------------------------------------------------------------------


def co2e_g(energy_kwh: float, intensity_g_per_kwh: float) -> float:
    """Grams of CO2 equivalent of an energy (kWh) at a grid intensity (gCO2e/kWh)."""
    return energy_kwh * intensity_g_per_kwh


def kg_from_g(mass_g: float) -> float:
    """Kilograms of a mass in grams."""
    return mass_g / 1000.0


def g_from_kg(mass_kg: float) -> float:
    """Grams of a mass in kilograms."""
    return mass_kg * 1000.0


def t_from_g(mass_g: float) -> float:
    """Tonnes of a mass in grams."""
    return mass_g / 1e6


def g_per_kwh_from_lb_per_mwh(intensity_lb_per_mwh: float) -> float:
    """A grid intensity in g/kWh of one in lb/MWh, as the US EPA gives it."""
    return intensity_lb_per_mwh * G_PER_LB / 1000.0


# --- other -----------------------------------------------------------------------------------


def per_1000(total: float, inferences: float) -> float:
    """The cost of 1,000 inferences (or tokens, seconds, …) if ``inferences`` of them cost
    ``total``, in any unit.

    Raises:
        ValueError: ``inferences`` is not positive.
    """
    if inferences <= 0:
        raise ValueError(f"inferences must be positive, not {inferences}")
    return total * 1000.0 / inferences


def seconds_from_ns(t_ns: int) -> float:
    """Seconds of a duration in nanoseconds."""
    return t_ns / NS_PER_S


def hours_from_seconds(seconds: float) -> float:
    """Hours of a duration in seconds."""
    return seconds / 3600.0


def km_from_miles(miles: float) -> float:
    """Kilometres of a distance in miles."""
    return miles * KM_PER_MILE


def miles_from_km(km: float) -> float:
    """Miles of a distance in kilometres."""
    return km / KM_PER_MILE


# --- for people ------------------------------------------------------------------------------

_TIME = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_ENERGY = ((1e6, "GWh"), (1e3, "MWh"), (1.0, "kWh"), (1e-3, "Wh"), (1e-6, "mWh"), (1e-9, "µWh"))
_JOULES = ((1e6, "MJ"), (1e3, "kJ"), (1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"))
_VOLUME = ((1e3, "m³"), (1.0, "L"), (1e-3, "mL"), (1e-6, "µL"))
_MASS = ((1e6, "t"), (1e3, "kg"), (1.0, "g"), (1e-3, "mg"), (1e-6, "µg"))


def format_energy_kwh(energy_kwh: float, digits: int = 3) -> str:
    """An energy (kWh) for people, to ``digits`` significant digits: 0.0023 is "2.3 Wh".

    Raises:
        ValueError: the energy is not finite, or ``digits`` is below 1.
    """
    return _scaled(energy_kwh, _ENERGY, "kWh", digits)


def format_energy_j(energy_j: float, digits: int = 3) -> str:
    """An energy (J) for people, to ``digits`` significant digits: 0.31 is "310 mJ".

    Raises:
        ValueError: the energy is not finite, or ``digits`` is below 1.
    """
    return _scaled(energy_j, _JOULES, "J", digits)


def format_mass_g(mass_g: float, digits: int = 3) -> str:
    """A mass (g) for people, to ``digits`` significant digits: 1594 is "1.59 kg".

    Raises:
        ValueError: the mass is not finite, or ``digits`` is below 1.
    """
    return _scaled(mass_g, _MASS, "g", digits)


def format_volume_l(volume_l: float, digits: int = 3) -> str:
    """A volume (L) for people, to ``digits`` significant digits: 0.0012 is "1.2 mL".

    Raises:
        ValueError: the volume is not finite, or ``digits`` is below 1.
    """
    return _scaled(volume_l, _VOLUME, "L", digits)


def format_seconds(seconds: float, digits: int = 3) -> str:
    """A duration for people: 45 µs, 7.2 ms, 1.5 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return _scaled(seconds, _TIME, "s", digits)
    # Rounded before it is divided: 119.6 s is 2 min 0 s, not 1 min 60 s.
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_number(value: float, digits: int = 3) -> str:
    """A number for people: ``digits`` significant digits, thousands apart, no exponent.

    Digits before the point are never rounded away: 12345.6 is "12,346". Trailing zeros after the
    point are left out.

    Raises:
        ValueError: the value is not finite, or ``digits`` is below 1.
    """
    if digits < 1:
        raise ValueError(f"digits must be at least 1, not {digits}")
    if not math.isfinite(value):
        raise ValueError(f"{value} is no figure to show")
    if value == 0:
        return "0"
    short = f"{value:.{digits}g}"
    # From 1,000 on there are commas, which g does not write, and 999.96 is 1,000 to four digits.
    if "e" not in short and abs(value) < 999:  # most figures, in a third of the time
        return short
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # after rounding: 9.996 is 10.0
    text = f"{value:,.{max(0, digits - 1 - exponent)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_share(share: float, decimals: int = 0) -> str:
    """A share in percent for people: 0.25 is "25 %".

    With a space before the sign, which Python's own ``%`` format leaves out (SI Brochure, 9th
    edition, 5.4.7).
    """
    return f"{100 * share:.{decimals}f} %"


def _scaled(value: float, scale: tuple[tuple[float, str], ...], base: str, digits: int) -> str:
    """``value`` in the largest unit of ``scale`` that makes it at least 1 as shown."""
    if value == 0:
        return f"0 {base}"
    # A loop: a generator takes twice as long, and a table of 15,000 rows has 135,000 figures.
    whole = abs(value)
    for size, unit in scale:  # noqa: B007 (unit is used below)
        magnitude = whole / size
        if magnitude >= 1 or (magnitude >= 0.9 and _rounds_to_one(magnitude, digits)):
            break
    shown = value / size
    if abs(shown) < 1e-3:  # only below the smallest unit
        return f"{'>-' if shown < 0 else '<'}0.001 {unit}"
    return f"{format_number(shown, digits)} {unit}"


def _rounds_to_one(magnitude: float, digits: int) -> bool:
    """Whether it is 1 as shown: 0.9996 is, to three digits."""
    return float(f"{magnitude:.{max(digits, 1) - 1}e}") >= 1


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """``1 cell``, ``1,200 cells``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
