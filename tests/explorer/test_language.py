"""The page in Chinese: the catalogue is complete, and nothing on the page stays English but names
and marked sentences of the data."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest

from permille.analysis import evidence_words, goodput, schedule_lag, serving, slo
from permille.analysis.audit import METHOD
from permille.analysis.boundaries import METERED_ONLY
from permille.analysis.summaries import summarise
from permille.carbon.equivalents import equivalents
from permille.carbon.table import grid_table
from permille.explorer.page import asset
from permille.records.answers import AnswerTimes
from permille.records.cell import CellCategory
from permille.records.energy import BOUNDARIES, Refused
from permille.records.recording import Provenance
from permille.records.trial import Protocol, Status
from tests.analysis.test_token_split import of_trial, split, under_load
from tests.conftest import PATIENCE_S
from tests.explorer import sweep
from tests.explorer.conftest import Tab, lent, until
from tests.explorer.test_golden import NODE, WEB, in_node, needs_node
from tests.explorer.test_pages import AXE, CHARTS, NO_COLOURS, VIEWS, findings
from tests.records import cell

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHINESE = json.loads((WEB / "messages" / "zh.json").read_text(encoding="utf-8"))
GLOSSARY = json.loads((WEB / "glossary.json").read_text(encoding="utf-8"))
HAN = re.compile(r"[\u4e00-\u9fff]")


# --- the catalogue ---------------------------------------------------------------------------


def test_the_catalogue_has_the_pages_sentences_and_no_others() -> None:
    if NODE is None or not (WEB / "node_modules" / "acorn").is_dir():
        pytest.skip("the page's packages are not installed: make static")
    script = Path(__file__).with_name("said.mjs")
    run = subprocess.run(
        [str(NODE), str(script), str(WEB)],
        capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert len(said) > 500
    assert set(CHINESE["sentences"]) == set(said)


def test_a_translation_has_the_values_of_its_sentence() -> None:
    placeholder = re.compile(r"\{\w+\}")
    pairs = dict(CHINESE["sentences"])
    for words in CHINESE["words"].values():
        pairs |= words
    assert {
        english: chinese
        for english, chinese in pairs.items()
        if sorted(placeholder.findall(english)) != sorted(placeholder.findall(chinese))
    } == {}


def test_what_comes_with_the_figures_has_a_word_for_every_value_that_is_known() -> None:
    words = {kind: set(known) for kind, known in CHINESE["words"].items()}
    assert words["task"] == {found.name for found in entry_points(group="permille.tasks")}
    assert words["boundary"] == set(BOUNDARIES)
    assert words["provenance"] == {str(each) for each in Provenance}
    assert words["category"] == set(get_args(CellCategory))
    assert words["status"] == set(get_args(Status))
    assert words["glossary"] == {text for entry in GLOSSARY.values() for text in entry.values()}
    assert words["method"] == {METHOD}
    assert METERED_ONLY in words["note"]
    assert words["evidence"] == {
        evidence_words.ONE_SESSION,
        evidence_words.SEVERAL,
        evidence_words.ON_MACHINES,
        evidence_words.STOPPED,
    }
    everyday = equivalents(1, 1)
    assert words["equivalent"] == {each.name for each in everyday}
    assert words["unit"] == {each.unit for each in everyday}
    assert words["factor"] == {each.factor for each in everyday}


def test_what_is_said_of_late_requests_is_translated_with_its_figures() -> None:
    late = sweep.load(4, 90.0, 0.4, schedule_lag=sweep.LATE)
    one, words = late[0], CHINESE["words"]
    assert one.schedule_lag is not None
    lag = ("10 ms", "900 ms")
    of_a_trial = schedule_lag.notes(one.schedule_lag, one.latency)
    assert set(of_a_trial) <= {key.format(*lag) for key in words["note"] if "{2}" not in key}
    of_all = schedule_lag.over_trials(late)
    assert of_all in {key.format("3", "3", *lag) for key in words["note"]}
    verdict = schedule_lag.sent_late(one.schedule_lag)
    assert verdict in {key.format(*lag) for key in words["problem"] if "{2}" not in key}


@needs_node
def test_why_a_limit_cannot_be_told_is_translated_with_its_figures() -> None:
    """Every reason of a figure of a server, as permille slo has it."""
    settings: dict[str, Any] = {"rate_per_s": 4.0}
    loads = [
        sweep.load(4, 90.0, 0.4)[:1],
        [msgspec.structs.replace(one, latency=None) for one in sweep.load(8, 90.0, 0.4)],
        *(
            [
                msgspec.structs.replace(
                    one, protocol=Protocol(inferences=n), cell=cell(settings=of), counts={}
                )
                for one in sweep.load(16, 90.0, 0.4)
            ]
            for n in (0, 1, 10)
            for of in ({}, settings)
        ),
    ]
    found = {
        slo.figure_of(summary, name).reason
        for load in loads
        for summary in summarise(load, "compute")
        for name in slo.NAMES
    }
    untimed = AnswerTimes(n=1, whole_ns=(1,), first_ns=(None,), token_ns=(None,))
    missing = goodput.column_of(untimed, "ttft")
    assert isinstance(missing, Refused)
    reasons = {reason for reason in {*found, missing.reason} if reason is not None}
    assert len(reasons) >= 12
    reasons |= {_of_failed_trials(count) for count in (1, 2)}
    for reason, chinese in _in_chinese(reasons).items():
        assert HAN.search(chinese), reason
        assert re.findall(r"\d+", chinese.replace("p95", "")) or not re.search(r"\d", reason)


def _of_failed_trials(count: int) -> str:
    trials = [*sweep.load(4, 90.0, 0.4)]
    for number in range(count):
        failed = msgspec.structs.replace(
            trials[0], uid=f"failed-{number}", repeat=3 + number, status="failed", reason="boom"
        )
        trials.append(failed)
    (summary,) = summarise(trials, "compute")
    (checked,) = slo.check(summary, [slo.Limit(name="latency_p95", most=1e9)]).checks
    assert checked.reason is not None
    assert "in no figure" in checked.reason
    return checked.reason


def _in_chinese(problems: Iterable[str]) -> dict[str, str]:
    """Problems, each with what the page makes of it."""
    listed = sorted(problems)
    # What has no translation would be marked as English, for which there is no document here.
    chosen = {
        "sentences": {"{0}; {1}": CHINESE["sentences"]["{0}; {1}"]},
        "words": {"problem": CHINESE["words"]["problem"]},
    }
    said = in_node(
        f'(say.speak("zh", {json.dumps(chosen)}),'
        f' {json.dumps(listed)}.map((r) => say.joined(r, "problem")))'
    )
    return dict(zip(listed, said, strict=True))


@needs_node
def test_why_tokens_have_no_figures_of_their_own_is_translated() -> None:
    """What the analysis says of recordings, and joins."""
    power = {"input_j": 0.05, "output_j": 1.5, "rest_w": 30.0}
    apart = [(30 * i, 30 * i + 10, 30 * i + 30, 100, 21) for i in range(100)]
    short_prompts = [(30 * i, 30 * i + 1, 30 * i + 30, 100, 21) for i in range(3)]
    short_answers = [(30 * i, 30 * i + 10, 30 * i + 11, 100, 21) for i in range(3)]
    steady = [(7 * i, 7 * i + 4, 7 * i + 20, 100, 20) for i in range(100)]
    busy, polls = under_load(120)
    varied = [(start, first, last, 100 + i % 2, 20) for i, (start, first, last, *_) in
              enumerate(busy)]  # fmt: skip
    found = [
        split(short_prompts, 90, **power),
        split(short_answers, 90, **power),
        split(steady[:3], 30, **power),
        split(steady, 700, **power),
        split(varied, polls, **power),
        split(apart, 3000, **power),
        split(busy, polls, others_share=0.25, **power),
        serving.token_split([of_trial(0, 0.9), of_trial(1, 1.1, method="windows")]),
    ]
    texts = {text for one in found if one for text in (one.problem, one.warning) if text}
    assert len(texts) >= 5, texts
    assert any("; " in text for text in texts)
    for text, chinese in _in_chinese(texts).items():
        assert HAN.search(chinese), text
        assert not re.search("[a-z]{3}", chinese.replace("inferences", "")), chinese


def test_every_place_has_its_name_but_for_cloud_regions_and_companies_grids() -> None:
    places = grid_table().places
    words = set(CHINESE["words"]["place"])
    assert words <= set(places)
    left = {code for code in places if code not in words}
    assert {places[code].kind for code in left} <= {"zone", "cloud"}
    assert {code for code in left if places[code].kind == "zone" and code[:3] != "US-"} == set()


# --- the page --------------------------------------------------------------------------------

LATIN = Path(__file__).with_name("latin.js").read_text(encoding="utf-8")


FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Charts are drawn when their width is known."""


def unsaid(tab: Tab) -> list[str]:
    """What can be read on the page, or is read out, and is English without saying so."""
    found: list[str] = tab.page.evaluate(LATIN)
    return found


@pytest.fixture(scope="module")
def swept_file(tmp_path_factory: pytest.TempPathFactory, built: None) -> Path:
    from permille.explorer import static_file

    folder = tmp_path_factory.mktemp("swept")
    file = folder / "sweep.html"
    file.write_bytes(static_file.page(sweep.write(folder / "sweep.db")).content)
    return file


@pytest.fixture
def swept(file_page: Page, swept_file: Path) -> Iterator[Tab]:
    yield from lent(file_page, swept_file.as_uri())


def drawn(tab: Tab, state: str) -> Tab:
    """A view in Chinese, with its charts and what it asks for later."""
    tab.go(f"lang=zh&{state}").unfold()
    tab.page.evaluate("Promise.allSettled(permille.awaited)")
    tab.page.evaluate(FRAMES)
    return tab


@pytest.mark.slow
def test_english_words_are_found(file_tab: Tab) -> None:
    assert {"Overview", "Filters", "title: Overview – permille"} <= set(unsaid(file_tab.go()))


STATES = [
    *(f"view={view}" for view in VIEWS),
    "view=overview&search=nothing",
    "view=overview&net=1&boundary=facility&origin=shipped",
    "view=overview&stat=mean&unit=co2e&origin=store",
    "view=size&colour=architecture&unit=co2e",
    "view=size&colour=task&search=small",
    "view=compare&m=big&m=small",
    "view=compare&m=small&m=far&m=copy&m=imported&m=half&m=babbler&m=lonely",
    "view=compare&m=small&m=lonely&net=1",
    "view=compare&m=small",
    "view=whatif&intensity=300",
    "view=whatif&region=SWE&year=1900",
    "view=whatif&region=NOWHERE&origin=store",
    "view=breakeven&training=5&origin=store&search=small",
    "view=breakeven&search=small",
    "view=breakdown&task=fill-mask",
    "view=quality&task=olfaction",
    "view=table&hide=energy&least=abc&category=task-specific&provenance=measured",
    "view=table&net=1&sort=energy",
    "view=load",
    "view=model&model=copy",
    "view=model&model=broken",
    "view=model&model=half",
    "view=model&model=imported",
    "view=model&model=nobody",
    "view=model&model=google/flan-t5-xxl",
    "view=run&uid=nobody",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_a_view_is_in_chinese(file_tab: Tab, state: str) -> None:
    drawn(file_tab, state)
    if "whatif" in state:
        file_tab.page.evaluate("document.getElementById('w-grids').open = true")
        until(lambda: file_tab.page.locator("#w-grids table").count() > 0)
    assert unsaid(file_tab) == []
    assert file_tab.said == []
    assert HAN.search(file_tab.text())


@pytest.mark.slow
@pytest.mark.parametrize(
    "state",
    [
        "view=load",
        "view=load&errors=1&within=0.000001",
        "view=load&errors=1&per=request&budget=1e-9",
        f"view=model&model={sweep.MODEL}, concurrency = 4",
        "view=overview",
    ],
)
def test_the_figures_of_a_server_are_in_chinese(swept: Tab, state: str) -> None:
    drawn(swept, state)
    assert unsaid(swept) == []
    assert HAN.search(swept.text())


@pytest.mark.slow
def test_late_requests_are_in_chinese_with_their_figures(swept: Tab) -> None:
    drawn(swept, "view=load")
    which = "permille.cells.find(c => c.serving?.load?.by === 'rate_per_s').serving.load.sweep"
    place = f"view=load&sweep={swept.page.evaluate(which)}&limit=latency_p95&within=0.5"
    for state in (place, f"view=model&model={sweep.OTHER}, rate_per_s = 4"):
        drawn(swept, state)
        assert re.search("95% 不超过 10 ms.最多 900 ms", swept.text())
        assert "sent requests late" not in swept.text()
        assert unsaid(swept) == []


@pytest.mark.slow
@pytest.mark.parametrize("view", CHARTS)
def test_a_point_and_what_is_kept_of_a_chart_are_in_chinese(file_tab: Tab, view: str) -> None:
    page = drawn(file_tab, f"view={view}").page
    for chart in page.locator("figure.chart:has(.pt > *)").all()[:4]:
        chart.locator(".stage").focus()
        page.keyboard.press("End")
        assert HAN.search(chart.locator(".tip").inner_text())
        assert unsaid(file_tab) == []
    page.locator(".keep").first.evaluate("menu => menu.open = true")
    page.locator(".keep .ways button", has_text="链接").first.click()
    until(lambda: HAN.search(page.locator(".keep .out").first.inner_text()))
    assert unsaid(file_tab) == []


@pytest.mark.slow
def test_lists_to_choose_from_and_paper_are_in_chinese(file_tab: Tab) -> None:
    page = drawn(file_tab, "view=compare").page
    for field in page.locator("[role=combobox]").all():
        field.click()
        until(lambda: page.locator("[role=option]").count() > 0)
        assert unsaid(file_tab) == []
        field.fill("no such thing")
        until(lambda: page.locator("[role=option]").count() == 0)
        assert unsaid(file_tab) == []
        page.keyboard.press("Escape")
    page.evaluate("permille.print()")
    assert HAN.search(page.locator(".printed").text_content() or "")
    assert unsaid(file_tab) == []
    page.evaluate("dispatchEvent(new Event('afterprint'))")


@pytest.mark.slow
@pytest.mark.parametrize("view", ["overview", "table", "about", "model&model=small"])
def test_the_server_gives_its_page_in_chinese(tab: Tab, view: str) -> None:
    drawn(tab, f"view={view}")
    assert unsaid(tab) == []
    assert tab.said == []


@pytest.mark.slow
def test_the_words_of_a_language_are_loaded_where_it_is_chosen(tab: Tab) -> None:
    loaded: list[str] = []
    tab.page.on("response", lambda answer: loaded.append(answer.url.partition("?")[0]))

    def has_chinese() -> bool:
        names = [url.rpartition("/")[2] for url in loaded if url.endswith(".js")]
        assert names
        return any("测量单元" in asset(name) for name in names)

    tab.load("view=overview")
    assert not has_chinese()
    tab.load("view=overview&lang=zh")
    assert has_chinese()


# --- the choice ------------------------------------------------------------------------------


def spoken(page: Page) -> str:
    return str(page.evaluate("document.documentElement.lang"))


ABROAD = [("zh-CN", "zh"), ("zh-TW", "zh"), ("fr-FR", "en"), ("en-GB", "en")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "locales"),
    # One rule for both, which reads another part of the address in each.
    [("served", ABROAD), ("file", ABROAD[:1])],
)
def test_the_language_is_the_addresss_the_chosen_or_the_browsers(
    browser: Browser, served: Any, file: Path, where: str, locales: list[tuple[str, str]]
) -> None:
    address = served.address if where == "served" else file.as_uri()
    for locale, language in locales:
        context = browser.new_context(locale=locale)
        tab = Tab(context.new_page(), address).load("view=about")
        assert spoken(tab.page) == language
        if locale in ("zh-CN", "en-GB"):
            tab.load(f"view=about&lang={'en' if language == 'zh' else 'zh'}")
            assert spoken(tab.page) != language
            # An address does not choose for later visits.
            tab.load("view=about&lang=klingon")
            assert spoken(tab.page) == language
        context.close()


@pytest.mark.slow
@pytest.mark.parametrize("where", ["served", "file"])
def test_a_switch_chooses_the_language_and_it_is_kept(
    browser: Browser, served: Any, file: Path, where: str
) -> None:
    address = served.address if where == "served" else file.as_uri()
    context = browser.new_context(locale="en-GB")
    tab = Tab(context.new_page(), address).go("view=table&search=small")
    page = tab.page
    assert page.locator("#language").inner_text() == "中文"
    page.locator("#language").click()
    until(lambda: spoken(page) == "zh" and page.locator("main h1").count() == 1)
    assert page.locator("h1").inner_text() == "全部数据"
    assert page.evaluate("permille.state.search") == "small"
    assert "lang=zh" in tab.url
    # Every link goes on in Chinese, for whoever gets it.
    for link in ("nav a >> nth=1", ".brand", ".to-about"):
        assert "lang=zh" in str(page.locator(link).get_attribute("href"))
    tab.load("view=about")
    assert spoken(page) == "zh"
    assert page.locator("#language").inner_text() == "English"
    page.locator("#language").click()
    until(lambda: spoken(page) == "en" and page.locator("main h1").count() == 1)
    assert page.locator("h1").inner_text() == "About the numbers"
    tab.load("view=about")
    assert spoken(page) == "en"
    context.close()


# --- looks -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_chinese_is_wider_than_the_screen(file_tab: Tab, width: int) -> None:
    file_tab.page.set_viewport_size({"width": width, "height": 800})
    for view in VIEWS:
        drawn(file_tab, f"view={view}")
        wide = "document.documentElement.scrollWidth - innerWidth"
        assert file_tab.page.evaluate(wide) <= 0, view


@pytest.mark.slow
def test_axe_finds_nothing_serious_in_chinese(file_tab: Tab) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: python scripts/build_explorer.py")
    for view in ("overview", "table", "model&model=small"):
        drawn(file_tab, f"view={view}&task=text-classification&dataset=IMDB")
        assert findings(file_tab, NO_COLOURS) == []


FARTHEST = """svg => {
  document.body.innerHTML = svg;
  const { width } = document.querySelector("svg").viewBox.baseVal;
  const ends = [...document.querySelectorAll("svg > text")].map(text => {
    const box = text.getBBox();
    return box.x + box.width;
  });
  return [ends.length, Math.max(...ends), width];
}"""


@pytest.mark.slow
def test_lines_below_a_chart_end_within_it(file_tab: Tab) -> None:
    """Chinese has no spaces at which a line could end."""
    page = file_tab.page
    page.set_viewport_size({"width": 400, "height": 800})
    # Of its own: the picture takes the place of the page.
    file_tab.load("lang=zh&view=overview&origin=shipped&region=NOR")
    page.evaluate(FRAMES)
    page.locator(".keep").first.evaluate("menu => menu.open = true")

    def kept(button: str) -> str:
        with page.expect_download() as download:
            page.locator(".keep .ways button", has_text=button).first.click()
        text: str = download.value.path().read_text(encoding="utf-8")
        return text

    assert '<html lang="zh">' in kept("嵌入")
    picture = kept("SVG")
    assert "挪威" in picture
    lines, farthest, width = page.evaluate(FARTHEST, picture)
    assert lines > 8
    assert farthest <= width


# --- numbers ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_numbers_are_written_as_chinese_writes_them(file_tab: Tab) -> None:
    file_tab.go("lang=zh&view=table&origin=store&search=lonely")
    params = file_tab.page.locator("td[data-column=params]").inner_text()
    assert params == "1.1亿"
    row = file_tab.page.locator("table.all tbody tr").inner_text()
    assert "无" in row
    assert "88%" in row
    file_tab.go("lang=zh&view=table&origin=store&least=1.05亿&most=11500万")
    models = file_tab.page.locator("table.all tbody th").all_inner_texts()
    assert models == ["lonely"]


@pytest.mark.slow
def test_rows_to_take_away_are_the_same_in_every_language(file_tab: Tab) -> None:
    taken = []
    for language in ("en", "zh"):
        file_tab.go(f"lang={language}&view=breakdown")
        file_tab.page.evaluate(FRAMES)
        page = file_tab.page
        page.locator(".keep").first.evaluate("menu => menu.open = true")
        with page.expect_download() as download:
            page.locator(".keep .ways button", has_text="CSV").first.click()
        taken.append(download.value.path().read_bytes())
    assert taken[0] == taken[1]
