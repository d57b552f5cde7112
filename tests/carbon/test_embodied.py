"""Embodied carbon and the SCI score."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.carbon.embodied import Hardware, embodied_g, sci_g_per_1000
from permille.errors import CarbonError

SERVER = Hardware(embodied_kg=1000, lifespan_years=4)

HARDWARE = st.builds(
    Hardware,
    embodied_kg=st.floats(0, 1e5),
    lifespan_years=st.floats(0.1, 30),
    resource_share=st.floats(1e-3, 1),
)
SECONDS = st.floats(0, 1e8)


def test_the_check_value_of_the_specification() -> None:
    """1,000 kg over four years, one hour of it: about 28.5 g."""
    assert embodied_g(SERVER, 3600) == pytest.approx(28.5, abs=0.05)


def test_one_of_eight_is_an_eighth() -> None:
    eighth = Hardware(embodied_kg=1000, lifespan_years=4, resource_share=0.125)
    assert embodied_g(eighth, 3600) == pytest.approx(embodied_g(SERVER, 3600) / 8)


@given(hardware=HARDWARE, a=SECONDS, b=SECONDS)
def test_times_add_up(hardware: Hardware, a: float, b: float) -> None:
    apart = embodied_g(hardware, a) + embodied_g(hardware, b)
    assert embodied_g(hardware, a + b) == pytest.approx(apart, rel=1e-9)


@given(hardware=HARDWARE)
def test_a_whole_life_is_all_of_the_share(hardware: Hardware) -> None:
    life_s = hardware.lifespan_years * 365 * 24 * 3600
    expected = hardware.embodied_kg * 1000 * hardware.resource_share
    assert embodied_g(hardware, life_s) == pytest.approx(expected, rel=1e-9)


@given(
    operational=st.floats(0, 1e6),
    embodied=st.floats(0, 1e6),
    inferences=st.integers(1, 10**9),
)
def test_the_score_is_operational_and_embodied_per_thousand(
    operational: float, embodied: float, inferences: int
) -> None:
    score = sci_g_per_1000(operational, embodied, inferences)
    assert score * inferences / 1000 == pytest.approx(operational + embodied, rel=1e-9)
    assert score >= sci_g_per_1000(operational, 0.0, inferences)


def test_a_worked_score() -> None:
    """Flan-T5-xxl, the paper's Table 3: 0.083 kWh per 1,000 at 297.6 g, 23 s an eighth of a node
    of 2,500 kg over 4 years."""
    node = Hardware(embodied_kg=2500, lifespan_years=4, resource_share=0.125)
    score = sci_g_per_1000(0.083 * 297.6, embodied_g(node, 23), 1000)
    assert score == pytest.approx(24.7008 + 2_500_000 * 23 / (4 * 365 * 86400) / 8)


@pytest.mark.parametrize(
    ("hardware", "seconds", "named"),
    [
        (Hardware(embodied_kg=-1, lifespan_years=4), 1, "the embodied carbon (kg)"),
        (Hardware(embodied_kg=math.nan, lifespan_years=4), 1, "the embodied carbon (kg)"),
        (Hardware(embodied_kg=math.inf, lifespan_years=4), 1, "the embodied carbon (kg)"),
        (Hardware(embodied_kg=1, lifespan_years=0), 1, "the lifespan (years)"),
        (Hardware(embodied_kg=1, lifespan_years=math.nan), 1, "the lifespan (years)"),
        (Hardware(embodied_kg=1, lifespan_years=4, resource_share=0), 1, "the share in use"),
        (Hardware(embodied_kg=1, lifespan_years=4, resource_share=1.01), 1, "the share in use"),
        (SERVER, -1, "the time reserved (s)"),
        (SERVER, math.inf, "the time reserved (s)"),
    ],
)
def test_impossible_numbers_are_refused_by_name(
    hardware: Hardware, seconds: float, named: str
) -> None:
    with pytest.raises(CarbonError, match=f"^{re.escape(named)} is out of range"):
        embodied_g(hardware, seconds)


@pytest.mark.parametrize(
    ("o", "m", "r", "named"),
    [
        (-1, 0, 1, "the operational carbon (g)"),
        (math.nan, 0, 1, "the operational carbon (g)"),
        (0, -1, 1, "the embodied carbon (g)"),
        (0, 0, 0, "the number of inferences"),
    ],
)
def test_impossible_scores_are_refused_by_name(o: float, m: float, r: int, named: str) -> None:
    with pytest.raises(CarbonError, match=f"^{re.escape(named)} is out of range"):
        sci_g_per_1000(o, m, r)
