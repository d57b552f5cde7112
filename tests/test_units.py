"""Conversions: round trips, additivity, known values; formats: the unit and the digits."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille import units

FINITE = st.floats(-1e15, 1e15, allow_nan=False)
POSITIVE = st.floats(1e-12, 1e12)

PAIRS = [
    (units.kwh_from_joules, units.joules_from_kwh),
    (units.wh_from_kwh, units.kwh_from_wh),
    (units.kg_from_g, units.g_from_kg),
    (units.km_from_miles, units.miles_from_km),
]
LINEAR = [
    *(f for pair in PAIRS for f in pair),
    units.hours_from_seconds,
    units.t_from_g,
    units.g_per_kwh_from_lb_per_mwh,
    lambda kwh: units.co2e_g(kwh, 297.6),
    lambda total: units.per_1000(total, 7),
]


@pytest.mark.parametrize(("there", "back"), PAIRS)
@given(value=FINITE)
def test_there_and_back_is_where_it_began(
    there: Callable[[float], float], back: Callable[[float], float], value: float
) -> None:
    assert back(there(value)) == pytest.approx(value, rel=1e-12)
    assert there(back(value)) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("convert", LINEAR)
@given(a=FINITE, b=FINITE)
def test_the_sum_converts_to_the_sum(convert: Callable[[float], float], a: float, b: float) -> None:
    scale = abs(convert(a)) + abs(convert(b))
    assert convert(a) + convert(b) == pytest.approx(
        convert(a + b), rel=1e-9, abs=1e-300 + scale * 1e-12
    )


@pytest.mark.parametrize("convert", LINEAR)
def test_nothing_converts_to_nothing(convert: Callable[[float], float]) -> None:
    assert convert(0.0) == 0.0


def test_known_values() -> None:
    assert units.kwh_from_joules(3.6e6) == 1.0
    assert units.wh_from_kwh(0.0023) == pytest.approx(2.3)
    assert units.co2e_g(0.026, 297.6) == pytest.approx(7.7376)
    assert units.g_per_kwh_from_lb_per_mwh(1000) == pytest.approx(453.59237)
    assert units.km_from_miles(4.1) == pytest.approx(6.598, abs=5e-4)
    assert units.hours_from_seconds(5400) == 1.5
    assert units.seconds_from_ns(1_500_000_000) == 1.5
    assert units.per_1000(2.0, 500) == 4.0


@pytest.mark.parametrize("inferences", [0, -1])
def test_per_1000_of_no_inferences_is_refused(inferences: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        units.per_1000(1.0, inferences)


@pytest.mark.parametrize(
    ("kwh", "shown"),
    [
        (0.0, "0 kWh"),
        (0.0023, "2.3 Wh"),
        (0.0000023, "2.3 mWh"),
        (2.3e-9, "2.3 µWh"),
        (2.907, "2.91 kWh"),
        (0.1, "100 Wh"),
        (0.9996, "1 kWh"),
        (0.99949, "999 Wh"),
        (51686, "51.7 MWh"),
        (2.5e9, "2,500 GWh"),
        (-0.0023, "-2.3 Wh"),
        (3e-13, "<0.001 µWh"),
        (-3e-13, ">-0.001 µWh"),
        (5e-324, "<0.001 µWh"),
    ],
)
def test_energy_for_people(kwh: float, shown: str) -> None:
    assert units.format_energy_kwh(kwh) == shown


def test_digits_are_significant_digits() -> None:
    assert units.format_energy_kwh(0.0023456, digits=2) == "2.3 Wh"
    assert units.format_energy_kwh(0.0023456, digits=4) == "2.346 Wh"
    assert units.format_energy_kwh(0.12345, digits=1) == "123 Wh"


@pytest.mark.parametrize(
    ("grams", "shown"),
    [(0, "0 g"), (1594, "1.59 kg"), (0.2333, "233 mg"), (178_970, "179 kg"), (2e6, "2 t")],
)
def test_mass_for_people(grams: float, shown: str) -> None:
    assert units.format_mass_g(grams) == shown


@pytest.mark.parametrize("format_", [units.format_energy_kwh, units.format_mass_g])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_figure_is_not_shown(format_: Callable[[float], str], value: float) -> None:
    with pytest.raises(ValueError, match="no figure"):
        format_(value)


@pytest.mark.parametrize("digits", [0, -3])
def test_no_digits_are_refused(digits: int) -> None:
    with pytest.raises(ValueError, match="digits"):
        units.format_energy_kwh(1.0, digits)


SIZE_KWH = {"GWh": 1e6, "MWh": 1e3, "kWh": 1.0, "Wh": 1e-3, "mWh": 1e-6, "µWh": 1e-9}


@given(kwh=POSITIVE, digits=st.integers(1, 6))
def test_what_is_shown_is_the_energy_to_its_digits(kwh: float, digits: int) -> None:
    shown = units.format_energy_kwh(kwh, digits)
    number, unit = shown.split(" ")
    value = float(number.replace(",", ""))
    assert "e" not in number
    assert value * SIZE_KWH[unit] == pytest.approx(kwh, rel=0.5 * 10 ** (1 - digits) * (1 + 1e-9))
    assert 1 <= value < 1000 or unit in ("GWh", "µWh") or (digits < 3 and value == 1000)


@given(kwh=POSITIVE)
def test_the_sign_is_all_that_a_negative_changes(kwh: float) -> None:
    assert units.format_energy_kwh(-kwh) == f"-{units.format_energy_kwh(kwh)}"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (4.5e-5, "45 µs"),
        (0.0072, "7.2 ms"),
        (1.5, "1.5 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_for_people(seconds: float, shown: str) -> None:
    assert units.format_seconds(seconds) == shown


@pytest.mark.parametrize(
    ("share", "decimals", "shown"),
    [(0.25, 0, "25 %"), (0.3312, 1, "33.1 %"), (0.0, 0, "0 %"), (2.0, 0, "200 %")],
)
def test_shares_for_people(share: float, decimals: int, shown: str) -> None:
    assert units.format_share(share, decimals) == shown
