"""The page in a browser: every view, its numbers beside the command line's, its address."""

from __future__ import annotations

import csv
import gzip
import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from permille.explorer import cells, document
from permille.explorer.page import asset, self_contained
from tests.conftest import Permille
from tests.explorer.conftest import DRAWN, ENDLESS, HOSTILE, SCREEN, Tab, until
from tests.explorer.tiled import tiled

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import Browser

AXE = Path(__file__).parents[2] / ("src/permille/explorer/web/node_modules/axe-core/axe.min.js")
VIEWS = {
    "overview": "What 1,000 inferences cost",
    "size": "Size and cost",
    "quality": "Quality for the cost",
    "compare": "Compare models",
    "whatif": "What if it ran every day?",
    "breakeven": "When use outweighs training",
    "breakdown": "Where the energy goes",
    "table": "All figures",
    "about": "About the numbers",
    "model&model=small": "small",
    "run&uid=small-3": "Run of small",
}
CHARTS = ["overview", "size", "quality", "compare", "whatif", "breakeven", "breakdown"]


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_opens_from_its_link(tab: Tab, view: str) -> None:
    tab.load(f"view={view}")
    until(
        lambda: (
            tab.page.locator("h1").first.inner_text() == VIEWS[view] or VIEWS[view] in tab.text()
        )
    )
    if view in CHARTS:
        until(lambda: tab.page.locator("figure svg .pt > *").count() > 0)
    assert tab.said == []


@pytest.mark.parametrize("view", VIEWS)
def test_the_file_shows_it_with_the_network_cut(file_tab: Tab, view: str) -> None:
    asked: list[str] = []
    file_tab.page.on("request", lambda request: asked.append(request.url))
    file_tab.go(f"view={view}")
    until(lambda: VIEWS[view] in file_tab.text())
    if view in CHARTS:
        until(lambda: file_tab.page.locator("figure svg .pt > *").count() > 0)
    assert [url for url in asked if not url.startswith(("file:", "about:", "data:"))] == []
    assert file_tab.said == []


# --- numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("net", [False, True])
@pytest.mark.parametrize("boundary", ["compute", "facility"])
def test_the_tables_figures_are_the_command_lines(
    tab: Tab, permille: Permille, store: Path, boundary: str, net: bool
) -> None:
    rows = permille(
        *("results", "--json", "--store", str(store), "--boundary", boundary),
        *("--region", "France", "--year", "2023", "--pue", "1.3", *(["--net"] if net else [])),
    ).json["rows"]
    state = f"view=table&origin=store&region=FRA&year=2023&pue=1.3&boundary={boundary}"
    tab.go(state + ("&net=1" if net else ""))
    for column, name in (("energy", "kwh_per_1000"), ("carbon", "co2e_g_per_1000")):
        shown = tab.values(column)
        for row in rows:
            if row["model"] in ("small", "big", "lonely"):
                assert shown[row["model"]] == pytest.approx(row[name]["value"], rel=1e-9)
    assert "n/a" in tab.page.locator("tr", has_text="lonely").inner_text()  # one run: no interval
    assert "±" not in tab.text()


@pytest.mark.parametrize("net", ["", "1"])
def test_a_ratio_is_the_command_lines(tab: Tab, permille: Permille, store: Path, net: str) -> None:
    options = ["--net"] if net else []
    said = permille("compare", "big", "small", "--json", "--store", str(store), *options).json
    tab.go(f"view=compare&m=small&m=big&origin=store&net={net}")
    shown = tab.page.locator("[data-ratio=big]")
    for key in ("value", "low", "high"):
        found = float(shown.get_attribute(f"data-{key}") or "")
        assert found == pytest.approx(said["ratio"][key], rel=1e-7)
    (warning,) = said["cells"][0]["warnings"]
    assert warning.startswith("big: within one session")
    assert warning in tab.text()


def test_the_shipped_ratio_over_several_cells_is_the_geometric_mean(tab: Tab) -> None:
    from permille.analysis.compare import compare
    from permille.analysis.paper import published

    a, b = "google/flan-t5-xl", "google/flan-t5-base"
    said = compare(published.summaries("node"), a, b)
    tab.go(f"view=compare&m={b}&m={a}&boundary=node&origin=shipped")
    found = tab.page.locator(f'[data-overall="{a}"]').get_attribute("data-value")
    assert float(found or "") == pytest.approx(said.ratio.value, rel=1e-9)
    lows = tab.page.locator(f'[data-ratio="{a}"]').evaluate_all(
        "all => all.map(e => Number(e.dataset.low))"
    )
    assert sorted(lows) == pytest.approx(sorted(c.ratio.low or 0 for c in said.cells), rel=1e-7)


def test_the_headline_compares_task_specific_cells_alone(tab: Tab) -> None:
    """Text classification with its LLMs was dearer than fill-mask, which has none."""
    from statistics import median

    from permille.analysis.paper import published

    energies: dict[str, list[float]] = {}
    for summary in published.summaries("compute"):
        if summary.energy is not None and summary.cell.category == "task-specific":
            energies.setdefault(summary.cell.task, []).append(summary.energy.value)
    medians = {task: median(values) for task, values in energies.items()}
    least, most = min(medians, key=medians.__getitem__), max(medians, key=medians.__getitem__)
    tab.go("view=overview&origin=shipped")
    lead = tab.page.locator("main .lead").inner_text()
    times = float(f"{medians[most] / medians[least]:.2g}")
    assert least == "text-classification"
    assert f"task-specific cells, {most} takes {times:g} times the energy of {least}" in lead


def test_break_even_is_the_command_lines(tab: Tab, permille: Permille) -> None:
    said = permille("parity", "--json", "--boundary", "facility", "--pue", "1.5").json["rows"]
    tab.go("view=breakeven&boundary=facility&pue=1.5")
    for row in said:
        shown = tab.page.locator(f'[data-parity="{row["model"]}"]')
        for key in ("value", "low", "high"):
            found = float(shown.get_attribute(f"data-{key}") or "")
            assert found == pytest.approx(row["inferences"][key], rel=1e-9)
    largest = tab.page.locator("main tbody tr", has_text="bloomz-7b1").inner_text()
    assert "593 million" in largest  # the paper's
    assert "568 million" in largest  # the node, whatever the boundary


def test_views_obey_the_filters_that_they_show(file_tab: Tab, permille: Permille) -> None:
    from permille.analysis import parity
    from permille.analysis.paper import published

    filtered = "origin=shipped&task=text-classification&dataset=IMDB&boundary=node"
    file_tab.go(f"view=breakeven&{filtered}")
    cells = [c for c in published.load().cells if c.summary.cell.dataset == "IMDB"]
    for model in ("bigscience/bloomz-7b1", "bigscience/bloomz-560m"):
        shown = file_tab.page.locator(f'[data-parity="{model}"]')
        (said,) = parity.study_rows(cells, "node", model=model)
        found = [float(shown.get_attribute(f"data-{k}") or "") for k in ("value", "low", "high")]
        expected = (said.inferences.value, said.inferences.low, said.inferences.high)
        assert found == pytest.approx(expected, rel=1e-9)
    assert "1 of 9" in file_tab.page.locator("main tbody tr").first.inner_text()
    file_tab.go("view=breakeven&origin=store")
    assert "bloomz" not in file_tab.text()
    file_tab.go(f"view=breakdown&{filtered}")
    assert "16 match the filters" in file_tab.text()
    assert "correlate" not in file_tab.text()
    file_tab.page.click("a:text('Show the whole study')")
    until(lambda: "312 cells" in file_tab.text())
    assert "dataset=" not in file_tab.url


def test_one_ratio_of_the_categories_is_told_apart_from_the_others(file_tab: Tab) -> None:
    from statistics import median

    from permille.analysis.paper import published

    by_category: dict[str, list[float]] = {}
    for summary in published.summaries("compute"):
        if summary.cell.dataset == "IMDB" and summary.energy is not None:
            by_category.setdefault(summary.cell.category, []).append(summary.energy.value)
    said = median(by_category["general-purpose"]) / median(by_category["task-specific"])
    file_tab.go("view=overview&origin=shipped&dataset=IMDB")
    assert f"On IMDB, general-purpose models take {said:.2g} times" in file_tab.text()
    file_tab.page.click("main a:text('How that is counted')")
    until(lambda: "view=compare" in file_tab.url)
    shown = file_tab.page.locator('[data-general="text-classification on IMDB"]')
    assert float(shown.get_attribute("data-value") or "") == pytest.approx(said, rel=1e-9)
    assert "the median energy of the general-purpose models" in file_tab.text()


def test_the_papers_view_has_the_means_of_its_table_2(tab: Tab, permille: Permille) -> None:
    printed = permille("reproduce", "--json").json["table2"]
    tab.go("view=table&search=bert&pue=1.5").unfold()
    tab.page.click('a:text("The paper\'s view")')
    until(lambda: "stat=mean" in tab.url)
    for row in printed:
        cells = tab.page.locator("main tbody tr", has_text="task-specific")
        shown = cells.locator(f'[data-mean="{row["task"]}"]').get_attribute("data-value")
        assert float(shown or "") == pytest.approx(row["kwh"], rel=1e-9)


def test_an_axis_of_quality_holds_its_intervals(tab: Tab) -> None:
    tab.go("view=quality&origin=store&task=text-classification")
    until(lambda: tab.page.locator("figure svg .spread line").count() > 0)
    ends = tab.page.evaluate(
        """() => [...document.querySelectorAll("figure svg .spread line")].flatMap(line => {
          const svg = line.ownerSVGElement.getBoundingClientRect();
          const box = line.getBoundingClientRect();
          return [box.top - svg.top, box.bottom - svg.top];
        })"""
    )
    # The frame reaches from 24 to 258: an interval that was cut ends on it.
    assert min(ends) > 25
    assert max(ends) < 257


def _a_year(tab: Tab, kind: str) -> float:
    found = tab.page.locator(f'[data-figure="A year-{kind}"]').get_attribute("data-value")
    return float(found or "")


def test_sliders_change_the_workloads_figures(tab: Tab, permille: Permille, store: Path) -> None:
    tab.load("view=whatif&search=small&origin=store&boundary=node&region=POL")
    assert tab.page.input_value("#w-model") == "small"
    tab.page.locator("#w-slide").evaluate(
        "s => { s.value = 7; s.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    tab.page.locator("#f-pue").evaluate(
        "s => { s.value = 1.2; s.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    row = permille(
        *("results", "--json", "--store", str(store), "--boundary", "node"),
        *("--region", "POL", "--pue", "1.2"),
    ).json["rows"][0]
    assert row["model"] == "small"
    times = 1e7 / 1000 * 365
    assert _a_year(tab, "kwh") == pytest.approx(row["kwh_per_1000"]["value"] * times, rel=1e-9)
    assert _a_year(tab, "co2e") == pytest.approx(row["co2e_g_per_1000"]["value"] * times, rel=1e-9)
    until(lambda: "day=10000000" in tab.url and "pue=1.2" in tab.url)
    before = tab.page.locator(".cards").inner_text()
    tab.page.reload()
    until(lambda: tab.page.evaluate(DRAWN))
    assert tab.page.locator(".cards").inner_text() == before


@pytest.mark.parametrize(
    ("boundary", "net", "year", "pue"),
    [("accelerator", "", "2021", ""), ("facility", "1", "2023", "1.56"), ("compute", "1", "", "2")],
)
def test_what_if_is_the_command_lines_for_any_setting(
    tab: Tab, permille: Permille, store: Path, boundary: str, net: str, year: str, pue: str
) -> None:
    state = f"view=whatif&search=big&origin=store&boundary={boundary}&net={net}&region=DEU"
    tab.go(f"{state}&year={year}&pue={pue}&day=2500")
    options = ["--boundary", boundary, "--region", "DEU"]
    options += ["--net"] if net else []
    options += ["--year", year] if year else []
    options += ["--pue", pue] if pue else []
    rows = permille("results", "--json", "--store", str(store), *options).json["rows"]
    row = next(row for row in rows if row["model"] == "big")
    for kind, name in (("kwh", "kwh_per_1000"), ("co2e", "co2e_g_per_1000")):
        assert _a_year(tab, kind) == pytest.approx(row[name]["value"] * 2.5 * 365, rel=1e-9)
    said = tab.page.locator("#w-said").inner_text()
    for word in ("2,500 requests a day", boundary, "Germany", year, pue):
        assert word in said


def test_the_same_workload_on_other_grids_is_the_command_lines(
    tab: Tab, permille: Permille, store: Path
) -> None:
    from permille.units import format_mass_g

    tab.go("view=whatif&search=big&origin=store&day=1000000")
    table = tab.page.get_by_role("region", name="The same workload on other grids, a year")
    for code, place in (("NOR", "Norway"), ("IND", "India")):
        said = permille("results", "--json", "--store", str(store), "--region", code).json
        row = next(row for row in said["rows"] if row["model"] == "big")
        grams = row["co2e_g_per_1000"]["value"] * 1000 * 365
        shown = table.locator("tr", has_text=place).inner_text()
        assert format_mass_g(grams) in shown


def test_the_document_carries_the_budget_of_the_command_line(tab: Tab, store: Path) -> None:
    from permille.analysis.budget import parts
    from permille.analysis.summaries import summarise
    from permille.store import Store

    with Store(store, readonly=True) as opened:
        summaries = summarise(opened.trials(), "compute")
    big = next(s for s in summaries if s.cell.model == "big")
    tab.go("view=model&model=big")
    shown = tab.page.get_by_role("region", name="What the interval is made of").inner_text()
    for part in parts(big):
        assert f"{100 * part.high:.3g} %".replace(".0 ", " ") in shown


# --- sources and labels ----------------------------------------------------------------------


@pytest.mark.parametrize("view", ["overview", "breakdown"])
def test_one_name_of_two_sources_is_two_studies(tab: Tab, view: str) -> None:
    tab.go(f"view={view}&study=study&task=text-classification&boundary=node")
    rows = tab.page.locator("main table").first.locator("tbody tr").all_inner_texts()
    assert len([row for row in rows if "study (imported, codecarbon)" in row]) == 1
    assert len([row for row in rows if "imported" not in row]) >= 1


def test_sources_are_never_compared_and_it_says_why(tab: Tab) -> None:
    tab.go("view=compare&m=small&m=imported&m=far&m=babbler&m=copy")
    warned = tab.page.locator(".warn").all_inner_texts()
    assert any("imported" in w and "different tools" in w for w in warned)
    assert any("far" in w and "another CPU" in w and "different machines" in w for w in warned)
    assert any("babbler" in w and "never run on the same" in w for w in warned)
    assert any("copy" in w and "replicas alone" in w for w in warned)


@pytest.mark.parametrize(
    "view",
    ["table&search=copy", "model&model=copy", "run&uid=copy-0", "whatif&search=copy", "size"],
)
def test_a_replica_is_labelled_wherever_it_stands(tab: Tab, view: str) -> None:
    tab.go(f"view={view}&origin=store")
    until(lambda: "replica: random weights" in tab.text())


def test_a_task_and_a_metric_that_are_new_are_shown_as_they_are(tab: Tab) -> None:
    tab.go("view=table&task=olfaction")
    row = tab.page.locator("table.all tbody tr").inner_text()
    assert "perplexity 23.4" in row
    assert "%" not in row
    tab.go("view=overview&origin=store")
    assert "olfaction" in (tab.page.locator(".canvas svg").first.text_content() or "")


def test_a_boundary_that_has_figures_is_offered(tab: Tab) -> None:
    tab.go("view=overview&search=half&task=text-classification")
    assert "none has a figure within the compute boundary" in tab.text()
    tab.page.click("button:text('show accelerator')")
    until(lambda: tab.page.locator("figure svg .pt > *").count() == 1)
    assert "boundary=accelerator" in tab.url


# --- the address -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["served", "file"])
def test_filters_are_in_the_address_and_come_back(
    kind: str, request: pytest.FixtureRequest
) -> None:
    tab: Tab = request.getfixturevalue("tab" if kind == "served" else "file_tab")
    tab.load("view=table").unfold()
    tab.page.fill("#f-task", "text classification")
    tab.page.keyboard.press("Enter")
    tab.page.select_option("#f-category", "general-purpose")
    tab.page.fill("#f-search", "flan")
    until(lambda: "search=flan" in tab.url)
    tab.page.click("#sort-energy")
    tab.page.click("#sort-energy")
    rows = tab.page.locator("table.all tbody th").all_inner_texts()
    assert rows
    assert all("flan" in row for row in rows)
    shown = list(tab.values("energy").values())
    energies = tab.page.locator("td[data-column=energy] [data-value]").evaluate_all(
        "all => all.map(e => Number(e.dataset.value))"
    )
    assert energies == sorted(energies, reverse=True)
    assert shown
    tab.page.reload()
    until(lambda: tab.page.evaluate(DRAWN))
    assert tab.page.locator("table.all tbody th").all_inner_texts() == rows
    assert tab.page.input_value("#f-search") == "flan"
    assert tab.page.input_value("#f-category") == "general-purpose"
    tab.page.go_back()
    until(lambda: "dir=down" not in tab.url)


def test_what_matches_nothing_says_so_and_offers_the_way_back(tab: Tab) -> None:
    tab.load("view=overview&task=%3Cscript%3E&region=Atlantis&boundary=moon&pue=x&view2=1")
    assert "Nothing to draw" in tab.text()
    assert tab.page.evaluate("document.title").startswith("Overview: task <scr")
    tab.page.click("main button")
    until(lambda: tab.page.locator("figure svg .pt > *").count() > 0)
    assert "no grid called" in tab.page.locator(".said[role=status]").inner_text()
    assert tab.said == []


def test_a_year_that_a_grid_lacks_is_said(tab: Tab) -> None:
    tab.go("view=whatif&region=DEU&year=1066")
    assert "no figure of Germany for 1066" in tab.page.locator(".said[role=status]").inner_text()


def test_an_unknown_view_is_the_overview(tab: Tab) -> None:
    tab.load("view=__proto__")
    assert tab.page.locator("h1").inner_text() == "What 1,000 inferences cost, by task"
    assert tab.said == []


# --- hostile names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "view", ["table&rows=500", "overview", "size", "quality", "whatif", "compare&m=small"]
)
def test_hostile_names_are_inert(tab: Tab, view: str) -> None:
    tab.go(f"view={view}&origin=store")
    assert tab.page.evaluate("document.title") != "owned"
    assert tab.page.locator("main img").count() == 0
    assert tab.page.locator("main script").count() == 0
    assert "\u202e" not in tab.text()
    assert ENDLESS not in tab.text()
    wider = tab.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wider <= 0
    assert tab.said == []


def test_a_hostile_name_has_its_page(file_tab: Tab) -> None:
    from urllib.parse import quote

    file_tab.load(f"view=model&model={quote(HOSTILE)}")
    assert file_tab.page.locator("h1").inner_text() == HOSTILE
    assert file_tab.page.locator("main img").count() == 0
    assert file_tab.said == []


# --- downloads -------------------------------------------------------------------------------


def _read_parquet(data: bytes, file: Path) -> list[dict[str, Any]]:
    import duckdb

    file.write_bytes(data)
    with duckdb.connect() as db:
        found = db.execute("SELECT * FROM read_parquet(?)", [str(file)])
        names = [f"{column[0]}:{column[1]}" for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.mark.parametrize("narrowed", ["task=text-classification", "search=lonely", "search=%C3%A9"])
def test_the_files_parquet_is_the_servers(
    tab: Tab, file_tab: Tab, tmp_path: Path, narrowed: str
) -> None:
    state = f"view=table&{narrowed}&region=SWE&pue=1.4&boundary=node&net=1"
    tab.go(state)
    file_tab.go(state)
    served = _read_parquet(downloaded(tab, "a:text('Parquet')"), tmp_path / "a.parquet")
    filed = _read_parquet(downloaded(file_tab, "button:text('Parquet')"), tmp_path / "b.parquet")
    by_name = [
        sorted(rows, key=lambda r: (r["origin:VARCHAR"], r["dataset:VARCHAR"], r["model:VARCHAR"]))
        for rows in (served, filed)
    ]
    assert len(served) == len(filed)
    for ours, theirs in zip(*by_name, strict=True):
        assert ours.keys() == theirs.keys()
        assert all(_alike(ours[name], theirs[name]) for name in ours)


def _alike(a: object, b: object) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == pytest.approx(b, rel=1e-9)
    return a == b


def downloaded(tab: Tab, selector: str) -> bytes:
    with tab.page.expect_download() as waiting:
        tab.page.click(selector)
    return Path(waiting.value.path()).read_bytes()


def test_the_files_csv_is_the_servers(tab: Tab, file_tab: Tab) -> None:
    state = "view=table&task=text-classification&region=SWE&pue=1.4&boundary=facility"
    tab.go(state)
    file_tab.go(state)
    served = csv.DictReader(io.StringIO(downloaded(tab, "a:text('CSV')").decode()))
    filed = csv.DictReader(io.StringIO(downloaded(file_tab, "button:text('CSV')").decode()))
    ours = {(r["origin"], r["dataset"], r["model"]): r for r in served}
    theirs = {(r["origin"], r["dataset"], r["model"]): r for r in filed}
    assert ours.keys() == theirs.keys()
    assert any(key[0] == "store" for key in ours)
    for key, row in ours.items():
        assert row.keys() == theirs[key].keys()
        for name, value in row.items():
            assert _same(value, theirs[key][name]), (key, name)


def _same(a: str, b: str) -> bool:
    try:
        return float(a) == pytest.approx(float(b), rel=1e-9)
    except ValueError:
        return a == b


def test_the_server_is_asked_for_what_the_page_shows(tab: Tab) -> None:
    """It refused an intensity beside a place, and what the page had read in its own way."""
    tab.load("view=table&origin=store&region=SWE&intensity=50&year=1066&pue=x&least=60M&most=7b")
    rows = list(csv.DictReader(io.StringIO(downloaded(tab, "a:text('CSV')").decode())))
    shown = {name.splitlines()[0] for name in tab.values("energy")}
    assert {row["model"] for row in rows} == shown
    assert {"small", "big", "lonely"} <= {row["model"] for row in rows}
    assert {row["intensity_g_per_kwh"] for row in rows} == {"50.0"}
    tab.unfold().page.fill("#f-least", "many")
    until(lambda: "“many” is not a number" in tab.page.locator(".said[role=status]").inner_text())
    assert {"small", "imported"} <= tab.values("energy").keys()  # of 10 parameters
    assert tab.said == []
    # What the server refuses is said in the page.
    tab.page.evaluate("document.querySelector('a[download]').href = '/rows.csv?pue=none'")
    tab.page.click("a:text('CSV')")
    refused = tab.page.locator(".said[role=alert]")
    until(lambda: "permille.csv was not written: pue is a number" in refused.inner_text())


def test_a_chart_is_taken_away_with_all_it_rests_on(file_tab: Tab) -> None:
    from permille.analysis.paper import published

    file_tab.go("view=overview&origin=shipped&dataset=IMDB&category=task-specific&region=NOR")
    until(lambda: file_tab.page.locator("figure svg .pt > *").count() > 0)
    file_tab.page.click(".keep summary")
    svg = downloaded(file_tab, ".chart button:text('SVG')").decode()
    assert svg.startswith("<svg")
    assert "var(--" not in svg
    words = " ".join(t or "" for t in ElementTree.fromstring(svg).itertext())
    for part in (
        "Energy per 1,000 inferences, by task", "task-specific", "compute boundary, idle included",
        "Norway", "dataset IMDB", "doi.org/10.1145/3630106.3658542", "MIT", "Grid data: ",
        "figures.html#", "category=task-specific",
    ):  # fmt: skip
        assert part in words
    assert "file:" not in words  # whose folder is the reader's own business
    assert downloaded(file_tab, ".chart button:text('PNG')").startswith(b"\x89PNG")
    data = list(csv.DictReader(io.StringIO(downloaded(file_tab, "button:text('CSV')").decode())))
    assert len(data) == file_tab.page.locator("figure svg .pt > *").count() == 8
    first = data[0]
    (cell,) = [s for s in published.summaries("compute")
               if (s.cell.dataset, s.cell.model) == ("IMDB", first["model"])]  # fmt: skip
    assert cell.energy is not None
    assert cell.energy.sd is not None
    assert int(first["n"]) == cell.energy.n
    assert float(first["kwh_per_1000_sd"]) == pytest.approx(cell.energy.sd / 3.6e6, rel=1e-9)
    assert {"id", "quality_error", "batch_size"} <= first.keys()
    file_tab.page.click("button:text('Cite')")
    until(lambda: "doi = {10.1145/3630106.3658542}" in file_tab.page.locator(".out").inner_text())
    assert "Luccioni, S., Jernite, Y., & Strubell, E. (2024)" in file_tab.text()
    # TeX takes an & in any other field for the end of a column.
    assert "url = {figures.html#" in file_tab.page.locator(".out").inner_text()
    file_tab.page.click("button:text('Link')")
    until(lambda: file_tab.url in file_tab.page.locator(".out").inner_text())
    assert file_tab.said == []


def test_many_points_are_a_canvas_that_is_read_and_kept(
    browser: Browser, built: None, tmp_path: Path
) -> None:
    many = tmp_path / "many.html"
    many.write_text(self_contained(document.encode(tiled(2_100))), encoding="utf-8")
    context = browser.new_context(viewport={"width": 1000, "height": 800}, offline=True)
    tab = Tab(context.new_page(), many.as_uri())
    tab.go("view=size")
    until(lambda: tab.page.locator("canvas.cloud").count() == 1)
    assert tab.page.locator("figure svg .pt > *").count() == 0
    inked = """() => { const c = document.querySelector('canvas.cloud');
      return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0); }"""
    assert tab.page.evaluate(inked)
    assert "up to 2,000 points" in tab.text()
    tab.page.locator(".stage").first.focus()
    tab.page.keyboard.press("End")
    tip = tab.page.locator(".tip").first
    last = tip.inner_text()
    assert "per 1,000" in last
    box = tab.page.locator(".canvas circle").bounding_box()  # the picked point, over the canvas
    assert box is not None
    tab.page.keyboard.press("Home")
    assert tip.inner_text() != last
    tab.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    until(lambda: tip.inner_text().splitlines()[1:] == last.splitlines()[1:])
    tab.page.click(".keep summary")
    svg = downloaded(tab, "button:text('SVG')").decode()
    assert 'href="data:image/png;base64' in svg
    tab.page.locator(".stage").first.focus()
    tab.page.keyboard.press("End")
    tab.page.keyboard.press("Enter")
    until(lambda: "view=model" in tab.url)
    assert tab.said == []
    context.close()


def test_an_embedded_chart_resizes_itself(file_tab: Tab, tmp_path: Path) -> None:
    tab = file_tab
    tab.page.set_viewport_size({"width": 1100, "height": 800})
    tab.load("view=size&task=text-classification&origin=shipped")
    until(lambda: tab.page.locator("figure svg .pt > *").count() > 0)
    tab.page.click(".keep summary")
    chart = downloaded(tab, "button:text('Embed')")
    (tmp_path / "permille-size.html").write_bytes(chart)
    until(lambda: "<iframe" in tab.page.locator(".out").inner_text())
    code = tab.page.locator(".out pre").inner_text()
    outer = tmp_path / "outer.html"
    outer.write_text(f"<!doctype html><body>{code}</body>", encoding="utf-8")
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    tab.page.goto(outer.as_uri())
    heights = {}
    for width in (1000, 400):
        tab.page.set_viewport_size({"width": width, "height": 800})
        inner = tab.page.frames[-1]
        until(
            lambda: (
                tab.page.evaluate("document.querySelector('iframe').clientHeight")
                == inner.evaluate("document.body.scrollHeight")  # noqa: B023
            )
        )
        assert inner.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert inner.locator("svg:visible").count() == 1
        heights[width] = inner.evaluate("document.body.scrollHeight")
    assert heights[1000] != heights[400]
    assert all(url.startswith("file:") for url in asked)
    assert tab.said == []


def test_paper_has_all_of_the_view_and_no_controls(file_tab: Tab) -> None:
    file_tab.go("view=table&origin=shipped")
    file_tab.page.emulate_media(media="print", color_scheme="dark")
    file_tab.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert file_tab.page.locator("table.all tbody tr").count() == 312
    for hidden in (".panel", "nav", ".take"):
        assert not file_tab.page.locator(hidden).first.is_visible()
    assert file_tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert "compute boundary" in file_tab.page.locator(".printed").inner_text()
    file_tab.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert file_tab.page.locator("table.all tbody tr").count() == 100
    assert file_tab.page.evaluate("document.title") == "Table: source shipped – permille"


# --- for everyone ----------------------------------------------------------------------------


def _bring_axe(tab: Tab) -> None:
    if not tab.page.evaluate("Boolean(window.axe)"):
        tab.page.evaluate(AXE.read_text(encoding="utf-8"))


def findings(tab: Tab, options: dict[str, Any] | None = None) -> list[Any]:
    _bring_axe(tab)
    found = tab.page.evaluate(
        "options => axe.run(document, {resultTypes: ['violations'], ...options})", options or {}
    )
    return [
        (v["id"], v["impact"], [n["target"] for n in v["nodes"]][:3])
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]


ROOM = ("region", "target-size")
"""Rules that axe counts as less than serious, or does not apply unless asked: all of the page is in
a landmark, and what is pressed is 24 pixels wide and high, or has that much room."""


def cramped(tab: Tab) -> list[Any]:
    """What :data:`ROOM` finds."""
    _bring_axe(tab)
    found = tab.page.evaluate(
        "rules => axe.run(document, {resultTypes: ['violations'], runOnly: rules})", list(ROOM)
    )
    return [(v["id"], [n["target"] for n in v["nodes"]]) for v in found["violations"]]


COLOURS = "color-contrast"
"""The rule that looks at colours, and takes as long as all others: a theme changes nothing else,
and a narrow screen all but that."""
NO_COLOURS = {"rules": {COLOURS: {"enabled": False}}}


@pytest.mark.parametrize(
    ("theme", "width", "options"),
    [
        ("light", 1366, {}),
        ("dark", 1366, {"runOnly": [COLOURS]}),
        ("light", 360, NO_COLOURS),
    ],
)
def test_axe_finds_nothing_serious(
    file_tab: Tab, theme: Any, width: int, options: dict[str, Any]
) -> None:
    """With settings and filters open, all is in a landmark too, and large enough to press."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: python scripts/build_explorer.py")
    file_tab.page.set_viewport_size({"width": width, "height": 900})
    file_tab.page.emulate_media(color_scheme=theme)
    found = {}
    for view in VIEWS:
        # One dataset of it: axe looks at every cell of a table, and one row is as good as the next.
        file_tab.go(f"view={view}&task=text-classification&dataset=IMDB")
        until(lambda: VIEWS[view] in file_tab.text())  # noqa: B023
        found[view] = findings(file_tab, options)
        if "runOnly" not in options:
            found[view] += cramped(file_tab.unfold())
    assert {view: each for view, each in found.items() if each} == {}


@pytest.mark.parametrize("view", CHARTS)
def test_every_chart_has_its_figures_in_a_table(file_tab: Tab, view: str) -> None:
    file_tab.go(f"view={view}&task=text-classification")
    until(lambda: file_tab.page.locator("figure svg .pt > *").count() > 0)
    file_tab.page.evaluate("document.querySelectorAll('main details').forEach(d => d.open = true)")
    until(lambda: file_tab.page.locator("main table tbody tr").count() > 0)
    hidden = file_tab.page.locator("figure svg").evaluate_all(
        "all => all.map(s => s.getAttribute('aria-hidden'))"
    )
    assert set(hidden) == {"true"}


def test_all_of_it_is_reached_by_keyboard(file_tab: Tab) -> None:
    """Whatever can be clicked is a link, a button or a field: the tab key comes by."""
    file_tab.load("view=table&task=text-classification&origin=store").unfold()
    reached = set()
    for _ in range(60):
        file_tab.page.keyboard.press("Tab")
        reached.add(file_tab.page.evaluate("document.activeElement.id"))
    assert {"f-boundary", "f-region", "f-pue", "f-task", "f-search", "sort-energy"} <= reached
    file_tab.page.locator("#sort-energy").focus()
    file_tab.page.keyboard.press("Enter")
    until(lambda: "sort=energy" in file_tab.url)
    assert file_tab.page.evaluate("document.activeElement.id") == "sort-energy"


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_nothing_is_wider_than_the_screen(file_tab: Tab, width: int) -> None:
    tab = file_tab
    tab.page.set_viewport_size({"width": width, "height": 800})
    for view in VIEWS:
        tab.go(f"view={view}")
        until(lambda: VIEWS[view] in tab.text())  # noqa: B023
        assert tab.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, view
        charts = tab.page.locator("figure svg").evaluate_all(
            "all => all.map(s => s.getBoundingClientRect().width)"
        )
        assert all(chart <= width for chart in charts)


def test_a_chart_is_read_by_keyboard(file_tab: Tab) -> None:
    file_tab.go("view=overview&task=text-classification")
    until(lambda: file_tab.page.locator("figure svg .pt > *").count() > 0)
    file_tab.page.locator(".stage").first.focus()
    file_tab.page.keyboard.press("ArrowRight")
    tip = file_tab.page.locator(".tip").first
    assert "per 1,000" in tip.inner_text()
    first = tip.inner_text()
    file_tab.page.keyboard.press("ArrowRight")
    assert tip.inner_text() != first
    file_tab.page.keyboard.press("Enter")
    until(lambda: "view=model" in file_tab.url)


def test_a_point_is_named_under_the_pointer_and_the_finger(browser: Browser, file: Path) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True
    )
    tab = Tab(context.new_page(), file.as_uri())
    tab.go("view=size&task=text-classification")
    until(lambda: tab.page.locator("figure svg .pt > *").count() > 0)
    tab.page.locator("figure svg .pt > *").first.tap()
    until(lambda: "per 1,000" in tab.page.locator(".tip").first.inner_text())
    assert "view=size" in tab.url
    context.close()


def test_numbers_are_worded_as_in_the_command_line(file_tab: Tab) -> None:
    from permille.units import format_energy_kwh

    file_tab.go("view=table&origin=store")
    found = file_tab.page.evaluate(
        """() => [...document.querySelectorAll('td[data-column=energy] [data-value]')].map(e =>
        [Number(e.dataset.value), e.innerText])"""
    )
    assert found
    for value, text in found:
        assert text == format_energy_kwh(value)


def test_what_is_set_is_in_sight_and_taken_away_by_a_click(file_tab: Tab) -> None:
    tab = file_tab
    tab.page.set_viewport_size({"width": 1366, "height": 768})
    tab.go("view=overview&origin=shipped&dataset=IMDB&search=bert")
    until(lambda: tab.page.locator("figure svg .pt > *").count() > 0)
    chips = tab.page.locator(".chips button")
    assert [c.split(":")[0] for c in chips.all_inner_texts()] == [
        "dataset", "model contains", "source",
    ]  # fmt: skip
    tab.page.click("#chip-search")
    until(lambda: "search=" not in tab.url)
    assert chips.count() == 2


def test_the_page_keeps_a_persons_place(browser: Browser, file: Path) -> None:
    """The model in the link, a field's typing as one step back, details, and the theme."""
    from statistics import median_low

    from permille.analysis.paper import published

    page = browser.new_page(viewport=SCREEN)  # whose history has room
    file_tab = Tab(page, file.as_uri())
    file_tab.load("view=whatif&origin=shipped&task=fill-mask")
    energies = {
        s.cell.model: s.energy.value
        for s in published.summaries("compute")
        if (s.cell.task, s.cell.dataset) == ("fill-mask", "BookCorpus") and s.energy is not None
    }
    chosen = page.input_value("#w-model")
    assert energies[chosen] == median_low(energies.values())
    assert "cell=" in file_tab.url
    page.click("summary:text('Every cell of this selection')")
    file_tab.unfold()
    page.select_option("#f-boundary", "node")
    assert page.locator("table", has_text="Every cell of this selection").is_visible()
    file_tab.load("view=table").unfold()
    before = page.evaluate("history.length")
    page.locator("#f-search").press_sequentially("bert", delay=200)
    until(lambda: "search=bert" in file_tab.url)
    assert page.evaluate("history.length") == before + 1
    page.go_back()
    until(lambda: "search=" not in file_tab.url)
    page.click("#theme")
    page.click("#theme")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.inner_text("#theme") == "Theme: dark"
    assert page.evaluate(ground) == "rgb(20, 23, 27)"
    page.reload()
    until(lambda: page.evaluate(DRAWN))
    assert page.evaluate(ground) == "rgb(20, 23, 27)"
    assert file_tab.said == []
    page.close()


def test_the_tables_heading_and_models_stay_in_sight(file_tab: Tab) -> None:
    tab = file_tab
    tab.page.set_viewport_size({"width": 360, "height": 740})
    tab.go("view=table&origin=shipped")
    tab.page.locator(".scroll").evaluate("e => e.scrollTo(500, 2000)")
    corner = tab.page.locator(".scroll").bounding_box()
    heading = tab.page.locator("table.all thead th").first.bounding_box()
    row = tab.page.locator("table.all tbody th").nth(40).bounding_box()
    assert corner is not None
    assert heading is not None
    assert row is not None
    assert abs(heading["y"] - corner["y"]) <= 2
    assert abs(heading["x"] - corner["x"]) <= 2
    assert abs(row["x"] - corner["x"]) <= 2


def test_the_script_stays_small_and_views_bring_theirs(browser: Browser, served: Any) -> None:
    """The first view loads its part of the script, and another view its own when it is opened."""
    page = browser.new_page()
    loaded: list[str] = []
    page.on("response", lambda answer: loaded.append(answer.url.partition("?")[0]))
    page.goto(served.address)
    page.locator("main[data-drawn] svg").first.wait_for()
    first = scripts(loaded)
    assert sum(len(gzip.compress(asset(name).encode())) for name in first) < 90_000
    page.get_by_role("link", name="Table", exact=True).click()
    page.locator("table.all").wait_for()
    assert scripts(loaded) > first
    page.close()


def scripts(addresses: list[str]) -> set[str]:
    return {address.rpartition("/")[2] for address in addresses if address.endswith(".js")}


def test_the_document_is_the_servers_and_the_files(file: Path, served: Any) -> None:
    text = file.read_text(encoding="utf-8")
    start = text.index('id="document">') + len('id="document">')
    inside = json.loads(text[start : text.index("</script>", start)])
    sent = json.loads(served.ask("/document.json")[2])
    details = json.loads(served.ask("/details.json")[2])
    sent["cells"]["columns"] |= details["columns"]
    sent["studies"] = details["studies"]
    sent["licences"] = json.loads(served.ask("/licences.json")[2])
    assert {k: inside[k] for k in sent} == sent
    assert "small-3" in inside["runs"]


def test_the_document_of_the_shipped_study_stays_small() -> None:
    first = document.encode(document.served(cells.shipped(), store=None))
    assert len(gzip.compress(first.encode())) < 60_000


def test_details_of_another_state_of_the_store_are_not_mixed_in(tab: Tab) -> None:
    """Columns of another state would be of other cells: the page reads both again."""
    tab.load()
    tab.page.evaluate("permille.tag = 'another'")
    tab.page.get_by_role("link", name="Compare", exact=True).click()
    until(lambda: "Times the energy" in tab.text())
    assert tab.page.evaluate("permille.tag") != "another"


def test_a_word_is_explained_by_keyboard_pointer_and_touch(browser: Browser, file: Path) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True)
    tab = Tab(context.new_page(), file.as_uri()).go()
    shown = "document.querySelector('.explained:popover-open')?.innerText ?? ''"
    word = tab.page.locator("main .term").first
    word.focus()
    tab.page.keyboard.press("Enter")
    until(lambda: "never pooled" in tab.page.evaluate(shown))
    box = tab.page.locator(".explained:popover-open").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    tab.page.keyboard.press("Escape")
    until(lambda: tab.page.evaluate(shown) == "")
    word.tap()
    until(lambda: "never pooled" in tab.page.evaluate(shown))
    tab.page.keyboard.press("Escape")
    word.hover()
    until(lambda: "never pooled" in tab.page.evaluate(shown))
    tab.page.mouse.move(5, 5)
    until(lambda: tab.page.evaluate(shown) == "")
    context.close()


def test_five_steps_lead_from_a_request_to_a_million_a_day(browser: Browser, file: Path) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    tab = Tab(context.new_page(), file.as_uri()).go()
    steps = tab.page.locator(".path a")
    assert steps.count() == 5
    views = []
    for step in range(5):
        tab.go()
        tab.page.evaluate("document.querySelector('.path').open = true")
        steps.nth(step).click()
        until(lambda: tab.page.evaluate(DRAWN) and tab.page.locator("main h1").count() == 1)
        views.append(tab.page.evaluate("permille.state.view"))
        assert "Nothing to draw" not in tab.text()
    assert views == ["overview", "quality", "compare", "model", "whatif"]
    assert tab.page.evaluate("permille.state.day") == "1000000"
    tab.go()
    assert not tab.page.evaluate("document.querySelector('.path').open")
    context.close()


def test_a_view_that_cannot_be_loaded_is_not_busy_and_can_be_opened_again(
    browser: Browser, served: Any
) -> None:
    context = browser.new_context()
    tab = Tab(context.new_page(), served.address).load()
    page, main = tab.page, tab.page.locator("main")
    page.route("**/details.json", lambda route: route.fulfill(status=500, body="Out of order\n"))
    page.locator("nav a", has_text="Where it goes").click()
    reason = "This view cannot be loaded: the server answered 500: Out of order"
    until(lambda: page.locator("[role=alert]", has_text=reason).count() == 1)
    assert main.get_attribute("aria-busy") is None
    page.unroute("**/details.json")
    page.locator("nav a", has_text="Overview").click()
    page.locator("nav a", has_text="Where it goes").click()
    until(lambda: page.locator("h1").inner_text() == "Where the energy goes")
    assert reason not in tab.text()
    context.close()
