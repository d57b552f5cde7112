"""The controls: lists to choose from, the columns of the table, and where the focus stays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.explorer.conftest import DRAWN, Tab, until
from tests.explorer.test_pages import findings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

TASKS = "#f-task-list [role=option]"
AT = "document.activeElement.id || document.activeElement.innerText"
ACTIVE = """document.getElementById(
  document.activeElement.getAttribute('aria-activedescendant')).innerText"""


def choose(tab: Tab, field: str, words: str) -> None:
    """The first option that has these words."""
    tab.page.fill(field, words)
    tab.page.keyboard.press("Enter")


def test_an_option_is_found_by_words_in_any_order(file_tab: Tab) -> None:
    page = file_tab.page
    file_tab.go("view=compare&origin=shipped")
    assert page.locator("[role=option]").count() == 0  # they are made when the list opens
    listed = page.locator("#c-model-1-list [role=option]")
    page.fill("#c-model-1", "xxl T5 flan")
    assert listed.all_inner_texts() == ["google/flan-t5-xxl"]
    page.fill("#c-model-1", "diffusion stable")
    shown = listed.all_inner_texts()
    assert shown
    assert all("stable-diffusion" in model.lower() for model in shown)
    page.keyboard.press("Enter")
    until(lambda: "stable-diffusion" in file_tab.url)
    assert page.input_value("#c-model-1") == shown[0]
    file_tab.go("view=whatif&origin=shipped")
    choose(file_tab, "#w-model", "imdb bert distilbert")  # the dataset stands beside the model
    until(lambda: "distilbert" in page.input_value("#w-model"))
    assert "on IMDB" in page.locator("#w-said").inner_text()
    file_tab.unfold()
    choose(file_tab, "#f-region", "germany")
    until(lambda: "region=DEU" in file_tab.url)
    assert page.input_value("#f-region") == "Germany"
    file_tab.go("view=table&search=xxl+T5+flan")
    assert set(page.locator("table.all tbody th").all_inner_texts()) == {"google/flan-t5-xxl"}
    assert file_tab.said == []


def test_a_list_is_worked_by_keys(file_tab: Tab) -> None:
    page = file_tab.page
    file_tab.go("view=about&origin=shipped&dataset=IMDB").unfold()
    field = page.locator("#f-task")
    field.focus()
    assert field.get_attribute("aria-expanded") == "false"
    page.keyboard.press("ArrowDown")
    assert field.get_attribute("aria-expanded") == "true"
    assert page.evaluate(ACTIVE) == "all"
    options = page.locator(TASKS).all_inner_texts()
    page.keyboard.press("End")
    assert page.evaluate(ACTIVE) == options[-1] == "text-classification"
    page.keyboard.press("Home")
    assert page.evaluate(ACTIVE) == options[0]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    until(lambda: f"task={options[1]}" in file_tab.url)
    page.keyboard.press("ArrowDown")
    assert page.evaluate(ACTIVE) == options[1]
    page.keyboard.press("Escape")
    assert page.locator(TASKS).count() == 0
    assert page.input_value("#f-task") == options[1]
    page.fill("#f-task", "nothing like it")
    page.keyboard.press("Enter")
    assert "Nothing has these words" in page.locator(".popup:visible").inner_text()
    page.keyboard.press("Tab")
    assert page.input_value("#f-task") == options[1]
    field.click()
    page.locator(TASKS).first.click()
    until(lambda: "task=" not in file_tab.url)
    assert page.evaluate(AT) == "f-task"
    page.go_back()
    until(lambda: f"task={options[1]}" in file_tab.url)
    assert page.input_value("#f-task") == options[1]
    assert file_tab.said == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_open_list_is_for_everyone(browser: Browser, file: Path, theme: Any) -> None:
    """By touch, within the screen, and axe finds nothing."""
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, color_scheme=theme
    )
    tab = Tab(context.new_page(), file.as_uri())
    tab.go("view=about").unfold()
    tab.page.locator("#f-dataset").tap()
    option = tab.page.locator("#f-dataset-list [role=option]", has_text="IMDB")
    option.wait_for()
    assert findings(tab) == []
    assert tab.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    option.tap()
    until(lambda: "dataset=IMDB" in tab.url)
    context.close()


def test_focus_stays_where_a_person_is(file_tab: Tab) -> None:
    page = file_tab.page
    file_tab.go("view=size&origin=shipped&dataset=IMDB")
    page.locator("#chip-dataset").focus()
    page.keyboard.press("Enter")  # the filter goes, and its button with it
    until(lambda: "dataset=" not in file_tab.url)
    assert page.evaluate(AT) == "chip-origin"
    page.keyboard.press("Enter")
    until(lambda: "origin=" not in file_tab.url)
    assert page.evaluate(AT).startswith("Filters")
    page.locator("nav a", has_text="Size").focus()
    page.evaluate("window.permille.set({unit: 'co2e'})")  # the navigation is drawn anew
    assert page.evaluate(AT) == "Size"
    file_tab.go("view=table&origin=shipped")
    page.locator("#sort-energy").focus()
    page.keyboard.press("Enter")
    until(lambda: "sort=energy" in file_tab.url)
    assert page.evaluate(AT) == "sort-energy"


@pytest.mark.parametrize("view", ["model", "run"])
def test_a_page_below_the_table_marks_its_tab(file_tab: Tab, view: str) -> None:
    file_tab.go(f"view={view}&model=small&uid=small-3")
    assert file_tab.page.locator("nav [aria-current]").all_inner_texts() == ["Table"]


@pytest.mark.parametrize("view", ["overview", "size", "quality"])
def test_the_first_mark_is_in_the_first_third_of_the_screen(
    browser: Browser, file: Path, view: str
) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    tab = Tab(context.new_page(), file.as_uri())
    tab.go(f"view={view}&origin=shipped")
    until(lambda: tab.page.locator("figure svg .pt > *").count() > 0)
    # Without the row of chips: what a person sees who has set nothing.
    tab.page.evaluate("document.querySelector('.chips').replaceChildren()")
    tops = tab.page.locator("figure svg .pt > *").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().top)"
    )
    assert min(tops) < 768 / 3
    context.close()


def test_columns_are_chosen_and_kept_in_the_address(file_tab: Tab) -> None:
    page = file_tab.page
    file_tab.go("view=table&origin=shipped&dataset=IMDB")
    page.click("summary:text('Columns')")
    page.click("#column-carbon")
    page.click("#column-study")
    until(lambda: "hide=carbon%2Cstudy" in file_tab.url)
    assert page.locator("td[data-column=carbon], #sort-study").count() == 0
    page.reload()
    until(lambda: page.evaluate(DRAWN))
    assert page.locator("td[data-column=carbon]").count() == 0
    page.click("summary:text('Columns (11 of 13)')")
    page.click("button:text('Show all')")
    until(lambda: "hide=" not in file_tab.url)
    assert page.locator("td[data-column=carbon]").count() > 0
    file_tab.go("view=table&origin=store&search=small&hide=constructor,energy")
    assert page.locator("td[data-column=energy]").count() == 0
    assert "[" in page.locator("td[data-column=quality]").first.inner_text()  # with its error
    assert file_tab.said == []


def test_on_a_phone_the_ratio_stands_beside_its_model(browser: Browser, file: Path) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    tab = Tab(context.new_page(), file.as_uri())
    tab.go("view=compare&origin=shipped")
    box = tab.page.locator("[data-ratio]").first.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 360
    context.close()
