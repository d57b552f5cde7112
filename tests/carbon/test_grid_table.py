"""The table that ships: whole, within physical bounds, and in step with published figures."""

from __future__ import annotations

import csv
import re
from importlib import resources

import msgspec
import pytest

from permille.carbon.table import GridTable, grid_table


@pytest.fixture(scope="module")
def table() -> GridTable:
    return grid_table()


def test_every_place_has_a_figure_and_every_figure_a_place(table: GridTable) -> None:
    for place in table.places.values():
        assert table.of(place)
        assert place.parent is None or place.parent in table.places
        assert place.grid is None or place.grid in table.intensities
    assert table.intensities.keys() <= table.places.keys()


def test_the_table_reads_the_same_again(table: GridTable) -> None:
    assert grid_table.__wrapped__() == table


def test_figures_of_its_own_come_before_those_of_its_grid(table: GridTable) -> None:
    """Put on France's grid, Oregon keeps its own; a region without any has France's."""
    oregon = msgspec.structs.replace(table.places["gcp/us-west1"], grid="FRA")
    assert table.of(oregon) == table.intensities["gcp/us-west1"]
    elsewhere = msgspec.structs.replace(oregon, code="gcp/elsewhere")
    assert table.of(elsewhere) == table.intensities["FRA"]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("WORLD", "World"),
        ("FRA", "France"),
        ("US-CA", "California, United States"),
        ("CA-QC", "Québec, Canada"),
        ("SE-SE1", "North Sweden, Sweden"),
        ("gcp/us-west1", "Google Cloud us-west1 (Oregon)"),
    ],
)
def test_a_place_within_a_country_is_named_with_it(table: GridTable, code: str, name: str) -> None:
    assert table.full_name(table.places[code]) == name


def test_figures_are_possible(table: GridTable) -> None:
    """No lifecycle intensity is 0; no plant emits more than about 1,700 g/kWh, even of lignite or
    oil shale with its fuel's supply; the years are those that the sources cover."""
    for by_year in table.intensities.values():
        for year, figure in by_year.items():
            assert 0 < figure.g_per_kwh < 2000
            assert year == figure.year
            assert 2000 <= year <= 2025


def test_sources_say_licence_kind_and_whom_to_credit(table: GridTable) -> None:
    used = {f.source.id: f.source for by in table.intensities.values() for f in by.values()}
    for source in used.values():
        assert source.kind in ("lifecycle", "direct")
        assert source.licence
        assert source.attribution
        assert source.url.startswith("https://")
    assert not any("IEA" in source.name for source in used.values())


def test_open_database_figures_stand_in_their_own_file() -> None:
    data = resources.files("permille.carbon") / "data"
    for name, odbl in (("intensity.csv", False), ("electricity_maps.csv", True)):
        lines = csv.DictReader((data / name).read_text(encoding="utf-8").splitlines())
        assert {line["source"] == "electricity-maps" for line in lines} == {odbl}


def test_codes_are_what_they_say(table: GridTable) -> None:
    patterns = {
        "world": r"WORLD",
        "country": r"[A-Z]{3}",
        "state": r"US-[A-Z]{2}",
        "province": r"(AU|CA|CN)-[A-Z]{2,3}",
        "zone": r"[A-Z]{2}(-[A-Z0-9]+)+",
        "cloud": r"(aws|azure|gcp)/[a-z0-9-]+",
    }
    for place in table.places.values():
        assert re.fullmatch(patterns[place.kind], place.code), place
    alpha2 = [p.alpha2 for p in table.places.values() if p.alpha2]
    assert len(alpha2) == len(set(alpha2)) > 200
    assert sum(p.kind == "state" for p in table.places.values()) == 51
    assert sum(p.code.startswith("CN-") for p in table.places.values()) == 30


@pytest.mark.parametrize(
    ("code", "year", "published", "within"),
    [
        # Ember, Global Electricity Review 2025: 473 g for the world in 2024; OWID's revision a year
        # on is 0.4 % lower.
        ("WORLD", 2024, 473, 5),
        # Ember, yearly data, 2025 release: France 44 g, Poland 615 g, the United States 384 g,
        # China 558 g (Our World in Data: 560 g).
        ("FRA", 2024, 44, 1),
        ("POL", 2024, 615, 1),
        ("USA", 2024, 384, 1),
        ("CHN", 2024, 560, 1),
        ("DEU", 2023, 381, 1),
        # EPA, eGRID2023: California 394.769, West Virginia 1,968.869 lb CO2e/MWh.
        ("US-CA", 2023, 394.769 * 0.45359237, 0.01),
        ("US-WV", 2023, 1968.869 * 0.45359237, 0.01),
        # MEE and NBS, Announcement 2025 No. 47: Beijing 0.5554 kg/kWh.
        ("CN-BJ", 2023, 555.4, 0.01),
        # Google Cloud, region carbon information, 2025: Oregon 97.85, Paris 15.83.
        ("gcp/us-west1", 2025, 97.85, 0.001),
        ("gcp/europe-west9", 2025, 15.83, 0.001),
        # Electricity Maps, yearly 2025: Ontario 111, New South Wales 525.
        ("CA-ON", 2025, 111, 0.001),
        ("AU-NSW", 2025, 525, 0.001),
    ],
)
def test_published_figures(
    table: GridTable, code: str, year: int, published: float, within: float
) -> None:
    assert table.intensities[code][year].g_per_kwh == pytest.approx(published, abs=within)


def test_the_order_of_grids_is_the_known_one(table: GridTable) -> None:
    low, middle, high = ("NOR", "FRA", "SWE", "ISL"), ("GBR", "USA", "DEU"), ("POL", "IND", "ZAF")
    newest = {c: by[max(by)].g_per_kwh for c, by in table.intensities.items()}
    assert max(newest[c] for c in low) < 70
    assert all(150 < newest[c] < 450 for c in middle)
    assert min(newest[c] for c in high) > 550


def test_several_years_for_nearly_every_place(table: GridTable) -> None:
    countries = [by for code, by in table.intensities.items() if len(code) == 3]
    assert sum(len(by) >= 2 for by in countries) > 0.9 * len(countries)
    assert sorted(table.intensities["FRA"]) == [2021, 2022, 2023, 2024]
    assert sorted(table.intensities["WORLD"]) == list(range(2019, 2026))
