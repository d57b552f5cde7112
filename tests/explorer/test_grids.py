"""One workload on every grid, by year: as the command line gives it, and missing where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from permille.explorer.figures import everything
from permille.units import format_mass_g
from tests.conftest import Permille
from tests.explorer.conftest import Tab, until
from tests.explorer.test_pages import AXE

pytestmark = pytest.mark.slow

TABLE = "CO₂e a year of the workload, by place and year"


def shown(tab: Tab) -> dict[str, list[str]]:
    """The cells of each place's row; the table's heading is that of ''."""
    rows = tab.page.get_by_role("region", name=TABLE).locator("tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    )  # fmt: skip
    return {"": rows[0][1:]} | {row[0]: row[1:] for row in rows[1:]}


def test_the_matrix_is_the_command_lines(tab: Tab, permille: Permille, store: Path) -> None:
    tab.go("view=whatif&search=big&origin=store&day=1000000&pue=1.2")
    assert tab.page.get_by_role("region", name=TABLE).count() == 0  # made when it is opened
    tab.page.click("#w-grids summary")
    until(lambda: tab.page.get_by_role("region", name=TABLE).count())
    rows = shown(tab)
    for code, place, year in (("NOR", "Norway", "2023"), ("IND", "India", "2021")):
        options = ("--store", str(store), "--region", code, "--year", year, "--pue", "1.2")
        said = permille("results", "--json", *options).json["rows"]
        row = next(row for row in said if row["model"] == "big")
        grams = row["co2e_g_per_1000"]["value"] * 1000 * 365
        assert rows[place][rows[""].index(year)] == format_mass_g(grams)
    assert tab.said == []


def test_a_year_without_a_figure_is_missing_and_last(tab: Tab) -> None:
    places = {p["name"]: p for p in everything(None)[1]["grid"]["places"]}
    tab.go("view=whatif&search=big&origin=store&day=1000000&places=country&sorted=2025")
    tab.page.click("#w-grids summary")
    until(lambda: tab.page.get_by_role("region", name=TABLE).count())
    rows = shown(tab)
    years = rows.pop("")[1:-1]
    for place, cells in rows.items():
        known = places[place]["years"]
        assert [cell != "n/a" for cell in cells[1:-1]] == [year in known for year in years]
        assert (cells[0] != "n/a") is ("2025" in known)
        assert "0 g" not in cells or any(known[y][0] == 0 for y in known)
        assert ("no figure of 2025" in cells[-1]) is ("2025" not in known)
    without = ["2025" not in places[place]["years"] for place in rows]
    assert any(without)
    assert without == sorted(without)


def test_direct_emissions_are_marked_and_the_choice_is_in_the_address(tab: Tab) -> None:
    tab.go("view=whatif&search=big&origin=store")
    tab.page.click("#w-grids summary")
    until(lambda: tab.page.get_by_role("region", name=TABLE).count())
    tab.page.select_option("#w-places", "province")
    until(lambda: "places=province" in tab.url)
    until(lambda: "direct" in tab.page.get_by_role("region", name=TABLE).inner_text())
    assert tab.page.locator("#w-grids").get_attribute("open") is not None
    marked = tab.page.locator("#w-grids .shade:has(small)").first
    assert "direct: China MEE" in (marked.get_attribute("title") or "")
    if AXE.exists():
        tab.page.evaluate(AXE.read_text(encoding="utf-8"))
        result = tab.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert [
            v["id"] for v in result["violations"] if v["impact"] in ("serious", "critical")
        ] == []
