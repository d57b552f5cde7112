"""While a slider is moved: what changes is written where it stands; the rest is not made anew."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from permille.explorer import document
from permille.explorer.page import self_contained
from tests.explorer.conftest import Tab, until
from tests.explorer.tiled import tiled

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

SLIDE = """
([id, value]) => {
  const slider = document.getElementById(id);
  slider.value = value;
  slider.dispatchEvent(new Event("input", {bubbles: true}));
}
"""
MARK = "selector => document.querySelectorAll(selector).forEach((e, i) => { e.mark = i; })"
MARKED = """
selector => [...document.querySelectorAll(selector)].map(e => e.mark ?? null)
"""
TABLE = """() => [...document.querySelectorAll('table.all tbody tr')].map(row => [
  row.dataset.cell, row.innerText, row.querySelector('a').href,
  ...[...row.querySelectorAll('.value')].map(e => [e.dataset.value, e.dataset.low])])"""
REDRAW = "window.permille.render()"


@pytest.fixture(scope="module")
def many(browser: Browser, built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A page of more points than are elements, in Quality too, where not all have a quality."""
    file = tmp_path_factory.mktemp("sliders") / "many.html"
    file.write_text(self_contained(document.encode(tiled(6_000))), encoding="utf-8")
    context = browser.new_context(viewport={"width": 1000, "height": 800}, offline=True)
    yield Tab(context.new_page(), file.as_uri())
    context.close()


def slide(tab: Tab, value: float, slider: str = "f-pue") -> None:
    tab.page.evaluate(SLIDE, [slider, str(value)])


@pytest.mark.parametrize(
    "state",
    ["boundary=facility&sort=carbon", "boundary=compute&hide=energy", "sort=energy&dir=down"],
)
def test_the_tables_rows_stay_and_say_what_a_new_one_would(file_tab: Tab, state: str) -> None:
    tab = file_tab.go(f"view=table&{state}")
    tab.page.evaluate(MARK, "table.all td, table.all tr")
    for pue in (1.8, 1.2):
        slide(tab, pue)
    followed = tab.page.evaluate(TABLE)
    assert None not in tab.page.evaluate(MARKED, "table.all td, table.all tr")
    assert "pue=1.2" in followed[0][2]
    tab.page.evaluate(REDRAW)
    assert tab.page.evaluate(TABLE) == followed
    assert set(tab.page.evaluate(MARKED, "table.all td")) == {None}
    assert tab.said == []


def test_downloads_follow_the_slider(tab: Tab) -> None:
    tab.go("view=table&boundary=facility&origin=store")
    slide(tab, 1.7)
    links = tab.page.locator(".take a").evaluate_all("all => all.map(a => a.href)")
    assert len(links) == 3
    assert all("pue=1.7" in link for link in links)


def test_a_grid_is_followed_and_a_boundary_is_not(file_tab: Tab) -> None:
    tab = file_tab.go("view=table&origin=store")
    tab.page.evaluate(MARK, "table.all tr")
    tab.page.evaluate("window.permille.set({region: 'FRA'})")
    assert None not in tab.page.evaluate(MARKED, "table.all tr")
    assert "region=FRA" in tab.page.evaluate(TABLE)[0][2]
    tab.page.evaluate("window.permille.set({boundary: 'node'})")
    assert set(tab.page.evaluate(MARKED, "table.all tr")) == {None}


PICTURE = """() => { const c = document.querySelector('canvas.cloud');
  const seen = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  return [c.width, c.height, seen.reduce((sum, v, i) => (31 * sum + v * (i % 97)) % 1e9, 7)]; }"""


@pytest.mark.parametrize("view", ["overview", "size", "quality"])
def test_a_factor_of_all_points_keeps_their_picture(many: Tab, view: str) -> None:
    many.go(f"view={view}&unit=co2e")
    until(lambda: many.page.locator("canvas.cloud").count() > 0)
    many.page.evaluate(MARK, "canvas.cloud")
    axis = "() => document.querySelector('figure .canvas svg')?.innerHTML ?? ''"
    before, labels = many.page.evaluate(PICTURE), many.page.evaluate(axis)
    slide(many, 2.3)
    until(lambda: many.page.evaluate(axis) not in ("", labels))
    assert None not in many.page.evaluate(MARKED, "canvas.cloud")
    # What is kept is what would be painted.
    many.page.set_viewport_size({"width": 900, "height": 800})
    until(lambda: many.page.evaluate(MARKED, "canvas.cloud")[0] is None)
    many.page.set_viewport_size({"width": 1000, "height": 800})
    until(lambda: many.page.evaluate(PICTURE) == before)
    assert many.said == []


def test_other_colours_are_painted_anew(many: Tab) -> None:
    many.go("view=size")
    until(lambda: many.page.locator("canvas.cloud").count() == 1)
    many.page.evaluate(MARK, "canvas.cloud")
    many.page.select_option("#s-colour", "task")
    until(lambda: many.page.evaluate(MARKED, "canvas.cloud") == [None])
    many.page.evaluate(MARK, "canvas.cloud")
    many.page.emulate_media(color_scheme="dark")
    until(lambda: many.page.evaluate(MARKED, "canvas.cloud") == [None])
    many.page.emulate_media(color_scheme="light")


# --- details and the address -----------------------------------------------------------------


def test_what_is_folded_is_made_when_it_opens(file_tab: Tab) -> None:
    tab = file_tab.go("view=quality&origin=shipped&task=text-classification")
    rows = tab.page.locator("main table tbody tr")
    assert rows.count() == 0
    tab.page.locator("summary:has-text('The same in words')").first.click()
    until(lambda: rows.count() > 1)
    slide(tab, 1.5)  # drawn anew, and open as before
    assert rows.count() > 1
    tab.page.emulate_media(media="print")
    tab.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    tables = tab.page.locator("main table").count()
    assert tables == tab.page.locator("figure.chart").count() > 1
    tab.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.said == []


def test_opened_details_stay_open_while_the_volume_is_moved(file_tab: Tab) -> None:
    tab = file_tab.go("view=whatif&origin=store")
    tab.page.click("summary:text('Every cell of this selection')")
    table = tab.page.locator("table", has_text="Every cell of this selection")
    until(table.is_visible)
    slide(tab, 5, "w-slide")
    assert table.is_visible()


WRITTEN = """() => { window.written = []; const replace = history.replaceState.bind(history);
  history.replaceState = (...words) => { window.written.push(words[2]); replace(...words); }; }"""


def test_of_many_moves_the_address_has_the_last(browser: Browser, file: Path) -> None:
    page = browser.new_page()
    tab = Tab(page, file.as_uri()).go("view=size")
    page.evaluate(WRITTEN)
    # The page's time stands still but for what it is told.
    page.clock.install()
    page.clock.pause_at(datetime.datetime(2100, 1, 1))
    for step in range(1, 41):
        slide(tab, 1 + step / 100)
    assert "pue=1.01" in tab.url
    page.clock.run_for(1_000)
    assert "pue=1.4" in tab.url
    assert page.evaluate("window.written.length") == 2
    # A link that is followed leaves the slider's last value behind it.
    page.evaluate(
        """() => { const set = pue => window.permille.set({pue}, {replace: true});
        set('1.5'); set('1.6'); window.permille.set({view: 'table'}); }"""
    )
    assert "view=table" in tab.url
    page.go_back()
    until(lambda: "view=size" in tab.url)
    assert "pue=1.6" in tab.url
    # What was left unwritten does not come over the address that one goes back to.
    page.evaluate(
        """() => { window.permille.set({view: 'table'});
        for (const pue of ['1.7', '1.8', '1.9']) window.permille.set({pue}, {replace: true});
        history.back(); }"""
    )
    until(lambda: "view=size" in tab.url)
    page.clock.run_for(1_000)
    assert "pue=1.6" in tab.url
    page.close()
