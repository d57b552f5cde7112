"""Forced colours, and links inside a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.explorer.conftest import Tab, until

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
