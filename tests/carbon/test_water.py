"""Water: published figures of known regions alone, each with its source."""

from __future__ import annotations

import re

import msgspec
import pytest

from permille.carbon.settings import resolve
from permille.carbon.table import grid_table
from permille.carbon.water import litres, water_of, water_table
from permille.errors import CarbonError
from tests.docs.pages import DOCS


def test_every_region_is_a_cloud_region_of_the_grid_table() -> None:
    places = grid_table().places
    assert {places[code].kind for code in water_table()} == {"cloud"}
    assert {code.partition("/")[0] for code in water_table()} == {"aws", "azure"}


def test_the_page_lists_the_figures_of_every_aws_region() -> None:
    page = (DOCS / "carbon.md").read_text(encoding="utf-8")
    listed: dict[str, float] = {}
    for regions, figures in re.findall(r"^\| AWS: ([^|]+) \| ([^|]+) \|", page, re.MULTILINE):
        listed |= dict(zip(regions.split(", "), map(float, figures.split(", ")), strict=True))
    assert listed == {
        code.removeprefix("aws/"): one.wue_l_per_kwh
        for code, one in water_table().items()
        if code.startswith("aws/")
    }


def test_a_figure_has_its_year_and_source() -> None:
    tokyo = water_of(resolve("aws/ap-northeast-1"))
    assert (tokyo.wue_l_per_kwh, tokyo.year, tokyo.covers) == (1.22, 2025, "the region")
    assert "AWS" in tokyo.source
    dublin = water_of(resolve("azure/northeurope"))
    assert (dublin.wue_l_per_kwh, dublin.covers) == (
        0.03,
        "the average of Europe, Middle East and Africa",
    )
    assert "not that of generating the electricity" in dublin.scope


def test_a_figure_of_ones_own_needs_no_region() -> None:
    own = water_of(resolve(), 1.8)
    assert (own.wue_l_per_kwh, own.uncertainty_l_per_kwh, own.region) == (1.8, 0.0, None)
    assert (own.covers, own.source) == ("as given", "given on the command line")
    assert litres(2.0, own.wue_l_per_kwh) == pytest.approx(3.6)


@pytest.mark.parametrize("wue", [0, 0.03])
def test_a_dry_cooler_may_use_no_water_or_little(wue: float) -> None:
    assert water_of(resolve(), wue).wue_l_per_kwh == wue


@pytest.mark.parametrize("region", ["FRA", "aws/eu-west-3", "gcp/us-central1"])
def test_a_region_without_a_published_figure_is_refused_by_name(region: str) -> None:
    name = re.escape(grid_table().places[region].name)
    with pytest.raises(CarbonError, match=rf"published for {name} \({region}\).*--wue"):
        water_of(resolve(region))


def test_a_live_zone_is_refused_by_name() -> None:
    zone = msgspec.structs.replace(resolve(intensity=302.0), region="DE", name="DE", kind="live")
    with pytest.raises(CarbonError, match=r"published for DE \(DE\).*--wue"):
        water_of(zone)


@pytest.mark.parametrize("settings", [resolve(), resolve(intensity=50.0)])
def test_without_a_region_one_is_needed(settings: object) -> None:
    with pytest.raises(CarbonError, match="--water needs --region"):
        water_of(settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("wue", [-0.1, float("nan"), float("inf")])
def test_an_impossible_wue_is_refused(wue: float) -> None:
    with pytest.raises(CarbonError, match="a number of litres per kWh"):
        water_of(resolve(), wue)
