"""Equivalents: the paper's own, and that they scale."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.carbon.equivalents import equivalents


def amounts(kwh: float, grams: float) -> dict[str, float]:
    return {e.name: e.amount for e in equivalents(kwh, grams)}


def test_the_least_efficient_image_model_is_522_smartphone_charges() -> None:
    """The paper: 11.49 kWh is 522 charges."""
    assert amounts(11.49, 0.0)["smartphone charges"] == pytest.approx(522, abs=0.5)


def test_sdxl_is_four_point_one_miles() -> None:
    """The paper: 1,594 g is 4.1 miles of an average car."""
    found = amounts(0.0, 1594)
    assert round(found["distance by car, in miles"], 1) == 4.1
    assert round(found["distance by car"], 1) == 6.5


def test_distilbert_is_a_few_metres() -> None:
    """The paper: 6,833 times less is 0.0006 miles."""
    assert round(amounts(0.0, 1594 / 6833)["distance by car, in miles"], 4) == 0.0006


def test_an_led_bulb_of_nine_watts() -> None:
    assert amounts(0.009, 0.0)["hours of an LED bulb"] == pytest.approx(1.0)


def test_a_charge_on_the_us_grid() -> None:
    assert amounts(0.0, 12.4)["smartphone charges on the US grid"] == pytest.approx(1.0)


def test_each_has_a_unit_a_basis_a_factor_and_a_source() -> None:
    all_of_them = equivalents(1.0, 1.0)
    assert [(e.name, e.unit, e.basis, e.factor) for e in all_of_them] == [
        ("smartphone charges", "charges", "energy", "0.022 kWh a charge"),
        ("smartphone charges on the US grid", "charges", "carbon", "12.4 gCO2 a charge"),
        (
            "distance by car",
            "km",
            "carbon",
            "393 gCO2e per mile, an average petrol car in the US",
        ),
        (
            "distance by car, in miles",
            "miles",
            "carbon",
            "393 gCO2e per mile, an average petrol car in the US",
        ),
        ("hours of an LED bulb", "hours", "energy", "9 W, about 800 lm"),
    ]
    assert all("US EPA" in equivalent.source for equivalent in all_of_them)


@given(kwh=st.floats(0, 1e6), grams=st.floats(0, 1e9), times=st.integers(2, 1000))
def test_twice_as_much_is_twice_as_many(kwh: float, grams: float, times: int) -> None:
    once, often = equivalents(kwh, grams), equivalents(kwh * times, grams * times)
    for a, b in zip(once, often, strict=True):
        assert b.amount == pytest.approx(a.amount * times, rel=1e-9)


@given(kwh=st.floats(0, 1e6), grams=st.floats(0, 1e9))
def test_energy_and_carbon_do_not_mix(kwh: float, grams: float) -> None:
    for equivalent, other in zip(equivalents(kwh, grams), equivalents(kwh, 0.0), strict=True):
        if equivalent.basis == "energy":
            assert equivalent.amount == other.amount
        else:
            assert other.amount == 0
