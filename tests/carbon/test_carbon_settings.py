"""What settings a place, an intensity, a year and a PUE come to, and what they say of it."""

from __future__ import annotations

import math
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.carbon.footprint import carbon_overhead, energy_overhead, footprint
from permille.carbon.settings import MEAN_PUE, CarbonSettings, resolve
from permille.carbon.table import grid_table
from permille.errors import CarbonError
from permille.records.energy import BOUNDARIES, Boundary


def test_nothing_given_is_the_world_and_says_so() -> None:
    settings = resolve()
    assert settings.region == "WORLD"
    assert settings.assumed
    assert settings.year == 2025
    assert settings.intensity_g_per_kwh == pytest.approx(458.29)
    assert settings.kind == "lifecycle"
    assert settings.pue == 1.0
    for said in ("no region given", "world average of 2025", "Ember", "--region"):
        assert said in settings.note


def test_a_place_is_not_assumed() -> None:
    settings = resolve("Poland", year=2023)
    assert (settings.region, settings.name, settings.year) == ("POL", "Poland", 2023)
    assert settings.intensity_g_per_kwh == pytest.approx(661.93)
    assert not settings.assumed
    assert settings.note == ""
    assert settings.licence == "CC-BY-4.0"
    assert "Our World in Data" in settings.source


def test_the_world_by_name_is_not_assumed() -> None:
    assert not resolve("world").assumed


def test_without_a_year_it_is_the_newest() -> None:
    assert resolve("FRA").year == 2024
    assert resolve("FRA", year=2021).intensity_g_per_kwh == pytest.approx(67.39)


@pytest.mark.parametrize("region", ["FRA", None, "aws/eu-west-3"])
def test_a_missing_year_lists_those_there_are(region: str | None) -> None:
    with pytest.raises(CarbonError, match=r"1999; available: 20\d\d, .*2024"):
        resolve(region, year=1999)


def test_the_papers_intensity_is_given_as_a_number() -> None:
    settings = resolve(intensity=297.6, year=2023, pue=1.2, market_intensity=10)
    assert settings == CarbonSettings(
        intensity_g_per_kwh=297.6,
        region=None,
        name="given",
        year=2023,
        pue=1.2,
        source="given on the command line",
        kind="given",
        licence="",
        assumed=False,
        note="",
        market_intensity_g_per_kwh=10.0,
    )
    papers = footprint(0.083, resolve(intensity=297.6), "node")
    assert papers.location_g == pytest.approx(24.7, abs=0.01)


def test_a_regions_figure_takes_a_market_intensity_beside_it() -> None:
    assert resolve("FRA", market_intensity=10).market_intensity_g_per_kwh == 10.0


def test_zero_is_an_intensity() -> None:
    assert resolve(intensity=0.0).intensity_g_per_kwh == 0.0


def test_place_and_intensity_together_are_refused() -> None:
    with pytest.raises(CarbonError, match="not both"):
        resolve("FRA", intensity=50.0)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_impossible_intensities_are_refused(value: float) -> None:
    with pytest.raises(CarbonError, match="intensity"):
        resolve(intensity=value)
    with pytest.raises(CarbonError, match="intensity"):
        resolve("FRA", market_intensity=value)


@pytest.mark.parametrize("value", [0.99, 0.0, -1.0, math.nan, math.inf])
def test_impossible_pues_are_refused(value: float) -> None:
    with pytest.raises(CarbonError, match="PUE"):
        resolve("FRA", pue=value)


def test_the_industrys_pue_is_known_but_not_applied() -> None:
    assert MEAN_PUE == 1.54
    assert resolve("FRA").pue == 1.0
    assert resolve("FRA", pue=MEAN_PUE).intensity_g_per_kwh == resolve("FRA").intensity_g_per_kwh


def test_a_cloud_region_without_figures_names_the_grid_it_stands_on() -> None:
    settings = resolve("aws/us-west-2")
    assert settings.region == "aws/us-west-2"
    assert settings.intensity_g_per_kwh == resolve("US-OR").intensity_g_per_kwh
    assert "US-OR" in settings.note


def test_direct_figures_say_so() -> None:
    assert resolve("gcp/us-west1").kind == "direct"
    assert "direct emissions only" in resolve("gcp/us-west1").note
    assert "direct emissions only" in resolve("US-CA").note


def test_a_two_letter_code_that_is_a_state_too_says_which_it_is() -> None:
    settings = resolve("CA")
    assert settings.region == "CAN"
    assert "California is US-CA" in settings.note
    assert "California" not in resolve("Canada").note


def test_json_has_what_the_design_promises() -> None:
    payload = msgspec.json.decode(msgspec.json.encode(resolve("FRA", pue=1.2)))
    assert payload["intensity_g_per_kwh"] == pytest.approx(44.18)
    assert payload["region"] == "FRA"
    assert payload["year"] == 2024
    assert payload["pue"] == 1.2
    assert {"source", "kind", "assumed", "note", "licence"} <= payload.keys()
    assert payload["market_intensity_g_per_kwh"] is None


@given(code=st.sampled_from(sorted(grid_table().places)))
def test_every_place_resolves_with_a_source_and_a_licence(code: str) -> None:
    settings = resolve(code)
    assert settings.region == code
    assert settings.intensity_g_per_kwh > 0
    assert settings.source
    assert settings.licence
    assert settings.attribution


@given(
    kwh=st.floats(0, 1e6),
    grid=st.floats(0, 1500),
    market=st.none() | st.floats(0, 1500),
)
def test_market_based_never_touches_location_based(
    kwh: float, grid: float, market: float | None
) -> None:
    result = footprint(kwh, resolve(intensity=grid, market_intensity=market), "node")
    assert result.location_g == kwh * grid
    assert result.market_g == (None if market is None else kwh * market)


@given(kwh=st.floats(0, 1e6), pue=st.floats(1, 3))
def test_the_pue_counts_once(kwh: float, pue: float) -> None:
    settings = resolve(intensity=300.0, pue=pue, market_intensity=20.0)
    node = footprint(kwh, settings, "node")
    facility = footprint(kwh * pue, settings, "facility")
    assert node.location_g == pytest.approx(facility.location_g)
    assert node.market_g == pytest.approx(facility.market_g)
    assert node.location_g == pytest.approx(kwh * pue * 300)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_the_facility_has_the_pue_in_its_energy_and_all_others_in_their_carbon(
    boundary: Boundary,
) -> None:
    factors = energy_overhead(1.5, boundary), carbon_overhead(1.5, boundary)
    assert factors == ((1.5, 1.0) if boundary == "facility" else (1.0, 1.5))


def test_a_place_is_resolved_without_numpy_or_a_network_client() -> None:
    code = (
        "import sys; from permille.carbon.settings import resolve; resolve('FRA');"
        "import permille.carbon.live;"
        "print(sorted({'numpy', 'urllib.request', 'http.client', 'rich'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
