"""Forced colours, paper, and links inside a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.explorer.conftest import Tab, until
from tests.explorer.test_pages import VIEWS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

SYSTEM = """names => Object.fromEntries(names.map(name => {
  const probe = document.createElement("i");
  probe.style.color = name;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return [name, found];
}))"""
LOOK = """([selector, property]) => [...document.querySelectorAll(selector)]
  .map(e => getComputedStyle(e)[property])"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_vanishes_in_forced_colours(browser: Browser, file: Path, scheme: str) -> None:
    """Marks, text, the view that is open and the focus have colours of the system's, even if the
    page's own theme is the other one."""
    how = {"forced_colors": "active", "color_scheme": scheme}
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **how)
    tab = Tab(context.new_page(), file.as_uri())
    page = tab.page
    page.add_init_script("localStorage.setItem('permille-theme', 'light')")
    tab.go("view=overview&origin=store")
    until(lambda: page.locator("figure svg .pt > *").count() > 0)
    system = page.evaluate(SYSTEM, ["Canvas", "CanvasText", "LinkText", "GrayText", "Highlight"])
    seen = {system[name] for name in ("CanvasText", "LinkText", "GrayText")}
    assert system["Canvas"] not in seen
    for selector, prop in (("figure svg .pt > *", "fill"), (".legend path", "fill")):
        assert set(page.evaluate(LOOK, [selector, prop])) <= seen
    assert set(page.evaluate(LOOK, ["figure svg text", "fill"])) <= seen | {"none"}
    current = page.evaluate(LOOK, ["nav a[aria-current]", "borderBottomColor"])
    others = page.evaluate(LOOK, ["nav a:not([aria-current])", "borderBottomColor"])
    assert current == [system["Highlight"]]
    assert set(others) == {system["Canvas"]}
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    focus = page.evaluate(LOOK, [":focus-visible", "outlineStyle"])
    assert focus == ["solid"]
    context.close()


def test_lists_and_parts_of_bars_are_told_apart_in_forced_colours(
    browser: Browser, file: Path
) -> None:
    """Shadows and gradients are not drawn: the option that is picked and the arrow of a list have
    other marks; and colours that stand beside each other differ."""
    context = browser.new_context(forced_colors="active")
    tab = Tab(context.new_page(), file.as_uri())
    tab.go("view=about").unfold()
    tab.page.locator("#f-task").click()
    tab.page.keyboard.press("ArrowDown")
    assert tab.page.evaluate(LOOK, [".popup li.at", "outlineStyle"]) == ["solid"]
    arrow = "getComputedStyle(document.querySelector('.combo'), '::after').content"
    assert "▾" in tab.page.evaluate(arrow)
    tab.go("view=breakdown&origin=shipped")
    until(lambda: tab.page.locator(".legend path").count() > 0)
    parts = tab.page.locator(".legend").first.locator("path")
    colours = parts.evaluate_all("all => all.map(e => getComputedStyle(e).fill)")
    assert len(set(colours)) == len(colours) == 4
    context.close()


@pytest.mark.parametrize(
    "view",
    [
        "size",
        "quality&task=text-classification",
        "compare&m=google/flan-t5-base&m=google/flan-t5-xl",
        "breakeven",
        "breakdown",
    ],
)
def test_intervals_are_not_faint_in_forced_colours(browser: Browser, file: Path, view: str) -> None:
    """A colour of the system's at a third of its strength was lighter than can be seen."""
    context = browser.new_context(forced_colors="active")
    tab = Tab(context.new_page(), file.as_uri())
    tab.go(f"view={view}&origin=shipped")
    lines = "main .canvas :is(.interval, .spread) :is(line, path)"
    until(lambda: tab.page.locator(lines).count() > 0)
    assert set(tab.page.evaluate(LOOK, [lines, "strokeOpacity"])) == {"1"}
    tab.page.emulate_media(forced_colors="none")
    assert all(float(o) < 1 for o in tab.page.evaluate(LOOK, [lines, "strokeOpacity"]))
    context.close()


def test_what_a_shade_tells_is_there_in_forced_colours(browser: Browser, file: Path) -> None:
    """The shares behind the numbers of every grid, and the lightest colour of the map's legend."""
    context = browser.new_context(forced_colors="active", color_scheme="dark")
    tab = Tab(context.new_page(), file.as_uri())
    tab.go("view=whatif&origin=shipped&task=text-classification")
    tab.page.locator("#w-grids summary").click()
    until(lambda: tab.page.locator("#w-grids .shade").count() > 0)
    shades = tab.page.evaluate(LOOK, ["#w-grids .shade", "backgroundImage"])
    assert all(shade.startswith("linear-gradient") for shade in shades)
    system = tab.page.evaluate(SYSTEM, ["Canvas", "CanvasText"])
    assert set(tab.page.evaluate(LOOK, ["#w-grids .shade", "color"])) == {system["CanvasText"]}
    until(lambda: tab.page.locator("#w-grids .legend path").count() > 0)
    edges = tab.page.evaluate(LOOK, ["#w-grids .legend path", "stroke"])
    assert set(edges) == {system["CanvasText"]}
    context.close()


def test_a_files_rows_and_points_open_without_loading_it_again(file_tab: Tab) -> None:
    page = file_tab.page
    file_tab.go("view=table&origin=store&search=small")
    page.evaluate("window.same = true; scrollTo(0, 300)")
    page.locator("table.all tbody th a").first.click()
    until(lambda: "view=model" in file_tab.url)
    assert page.evaluate("window.same && scrollY === 0")
    page.go_back()
    until(lambda: page.evaluate("document.querySelector('main').dataset.view") == "table")
    file_tab.page.get_by_role("link", name="Overview", exact=True).click()
    until(lambda: page.locator("figure svg .pt > *").count() > 0)
    page.locator(".stage").first.focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    until(lambda: "view=model" in file_tab.url)
    assert page.evaluate("Boolean(document.querySelector('main h1'))")


# --- paper -----------------------------------------------------------------------------------

UPRIGHT, ACROSS = 718, 1040
"""Pixels between the margins of an A4 page; a table of ten columns and more is across it."""
CONTROLS = "button:not(.term, thead button), input, select, nav, .panel, .keep > summary, footer"
CUT = """across => [...document.querySelectorAll("main table, main svg, main p, main dl")]
  .filter(e => e.getBoundingClientRect().right > (e.rows?.[0].cells[9] ? across : innerWidth) + 1)
  .map(e => [e.caption?.innerText ?? e.outerHTML.slice(0, 80), e.getBoundingClientRect().right])"""
SHORT = """() => [...document.querySelectorAll(".canvas svg")]
  .map(e => e.getBoundingClientRect())
  .filter(box => box.height < 60 || box.height > innerHeight).length"""
LARGE = """() => [...document.querySelectorAll("main th, main td, main th button")]
  .filter(e => parseFloat(getComputedStyle(e).fontSize) > 11)
  .map(e => [e.innerText, getComputedStyle(e).fontSize])"""
"""What of a table is larger than its 8 points, and breaks in its column: a heading that sorts."""
DARK = """() => [document.body, ...document.querySelectorAll("main th, main section, main figure")]
  .map(e => getComputedStyle(e).backgroundColor)
  .filter(c => c !== "rgba(0, 0, 0, 0)" && c.match(/\\d+/g).slice(0, 3).some(n => n < 200))"""


@pytest.mark.parametrize("view", [*VIEWS, "load"])
def test_a_view_on_paper_is_whole_light_and_has_no_controls(
    file_tab: Tab, swept_file: Path, view: str
) -> None:
    """As a printer takes it: right after the page has been told, before a further frame."""
    page = file_tab.page
    if view == "load":
        file_tab.address = swept_file.as_uri()
    page.set_viewport_size({"width": UPRIGHT, "height": ACROSS})
    page.emulate_media(color_scheme="dark")
    file_tab.go(f"view={view}&task=text-classification")
    until(lambda: page.locator("main h1").count() == 1)
    charts = page.locator("main .stage").count()
    page.evaluate(
        """() => {
          window.taken = new Promise(done => {
            dispatchEvent(new Event("beforeprint"));
            setTimeout(() => done(document.querySelectorAll("main .canvas > svg").length));
          });
        }"""
    )
    assert page.evaluate("window.taken") == charts
    page.emulate_media(media="print", color_scheme="dark")
    visible = page.locator(CONTROLS).evaluate_all(
        "all => all.filter(e => e.checkVisibility()).map(e => e.outerHTML.slice(0, 80))"
    )
    assert visible == []
    assert page.evaluate(CUT, ACROSS) == []
    assert page.evaluate(SHORT) == 0
    assert page.evaluate(LARGE) == []
    assert page.evaluate(DARK) == []
    words = page.locator("main .term:not(.fields *)").evaluate_all(
        "all => all.map(e => e.checkVisibility() || getComputedStyle(e).display === 'contents')"
    )
    assert all(words)
    # A heading with the box of a button is not repeated on the next page.
    assert set(page.evaluate(LOOK, ["main thead button", "display"])) <= {"contents"}
    page.emulate_media(media="screen", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    assert file_tab.said == []
