"""Tokens and answers on a model's page, and the Load view, in Chromium: as the command line gives
them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from permille.explorer import static_file
from permille.store import Store
from tests.conftest import Permille
from tests.explorer import sweep
from tests.explorer.conftest import SCREEN, Tab, lent, serving, until
from tests.explorer.test_pages import AXE, cramped, findings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow


@pytest.fixture
def page(file_page: Page, swept_file: Path) -> Iterator[Tab]:
    """The store as a file."""
    yield from lent(file_page, swept_file.as_uri())


@pytest.fixture
def online(browser: Browser, swept: Path) -> Iterator[Tab]:
    """The store as the explorer serves it."""
    with serving(swept) as running:
        context = browser.new_context(viewport=SCREEN)
        yield from lent(context.new_page(), running.address)
        context.close()


def test_a_models_page_has_the_command_lines_figures_of_tokens_and_answers(
    page: Tab, permille: Permille, swept: Path
) -> None:
    printed = permille("results", "--store", str(swept), "--task", "text-classification").out
    assert "9.5 mJ [9.26 mJ, 9.74 mJ]" in printed
    page.go(f"view=model&model={sweep.MODEL}, concurrency = 4")
    until(lambda: "Tokens and answers" in page.text())
    lines = {
        row.split("\t")[0]: row.split("\t")[1:]
        for row in page.page.locator("table", has_text="Of one token").inner_text().splitlines()
    }
    assert lines["Energy per output token"] == ["9.5 mJ", "9.26 mJ to 9.74 mJ"]
    assert lines["An output token by itself"][0] == "10 mJ"
    assert lines["Time to the first token, p95"][0] == "500 ms"
    assert lines["Successful answers per second"][0] == "100"
    assert "Reasoning tokens of an answer" not in lines
    page.go("view=model&model=plain")
    until(lambda: "What it rests on" in page.text())
    assert "Tokens and answers" not in page.text()
    assert page.said == []


def test_sliders_pick_the_load_that_slo_picks(page: Tab, permille: Permille, swept: Path) -> None:
    page.go("view=load&limit=ttft_p95&within=1")
    options = ("--ttft-p95", "1s", "--model", sweep.MODEL, "--store", str(swept))
    picked = permille("slo", *options, "--json").json
    assert picked["best"]["model"] == f"{sweep.MODEL}, concurrency = 4"
    until(lambda: "within 1 s is 4 clients" in page.text())
    assert "9.5 mJ (9.26 mJ to 9.74 mJ) per output token" in page.text()
    low, high = picked["cost"]["low"], picked["cost"]["high"]
    assert f"[{low:.3g}, {high:.3g}] the energy of the cheapest load, 32 clients" in page.text()
    assert picked["undecided"] == [f"{sweep.MODEL}, concurrency = 32"]
    assert "Cannot be told yet: 32 clients" in page.text()
    # A person drags: here with the keys, until 8 clients are within the promise.
    slider = page.page.locator("#l-within")
    slider.focus()
    for _ in range(3):
        page.page.keyboard.press("ArrowRight")
    until(lambda: "within 1.4 s is 8 clients" in page.text())
    until(lambda: "within=1.4" in page.url)
    assert page.page.evaluate("document.activeElement.id") == "l-within"
    assert slider.get_attribute("aria-valuetext") == "1.4 s"
    assert page.said == []


@pytest.mark.parametrize("where", ["file", "server"])
def test_the_goodput_is_that_of_slo_for_the_limit_of_the_slider(
    where: str, request: pytest.FixtureRequest, permille: Permille, swept: Path
) -> None:
    tab: Tab = request.getfixturevalue("page" if where == "file" else "online")
    options = ("--ttft-p95", "300ms", "--model", sweep.MODEL, "--store", str(swept), "--json")
    points = {p["model"]: p["goodput"] for p in permille("slo", *options).json["points"]}
    four = points[f"{sweep.MODEL}, concurrency = 4"]
    assert 0.3 < four["share"]["value"] < 0.6
    assert points[f"{sweep.MODEL}, concurrency = 32"]["per_s"]["value"] is None
    tab.go("view=load&limit=ttft_p95&within=0.3")
    listed = tab.page.locator("table", has_text="Goodput per second, within 300 ms")
    until(lambda: listed.count() and "…" not in listed.inner_text())
    lines = {
        line.split("\t")[0]: line.split("\t")[-1]
        for line in listed.inner_text().splitlines()
        if "client" in line
    }
    per_s, share = (
        {end: f"{by * figure[end]:.3g}" for end in ("value", "low", "high")}
        for by, figure in ((1, four["per_s"]), (100, four["share"]))
    )
    assert lines["4 clients"] == (
        f"{per_s['value']} ({per_s['low']} to {per_s['high']}); {share['value']} %"
        f" ({share['low']} % to {share['high']} %) of the requests"
    )
    assert lines["32 clients"] == "n/a: a trial has no times of its single requests"
    assert lines["1 client"].startswith("100 (100 to 100); 100 %")
    # A dragged slider takes the goodput with it.
    tab.page.locator("#l-within").focus()
    tab.page.keyboard.press("ArrowRight")
    until(lambda: "Goodput per second, within 340 ms" in tab.text())
    assert tab.said == []


def test_a_goodput_that_late_requests_may_have_changed_says_so(page: Tab) -> None:
    page.go("view=load")
    which = "permille.cells.find(c => c.serving?.load?.by === 'rate_per_s').serving.load.sweep"
    late = "permille itself sent requests late"
    goodput = {}
    for limit in ("ttft_p95&within=0.2", "latency_p95&within=0.5", "latency_p95&within=10"):
        page.go(f"view=load&sweep={page.page.evaluate(which)}&limit={limit}")
        listed = page.page.locator("table", has_text="Goodput per second")
        until(lambda: listed.count() and "…" not in listed.inner_text())  # noqa: B023
        lines = [line.split("\t") for line in listed.inner_text().splitlines()]
        goodput[limit] = {line[0]: line[-1] for line in lines if "requests per second" in line[0]}
    first, whole, far = goodput.values()
    assert first["4 requests per second"].endswith(f"; may be too low or too high: {late}")
    assert whole["4 requests per second"].endswith(f"; may be too low: {late}")
    assert far["4 requests per second"].endswith("of the requests")
    assert all(lines["2 requests per second"].endswith("of the requests") for lines in (first, far))
    assert page.said == []


def test_a_share_of_errors_is_part_of_the_promise(
    page: Tab, permille: Permille, swept: Path
) -> None:
    options = ("--model", sweep.MODEL, "--store", str(swept), "--json", "--ttft-p95", "1s")
    page.go("view=load&limit=ttft_p95&within=1")
    page.page.select_option("#l-errors", "1")
    best = permille("slo", *options, "--error-rate", "1%").json["best"]["model"]
    assert best == f"{sweep.MODEL}, concurrency = 4"
    until(lambda: "within 1 s and at most 1 % failed is 4 clients" in page.text())
    # So few answers cannot tell that so few fail.
    page.page.select_option("#l-errors", "0.1")
    undecided = permille("slo", *options, "--error-rate", "0.1%", code=5).json["undecided"]
    until(lambda: "No load is known to keep p95 to the first token within 1 s" in page.text())
    counts = [name.rpartition(" ")[2] for name in undecided]
    words = [f"{count} client{'' if count == '1' else 's'}" for count in counts]
    assert f"Cannot be told yet: {', '.join(words)}." in page.text()
    assert "errors=0.1" in page.url
    page.page.reload()
    until(lambda: "at most 0.1 % failed" in page.text())
    assert page.page.locator("#l-errors").input_value() == "0.1"
    assert page.said == []


def test_a_budget_picks_the_fastest_load_within_it(page: Tab) -> None:
    page.go("view=load&limit=ttft_p95&budget=0.0099&within=0.01")
    until(lambda: "The fastest load within 9.9 mJ per output token is 4 clients" in page.text())
    # Of 32 clients, which would be faster, a trial failed.
    assert "No load keeps p95 to the first token within 10 ms. Nearest: 1 client" in page.text()
    page.go("view=load&per=request&budget=0.0000000001")
    until(lambda: "No load is within the budget of 0.1 µWh per 1,000 requests" in page.text())
    assert page.said == []


@pytest.mark.parametrize("width", [360, 1366])
def test_the_load_view_fits_and_is_accessible(page: Tab, width: int) -> None:
    page.page.set_viewport_size({"width": width, "height": 800})
    page.go("view=load")
    until(lambda: page.page.locator("figure svg .pt > *").count() == 12)
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    if not AXE.exists():
        pytest.skip("axe-core is not installed: python scripts/build_explorer.py")
    assert findings(page) == []
    assert cramped(page) == []


def test_a_server_is_found_by_words(page: Tab) -> None:
    page.go("view=load&limit=ttft_p95&within=1")
    assert sweep.MODEL in page.page.input_value("#l-sweep")
    options = page.page.locator("#l-sweep-list [role=option]")
    assert options.count() == 0  # they are made when the list opens
    page.page.fill("#l-sweep", "clients smollm2")
    assert options.count() == 1
    assert options.first.inner_text().startswith(sweep.MODEL)
    page.page.fill("#l-sweep", "rate qwen")
    assert options.count() == 1
    page.page.keyboard.press("Enter")
    until(lambda: sweep.OTHER in page.page.input_value("#l-sweep"))
    assert "sweep=" in page.url
    until(lambda: "requests per second" in page.text())
    assert page.page.evaluate("document.activeElement.id") == "l-sweep"
    assert page.said == []


def test_without_times_no_load_is_said_to_be_over_the_budget(
    file_page: Page, built: None, tmp_path: Path
) -> None:
    found = [one for at in (1, 2) for one in sweep.load(at, 100.0, 0.1)]
    with Store(tmp_path / "untimed.db") as store:
        store.add_many((replace(one, latency=None), None) for one in found)
    file = tmp_path / "untimed.html"
    file.write_bytes(static_file.page(tmp_path / "untimed.db").content)
    page = Tab(file_page, file.as_uri())
    page.go("view=load")
    until(lambda: "No answer of this sweep was timed" in page.text())
    assert "within the budget" not in page.text()


def test_without_a_server_the_view_says_how_to_get_one(file_tab: Tab) -> None:
    file_tab.go("view=load")
    until(lambda: "concurrency = [1, 2, 4, 8]" in file_tab.text())
    assert file_tab.page.locator("nav a", has_text="Load").count() == 0
