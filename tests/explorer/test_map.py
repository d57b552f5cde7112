"""The map of What if: one workload's carbon in every country, as the command line gives it."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from permille.explorer.figures import everything
from permille.units import format_mass_g
from tests.conftest import Permille
from tests.explorer.conftest import Tab, until
from tests.explorer.test_grids import shown
from tests.explorer.test_pages import AXE, NO_COLOURS, downloaded, findings, scripts

pytestmark = pytest.mark.slow

STATE = "view=whatif&search=big&origin=store"
MARKS = "#w-grids svg .pt > *"
MAP = "#w-grids .stage"
TIP = "#w-grids .tip"


def opened(tab: Tab, state: str = STATE) -> Tab:
    tab.go(state)
    tab.page.click("#w-grids summary")
    until(lambda: tab.page.locator(MARKS).count() > 0)
    return tab


# One key is pressed, and the page is told of the others: to ask the browser 200 times for a country
# took most of these tests.
WALK = """([stage, tip, marks]) => [...document.querySelectorAll(marks)].map((_, number) => {
  if (number) document.querySelector(stage).dispatchEvent(
    new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true, cancelable: true }));
  const at = [...document.querySelectorAll(marks)].find(m => m.classList.contains("at"));
  return [...document.querySelector(tip).innerText.split("\\n"), at.style.fill];
})"""


def walked(tab: Tab) -> dict[str, list[str]]:
    """What the arrow keys name, country by country: the lines below its name, and its colour."""
    tab.page.locator(MAP).focus()
    tab.page.keyboard.press("ArrowRight")
    return {place: lines for place, *lines in tab.page.evaluate(WALK, [MAP, TIP, MARKS])}


def legend(tab: Tab) -> dict[str, str]:
    """The words of each colour of the legend."""
    return dict(
        tab.page.locator("#w-grids .legend li").evaluate_all(
            "all => all.map(li => [li.querySelector('path').style.fill, li.innerText])"
        )
    )


def test_each_country_has_the_command_lines_figure(
    tab: Tab, permille: Permille, store: Path
) -> None:
    opened(tab, f"{STATE}&pue=1.2&sorted=2022")
    named = walked(tab)
    for code, place in (("DEU", "Germany"), ("SGP", "Singapore"), ("GUF", "French Guiana")):
        options = ("--store", str(store), "--region", code, "--year", "2022", "--pue", "1.2")
        rows = permille("results", "--json", *options).json["rows"]
        row = next(row for row in rows if row["model"] == "big")
        figure = format_mass_g(row["co2e_g_per_1000"]["value"])
        assert f"{figure} CO₂e per 1,000 (" in named[place][0]
        assert "2022" in named[place][0]
        assert shown(tab)[place][0] == figure
    assert tab.said == []


def test_a_colour_is_a_range_and_what_has_no_figure_has_none(tab: Tab) -> None:
    opened(tab, f"{STATE}&sorted=2024")
    places = everything(None)[1]["grid"]["places"]
    known = {p["name"]: p["years"] for p in places if p["kind"] == "country"}
    colours = legend(tab)
    ranges = {fill: words for fill, words in colours.items() if fill.startswith("var(--m")}
    assert len(ranges) == 6
    with_figure = 0
    for place, lines in walked(tab).items():
        fill = lines[-1]
        if "2024" not in known.get(place, {}):
            assert lines[0] == "no figure of 2024"
            assert fill.startswith("url(")
            continue
        with_figure += 1
        assert fill in ranges, (place, lines)
        low, high = _ends(ranges[fill])
        assert low <= _grams(lines[0].split(" CO₂e")[0]) * (1 + 5e-3)
        assert _grams(lines[0].split(" CO₂e")[0]) <= high * (1 + 5e-3)
    assert with_figure > 50
    assert colours["var(--soft)"] == "no figure of 2024"


def _grams(words: str) -> float:
    value, unit = words.split(" ")
    scale = {"t": 1e6, "kg": 1e3, "g": 1.0, "mg": 1e-3, "µg": 1e-6}[unit]
    return float(value.replace(",", "")) * scale


def _ends(words: str) -> tuple[float, float]:
    if words.startswith("under "):
        return 0.0, _grams(words.removeprefix("under "))
    if words.endswith(" and more"):
        return _grams(words.removesuffix(" and more")), float("inf")
    low, high = words.split(" to ")
    return _grams(low), _grams(high)


def test_a_person_moves_the_year_and_takes_the_map_away(tab: Tab) -> None:
    opened(tab)
    usual = tab.page.input_value("#w-sorted")
    assert f"the grid of each country, {usual}" in tab.page.locator("#w-grids h2").inner_text()
    # Half of the countries at least have a figure of the year that it opens at.
    assert tab.page.locator(f"{MARKS}[style*='--m']").count() * 2 >= 200
    before = legend(tab)
    tab.page.select_option("#w-sorted", "2021")
    until(lambda: "sorted=2021" in tab.url)
    until(lambda: "each country, 2021" in tab.page.locator("#w-grids h2").inner_text())
    until(lambda: tab.page.locator(MARKS).count() > 0)
    # A colour is the same range in every year.
    after = legend(tab)
    assert {k: v for k, v in after.items() if "--m" in k} == {
        k: v for k, v in before.items() if "--m" in k
    }
    tab.page.click("#w-grids .keep summary")
    drawn = downloaded(tab, "#w-grids button:text('SVG')").decode()
    for words in (
        "Natural Earth, public domain",
        "Our World in Data",
        "no figure of 2021",
        "<pattern",
    ):
        assert words in drawn
    assert downloaded(tab, "#w-grids button:text('PNG')")[:4] == b"\x89PNG"
    rows = list(
        csv.DictReader(io.StringIO(downloaded(tab, "#w-grids button:text('CSV')").decode()))
    )
    places = [p for p in everything(None)[1]["grid"]["places"] if p["kind"] == "country"]
    assert {row["code"] for row in rows} == {p["code"] for p in places}
    for row in rows:
        known = next(p for p in places if p["code"] == row["code"])["years"]
        assert bool(row["co2e_g_per_1000"]) is ("2021" in known)
    assert tab.said == []


def test_every_country_of_the_table_is_on_the_map_or_counted_below_it(tab: Tab) -> None:
    opened(tab, f"{STATE}&sorted=2023")
    listed = shown(tab)
    listed.pop("")
    named = walked(tab)
    absent = listed.keys() - named.keys()
    note = tab.page.locator("#w-grids figure > .note").inner_text()
    assert f"The table has {len(absent)} more" in note
    assert len(absent) < 15
    # Shapes that the table has no country for: nothing is made up for them.
    for place in named.keys() - listed.keys():
        assert named[place][0] == "no figure of 2023"


def test_other_grids_are_in_the_table_alone(tab: Tab) -> None:
    opened(tab)
    assert "states, provinces" in tab.page.locator("#w-grids figure > .note").inner_text()
    tab.page.select_option("#w-places", "state")
    until(lambda: "places=state" in tab.url)
    until(lambda: "The map has countries alone" in tab.page.locator("#w-grids").inner_text())
    assert tab.page.locator(MARKS).count() == 0
    assert "California, United States" in shown(tab)


def test_a_country_is_named_under_the_pointer_and_the_finger(browser: Any, file: Path) -> None:
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True
    )
    tab = opened(Tab(context.new_page(), file.as_uri()))
    brazil = """marks => {
      const stage = document.querySelector("#w-grids .stage");
      stage.scrollIntoView({ block: "center" });
      const svg = stage.querySelector("svg").getBoundingClientRect();
      return [svg.x + svg.width * 0.355, svg.y + svg.height * 0.6];
    }"""
    x, y = tab.page.evaluate(brazil, MARKS)
    tab.page.touchscreen.tap(x, y)
    until(lambda: tab.page.locator(TIP).inner_text().startswith("Brazil"))
    tab.page.mouse.move(x, y)
    until(lambda: tab.page.locator(TIP).inner_text().startswith("Brazil"))
    assert tab.said == []
    context.close()


@pytest.mark.parametrize("width", [360, 1366])
def test_the_map_fits_and_is_for_everyone(file_tab: Tab, width: int) -> None:
    file_tab.page.set_viewport_size({"width": width, "height": 800})
    opened(file_tab)
    drawn = file_tab.page.locator("#w-grids .canvas svg").bounding_box()
    assert drawn is not None
    assert drawn["width"] <= width
    assert drawn["height"] < drawn["width"]
    assert file_tab.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    if not AXE.exists():
        pytest.skip("axe-core is not installed: python scripts/build_explorer.py")
    assert findings(file_tab, NO_COLOURS if width == 360 else {}) == []


def test_its_part_of_the_script_comes_when_it_is_opened(browser: Any, served: Any) -> None:
    page = browser.new_page()
    loaded: list[str] = []
    page.on("response", lambda answer: loaded.append(answer.url.partition("?")[0]))
    page.goto(f"{served.address}?{STATE}")
    page.locator("#w-grids summary").wait_for()
    before = scripts(loaded)
    page.click("#w-grids summary")
    page.locator(MARKS).first.wait_for()
    assert scripts(loaded) > before
    page.close()
