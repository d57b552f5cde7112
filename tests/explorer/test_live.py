"""The page follows a run that writes to its store, and a person keeps their place."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from permille.store import Store
from tests.callable_study import write_study
from tests.conftest import PATIENCE_S, Permille
from tests.explorer.conftest import Served, Tab, serving, trials, until
from tests.powercap import Driver
from tests.records import trial

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

MODELS = """
import pathlib, time

def turn(name):
    # Whichever comes first answers at once, the other when the test has seen the first.
    first = pathlib.Path("first-to-run")
    if not first.exists():
        first.write_text(name)
    while first.read_text() != name and not pathlib.Path("go").exists():
        time.sleep(0.05)
    return "good"

def one(text):
    return turn("one")

def other(text):
    return turn("other")
"""


def filled(path: Path) -> Path:
    """A store with everything awkward in it."""
    with Store(path) as store:
        store.add_many((one, None) for one in trials())
    return path


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, built: None) -> Path:
    """What tests add to it, and count from where they begin."""
    return filled(tmp_path_factory.mktemp("live") / "permille.db")


@pytest.fixture(scope="module")
def followed(kept: Path) -> Iterator[Served]:
    with serving(kept) as running:
        yield running


@pytest.fixture
def live(browser: Browser, followed: Served) -> Iterator[Tab]:
    with opened(browser, followed) as tab:
        yield tab


@contextlib.contextmanager
def opened(browser: Browser, served: Served) -> Iterator[Tab]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    yield Tab(page, served.address)
    page.close()


def news(tab: Tab) -> str:
    return str(tab.page.evaluate("document.querySelector('.live').innerText"))


def add(kept: Path, count: int = 1) -> None:
    with Store(kept) as store:
        store.add_many((trial(model="added", uid=uuid.uuid4().hex, repeat=i), None)
                       for i in range(count))  # fmt: skip


@pytest.mark.measuring
def test_a_runs_trials_come_in_while_it_runs(
    browser: Browser, built: None, powercap: Driver, environment: dict[str, str], tmp_path: Path,
    permille: Permille,
) -> None:  # fmt: skip
    names = ("one", "other")
    write_study(
        tmp_path, *names, source=MODELS, texts=("good a", "bad b"), name="live",
        timeout_s=PATIENCE_S,
    )  # fmt: skip
    with (
        serving(filled(tmp_path / "permille.db")) as served,
        opened(browser, served) as live,
    ):
        live.go("view=table&study=live&origin=store")
        assert news(live) == ""
        run = subprocess.Popen(
            [sys.executable, "-m", "permille", "run", "study.toml"],
            cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            until(lambda: news(live).startswith("1 new trial, "))
            assert run.poll() is None
            first = (tmp_path / "first-to-run").read_text()
            assert live.values("energy").keys() == {first}
            (tmp_path / "go").touch()
            until(lambda: news(live).startswith("2 new trials, "))
            assert run.wait(PATIENCE_S) == 0
        finally:
            run.kill()
            run.wait()
        until(lambda: live.values("energy").keys() == set(names))
        rows = permille("results", "--json", "--study", "live").json["rows"]
        assert len(rows) == 2
        shown = live.values("energy")
        for row in rows:
            assert shown[row["model"]] == pytest.approx(row["kwh_per_1000"]["value"], rel=1e-9)
        assert live.said == []


PLACE = """() => ({
  y: scrollY, table: document.querySelector("main .scroll").scrollLeft,
  focus: document.activeElement.outerHTML, open: document.querySelectorAll("details[open]").length,
  typed: document.querySelector("#f-least").value,
  search: document.querySelector("#f-search").value,
})"""


def test_a_person_keeps_their_place(live: Tab, kept: Path) -> None:
    page = live.page
    page.set_viewport_size({"width": 500, "height": 500})
    live.go("view=whatif&origin=store&search=small&day=1000").unfold()
    page.click("summary:text('Every cell of this selection')")
    # What is typed, and is no number yet.
    page.locator("#f-least").press_sequentially("7x")
    until(lambda: "least=7x" in live.url)
    link = page.get_by_role("region", name="Every cell of this selection").get_by_role("link").last
    link.evaluate("a => { a.focus(); a.scrollIntoView(); }")
    page.locator("main .scroll").first.evaluate("box => box.scrollTo(40, 0)")
    before = page.evaluate(PLACE)
    assert before["y"] > 0
    assert before["table"] > 0
    drawn = page.evaluate("document.querySelector('main').dataset.drawn")
    address = live.url
    add(kept, 3)
    until(lambda: news(live).startswith("3 new trials, "))
    assert page.evaluate("document.querySelector('main').dataset.drawn") != drawn
    assert page.evaluate(PLACE) == before
    assert live.url == address
    assert live.said == []


def test_runs_that_are_asked_for_come_back_where_they_were(live: Tab, kept: Path) -> None:
    page = live.page
    live.go("view=model&model=small")
    link = page.get_by_role("link", name="repeat 3")
    link.wait_for()
    link.focus()
    add(kept)
    until(lambda: news(live).startswith("1 new trial, "))
    until(lambda: page.evaluate("document.activeElement.textContent") == "repeat 3")
    assert live.said == []


def test_a_hand_on_the_page_is_waited_for(live: Tab, kept: Path) -> None:
    page = live.page
    live.go("view=whatif&origin=store")
    page.click("summary:has-text('Keep')")
    add(kept)
    asked = "performance.getEntriesByType('resource').filter(e => /revision/.test(e.name)).length"
    until(lambda: page.evaluate(asked) > 2)
    assert news(live) == ""
    assert page.locator(".keep[open]").count() == 1
    page.click("summary:has-text('Keep')")
    until(lambda: news(live).startswith("1 new trial, "))


def test_a_tab_out_of_sight_asks_for_nothing(live: Tab, kept: Path) -> None:
    page = live.page
    page.clock.install()
    live.go("view=overview")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    see = """hidden => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(see, True)
    page.clock.run_for(60_000)
    before = len(asked)
    add(kept)
    page.clock.run_for(600_000)
    assert len(asked) == before
    page.evaluate(see, False)
    page.clock.run_for(2_000)
    until(lambda: news(live).startswith("1 new trial, "))


def test_a_store_that_comes_later_is_taken_in(
    browser: Browser, tmp_path: Path, built: None
) -> None:
    path = tmp_path / "later.db"
    with serving(path) as running:
        tab = Tab(browser.new_page(), running.address)
        tab.go("view=table&origin=store")
        assert news(tab) == "There is no store later.db yet."
        assert tab.values("energy") == {}
        many = trials()
        with Store(path) as store:
            store.add_many((one, None) for one in many)
        until(lambda: news(tab).startswith(f"{len(many)} new trials, "))
        assert "small" in tab.values("energy")
        tab.page.close()


def test_while_nothing_changes_the_figures_are_not_read(followed: Served) -> None:
    """The page's question is answered from the files' times, with the same answer each time."""
    answers = {followed.ask("/revision")[2] for _ in range(3)}
    assert len(answers) == 1
    assert followed.ask("/document.json")[0] == 200
    assert {followed.ask("/revision")[2]} == answers


def test_a_file_has_nothing_new(file_tab: Tab) -> None:
    asked: list[str] = []
    file_tab.page.on("request", lambda request: asked.append(request.url))
    file_tab.page.clock.install()
    file_tab.go()
    file_tab.page.clock.run_for(60_000)
    assert news(file_tab) == ""
    assert not any("revision" in url for url in asked)


def test_a_server_that_stopped_is_named(browser: Browser, kept: Path) -> None:
    with serving(kept) as running:
        tab = Tab(browser.new_page(), running.address)
        tab.go()
    until(lambda: news(tab) == "The server does not answer.")
    assert tab.page.locator("main h1").count() == 1
    tab.page.close()


def test_a_fault_of_the_page_is_not_taken_for_a_silent_server(live: Tab, kept: Path) -> None:
    live.go("view=table")
    # Kept, because the line says it until the page asks the server again.
    live.page.evaluate(
        """void (
            permille.render = () => null.drawn,
            window.lines = [],
            new MutationObserver(([{ target }]) => lines.push(target.textContent)).observe(
                document.querySelector(".live"), { childList: true })
        )"""
    )
    add(kept)
    until(lambda: live.page.evaluate("lines.length") > 0)
    assert live.page.evaluate("lines[0]").startswith("Nothing new: ")
