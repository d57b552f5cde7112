"""The script that builds the grid table: what it reads, refuses and keeps."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from permille.carbon.table import grid_table

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("build_grid_table")


def local(name: str) -> list[dict[str, str]]:
    path = ROOT / "scripts" / "grid_sources" / name
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_the_committed_table_is_in_step_with_the_local_sources() -> None:
    table = grid_table()
    for line in local("world.csv"):
        figure = table.intensities["WORLD"][int(line["year"])]
        assert figure.g_per_kwh == float(line["g_per_kwh"])
    for line in local("google_cloud.csv"):
        own = table.intensities[f"gcp/{line['region']}"]
        published = {int(y): float(v) for y, v in line.items() if y.isdigit() and v}
        assert {year: figure.g_per_kwh for year, figure in own.items()} == published
    for line in local("cloud_regions.csv"):
        assert table.places[line["region"]].grid == line["grid"]
    built = ROOT / "src" / "permille" / "carbon" / "data" / "sources.csv"
    assert built.read_bytes() == (ROOT / "scripts" / "grid_sources" / "sources.csv").read_bytes()


def test_a_package_that_is_not_the_pinned_one_is_refused(
    script: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "carbontracker-2.4.7-py3-none-any.whl").write_bytes(b"something else")
    with pytest.raises(SystemExit, match="SHA-256"):
        script.fetch("carbontracker-2.4.7", tmp_path)


def test_the_newest_release_of_a_year_is_kept_and_zero_is_not(script: ModuleType) -> None:
    rows = [
        script.Row("FRA", 2023, 56.0, "new"),
        script.Row("FRA", 2023, 58.0, "old"),
        script.Row("FRA", 2022, 85.0, "old"),
        script.Row("CAF", 2022, 0.0, "new"),
    ]
    assert script.newest(rows) == [
        script.Row("FRA", 2022, 85.0, "old"),
        script.Row("FRA", 2023, 56.0, "new"),
    ]


def test_states_are_converted_from_pounds_per_megawatt_hour(script: ModuleType) -> None:
    text = json.dumps(
        {
            "_source": {"year": 2023},
            "district of columbia": {"emissions": 1000.0, "regionCode": "DC"},
            "usa": {"emissions": 770.884, "regionCode": "usa"},
        }
    )
    [(place, row)] = script.us_states(text)
    assert place.code == "US-DC"
    assert place.name == "District of Columbia"
    assert row.g_per_kwh == pytest.approx(453.59237)


ZONES = r"""const data = {
 "FR": {"zone": {"zoneName": "France"}, "carbonIntensity": {"value": 33, "unit": "gCO2eq/kWh"}},
 "XK": {"zone": {"zoneName": "Kosovo"}, "carbonIntensity": {"value": 605, "unit": "gCO2eq/kWh"}},
 "US-AK": {"zone": {"zoneName": "Alaska"}, "carbonIntensity": {"value": 1, "unit": "gCO2eq/kWh"}},
 "CA-QC": {"zone": {"zoneName": "Qu\xE9bec"},
  "carbonIntensity": {"value": 41, "unit": "gCO2eq/kWh"}}
};
export { data };"""


def test_zones_are_those_that_nothing_else_covers(script: ModuleType) -> None:
    found = list(script.zones(ZONES, 2025, {"CA": "CAN", "FR": "FRA"}))
    assert [(p.code, p.kind, p.name) for p, _ in found] == [
        ("XKX", "country", "Kosovo"),
        ("CA-QC", "province", "Québec"),
    ]


def test_another_unit_is_refused(script: ModuleType) -> None:
    with pytest.raises(SystemExit, match="unit"):
        list(script.zones(ZONES.replace("gCO2eq/kWh", "kg/MWh"), 2025, {"CA": "CAN"}))
