"""``permille regions``: what it lists, and its JSON."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pytest

from permille.carbon.table import grid_table
from permille.cli.commands import regions as regions_
from permille.errors import CarbonError


def regions(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    regions_.configure(parser)
    return regions_.run(parser.parse_args(argv))


def listed(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert regions(*argv, "--json") == 0
    payload: dict[str, Any] = json.loads(capsys.readouterr().out)
    return payload


def test_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    payload = listed(capsys)
    assert payload["schema"] == 1
    assert [r["region"] for r in payload["regions"]] == list(grid_table().places)
    sources = {s["source"] for s in payload["sources"]}
    assert {r["source"] for r in payload["regions"]} <= sources
    assert all(s["licence"] and s["attribution"] for s in payload["sources"])


def test_a_query(capsys: pytest.CaptureFixture[str]) -> None:
    payload = listed(capsys, "QUEBEC")
    assert {r["region"] for r in payload["regions"]} == {"CA-QC", "azure/canadaeast"}
    quebec = payload["regions"][0]
    assert quebec["years"] == [2021, 2022, 2023, 2024, 2025]
    assert quebec["year"] == 2025
    assert quebec["intensity_g_per_kwh"] == 41
    assert quebec["emissions"] == "lifecycle"
    assert payload["regions"][1]["grid"] == "CA-QC"


def test_a_kind(capsys: pytest.CaptureFixture[str]) -> None:
    payload = listed(capsys, "--kind", "state")
    assert len(payload["regions"]) == 51


def test_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert regions("France") == 0
    out = capsys.readouterr().out
    for said in ("FRA", "44", "2024", "lifecycle", "CC-BY-4.0", "ODbL-1.0"):
        assert said in out


def test_nothing_like_it_suggests() -> None:
    with pytest.raises(CarbonError, match=r"did you mean FRA"):
        regions("Frnace")


def test_a_place_of_another_kind() -> None:
    with pytest.raises(CarbonError, match="kind"):
        regions("France", "--kind", "state")


def test_hostile_queries_are_inert() -> None:
    with pytest.raises(CarbonError) as refused:
        regions("\x1b[31m[bold]Atlantis")
    assert str(refused.value).isprintable()


def test_a_code_is_the_place_and_what_stands_on_its_grid(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert regions("US-CA", "--json") == 0
    found = json.loads(capsys.readouterr().out)["regions"]
    assert found[0]["region"] == "US-CA"
    assert "azure/westus" in {place["region"] for place in found}
    assert {place["grid"] for place in found} == {"US-CA"}


def test_an_empty_query_is_not_about_the_kind() -> None:
    with pytest.raises(CarbonError, match="no grid intensity for the region ''"):
        regions("")
