"""``permille export report``: every question with its clause, and nothing that is not known."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from permille.cli import dispatch
from permille.errors import UsageError
from permille.records.answers import Quality
from permille.records.cell import ModelFacts
from permille.records.machine import Environment
from permille.store import Store
from tests.records import ESTIMATED, cell, joules, trial

HOSTILE = 'evil"><script>alert(1)</script>\x1b[2J'


class Rows(HTMLParser):
    """The rows of the page's tables: the question, the answer with its note, and the clause."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: dict[str, tuple[str, ...]] = {}
        self.tags: set[str] = set()
        self._cells: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self._cells = []
        if tag in ("th", "td"):
            self._cells.append("")

    def handle_data(self, data: str) -> None:
        if self._cells:
            self._cells[-1] += data + " "

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            question, *rest = (" ".join(text.split()) for text in self._cells)
            self.rows[question] = tuple(rest)
            self._cells = []


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A classifier, an LLM whose energy is an estimate, an image generator, a hostile name."""
    path = tmp_path / "permille.db"
    score = Quality(metric="accuracy", value=0.8, n=150)
    facts = ModelFacts(params=22_700_000, architecture="BertModel")
    llm = cell("chatty", category="general-purpose", task="text-generation")
    painter = cell("painter", task="text-to-image")
    with Store(path) as opened:
        for n in range(3):
            for model in ("small", HOSTILE):
                opened.add(trial(36.0 + n, model=model, repeat=n, quality=score, facts=facts))
            guess = trial(36.0).phases["query"]
            phases = {
                "query": type(guess)(
                    seconds=10.0,
                    domains={"cpu:0": joules(3600.0 + n, provenance=ESTIMATED)},
                    inferences=1000,
                )
            }
            tokens = {"tokens_in": 10_000.0, "tokens_out": 26_000.0}
            opened.add(trial(uid=f"c{n}", cell=llm, repeat=n, phases=phases, counts=tokens))
            images = {"images": 500.0}
            opened.add(trial(50.0 + n, uid=f"p{n}", cell=painter, repeat=n, counts=images))
        opened.add(trial(1.0, model="once"))
    return path


def export(store: Path, model: str, *options: str) -> Rows:
    file = store.parent / "report.html"
    arguments = ["export", "report", str(file), "--model", model, *options]
    assert dispatch([*arguments, "--store", str(store)]) == 0
    return Rows(file.read_text(encoding="utf-8"))


def test_each_question_has_its_clause_and_its_answer(store: Path) -> None:
    rows = export(store, "small", "--intensity", "50").rows
    energy = "0.0000103 kWh [0.00000959, 0.000011] per 1,000 inferences"
    assert rows["Energy, E"][0].startswith(energy)
    assert rows["Energy, E"][1] == "SCI, Operational emissions: Energy"
    assert rows["Functional unit, R"] == (
        "1,000 inferences",
        "SCI, Functional unit; SCI for AI 8.1",
    )
    assert rows["Carbon intensity, I"][0].startswith("50 gCO2e/kWh")
    assert rows["Operational emissions, O = E × I"][0].startswith("514 µg CO2e [4")
    assert rows["Energy consumption of the model: inference"] == (
        f"known: {energy}",
        "AI Act, Annex XI, Section 1, point 2(e)",
    )
    assert rows["Number of parameters"][0] == "22,700,000"
    assert "95 % interval [9.59 mWh, 11 mWh]" in rows["Uncertainty"][0]
    assert rows["Date"] == ("2026-01-01",)


def test_what_is_not_known_is_not_answered(store: Path) -> None:
    rows = export(store, "painter").rows
    unanswered = {name: texts[0] for name, texts in rows.items() if texts[0].startswith("not ")}
    assert {name: re.match(r"not \w+", text)[0] for name, text in unanswered.items()} == {  # type: ignore[index]
        "Carbon intensity, I": "not chosen",
        "Operational emissions, O = E × I": "not computed",
        "Embodied emissions, M": "not known",
        "SCI score, (O + M) per R": "not computed",
        "Training, data, integration, end of life": "not measured",
        "Architecture": "not recorded",
        "Number of parameters": "not recorded",
        "Computational resources and time used for training": "not measured",
        "Energy consumption of the model: training": "not measured",
        "Benchmarked amount of computation used for inference": "not measured",
        "Quality": "not recorded",
    }


def test_the_pue_is_named_where_it_multiplies_the_carbon(store: Path) -> None:
    once, twice = (
        export(store, "small", "--intensity", "50", "--pue", pue).rows[
            "Operational emissions, O = E × I"
        ][0]
        for pue in ("1", "2")
    )
    assert "PUE" not in once
    assert twice.startswith("1.03 mg CO2e")
    assert "times the PUE of 2" in twice


def test_the_unit_of_sci_for_ai_is_that_of_the_task(store: Path) -> None:
    chatty = export(store, "chatty").rows
    # 3,601 J for 36,000 tokens; 51 J for 500 images.
    assert "token, input or output: 100 mJ" in chatty["Functional unit, R"][0]
    assert chatty["Energy consumption of the model: inference"][0].startswith("estimated: ")
    assert "unit image: 102 mJ" in export(store, "painter").rows["Functional unit, R"][0]
    with Store(store) as opened:
        for n in range(3):
            film = cell("filming", task="text-to-video")
            opened.add(trial(50.0 + n, uid=f"f{n}", cell=film, repeat=n, counts={"videos": 1.0}))
    unit = export(store, "filming").rows["Functional unit, R"][0]
    assert "unit second of video: not measured" in unit


def test_the_hardware_is_the_device_and_the_machine(store: Path) -> None:
    question = "Measurement methodology: task and hardware"
    assert export(store, "small").rows[question][0].endswith("reviews; hardware not recorded")
    facts = {"cpu": "A CPU", "memory_gib": "16", "devices": "gpu:0: A GPU"}
    with Store(store) as opened:
        for n in range(2):
            machine = Environment(fingerprint="named", facts=facts)
            opened.add(trial(uid=f"m{n}", model="named", repeat=n, environment=machine,
                             device="cuda:0"))  # fmt: skip
    answer = export(store, "named").rows[question][0]
    assert answer.endswith("reviews; cuda:0, gpu:0: A GPU, A CPU, 16 GiB")


def test_a_hostile_name_is_text(store: Path) -> None:
    page = export(store, "evil")
    assert "script" not in page.tags
    assert page.rows["Model"] == ('evil"><script>alert(1)</script> [2J',)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "has 5 figures"),
        (("--model", "once"), "no interval"),
        (("--model", "small", "--link", "javascript:alert(1)"), "not an address"),
    ],
)
def test_what_is_no_figure_is_refused(store: Path, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dispatch(["export", "report", str(store.parent / "r.html"), *options,
                  "--store", str(store)])  # fmt: skip
    assert not (store.parent / "r.html").exists()
