"""``permille export badge``, ``label`` and ``label-svg``: one figure, never without what it rests
on."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from permille.cli import dispatch
from permille.errors import UsageError
from permille.records.answers import Quality
from permille.store import Store
from tests.records import ESTIMATED, cell, joules, trial

GRID = ("--intensity", "50")
LINK = ("--link", "https://example.org/runs?a=1&b=2")
HOSTILE = 'evil"><script>alert(1)</script>\x1b[2J\u202e\ufffe' + "x" * 500
SCORE = Quality(metric="accuracy", value=0.8, n=150)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Models with three trials, one whose id contains another's, and one with a single trial."""
    path = tmp_path / "permille.db"
    with Store(path) as opened:
        for repeat in range(3):
            day = f"2026-01-0{repeat + 1}T00:00:00+00:00"
            for model in ("small", "smaller", HOSTILE):
                shown: dict[str, Any] = {
                    "model": model,
                    "repeat": repeat,
                    "started": day,
                    "quality": SCORE,
                }
                opened.add(trial(36.0 + repeat, **shown))
            opened.add(trial(9.0 + repeat, model="unscored", repeat=repeat))
            opened.add(trial(5.0, model="undated", repeat=repeat, started="never", quality=SCORE))
            opened.add(
                trial(5.0, model="ancient", repeat=repeat, started="0001-01-01", quality=SCORE)
            )
            replica = cell("replica", settings={"weights": "replica"})
            opened.add(
                trial(7.0 + repeat, uid=f"r{repeat}", repeat=repeat, cell=replica, quality=SCORE)
            )
        opened.add(trial(1.0, model="once", quality=SCORE))
    return path


def export(store: Path, format_name: str, model: str, *options: str) -> str:
    file = store.parent / "out"
    file.unlink(missing_ok=True)
    assert dispatch(["export", format_name, str(file), "--model", model, *options,
                     "--store", str(store)]) == 0  # fmt: skip
    return file.read_text(encoding="utf-8")


def test_a_replicas_figures_say_so_in_every_format_that_takes_them(store: Path) -> None:
    assert "| measured, replica weights |" in export(store, "model-card", "replica")
    card = export(store, "model-card", "smaller")
    assert "replica" not in card
    assert "The grid is assumed, because none was chosen." in card
    chosen = export(store, "model-card", "smaller", "--region", "FRA")
    assert "assumed" not in chosen
    assert "gCO2e/kWh \\(France 2024, Our World in Data over Ember" in chosen
    for model, weights in (("replica", "replica"), ("smaller", "")):
        lines = csv.DictReader(export(store, "codecarbon", model).splitlines())
        assert {line["weights"] for line in lines} == {weights}


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_badge_has_figure_boundary_and_provenance_and_its_title_the_interval(
    store: Path,
) -> None:
    svg = export(store, "badge", "small")
    assert texts(svg) == ["energy", "10.3 mWh / 1,000 · compute · measured"]
    title = ElementTree.fromstring(svg).findtext(f"{SVG}title") or ""
    assert title.startswith("small on reviews: 10.3 mWh / 1,000")
    assert "95 % interval [" in title


def test_what_changes_the_figure_is_on_the_badge(store: Path) -> None:
    assert texts(export(store, "badge", "replica"))[1].endswith("measured, replica weights")
    other = export(store, "badge", "small", "--boundary", "accelerator")
    assert "· accelerator ·" in texts(other)[1]


def test_a_label_has_everything_the_figure_rests_on(store: Path) -> None:
    page = export(store, "label", "small", *GRID, *LINK)
    picture = " ".join(texts(export(store, "label-svg", "small", *GRID, *LINK)))
    for part in (
        "small", "text-classification on reviews", "10.3 mWh", "per 1,000 inferences", "CO2e",
        "50 gCO2e/kWh", "compute", "measured", "accuracy 80.0", "on 150 samples", "3 finished",
        "2026-01-01 to 2026-01-03",
    ):  # fmt: skip
        assert part in page, part
        assert part in picture, part
    assert '<a href="https://example.org/runs?a=1&amp;b=2"' in page
    assert "https://example.org/runs?a=1&b=2" in picture


@pytest.mark.parametrize("format_name", ["badge", "label-svg"])
def test_a_hostile_name_is_text_in_a_picture(store: Path, format_name: str) -> None:
    options = () if format_name == "badge" else (*GRID, *LINK)
    svg = export(store, format_name, HOSTILE, *options)
    root = ElementTree.fromstring(svg)
    assert {element.tag for element in root.iter()} <= {
        SVG + name for name in ("svg", "title", "rect", "text")
    }
    assert 'evil"><script>alert(1)</script>' in (root.findtext(f"{SVG}title") or "")
    assert not set(svg) & {"\x1b", "\u202e", "\ufffe"}
    assert "x" * 300 not in svg


def test_a_hostile_name_is_text_in_a_page(store: Path) -> None:
    page = export(store, "label", HOSTILE, *GRID, *LINK)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not set(page) & {"\x1b", "\u202e", "\ufffe"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["badge", "once"], "no interval .run more trials"),
        (["badge", "e"], "figures, and this format shows one"),
        (["badge", "small", *LINK], "badge has no --link"),
        (["csv", "small", *LINK], "csv has no --link"),
        (["codecarbon", "small", *LINK], "codecarbon has no --link"),
        (["label", "small", *LINK], "no grid .add --region or --intensity"),
        (["label", "small", *GRID], "no link .add --link"),
        (["label", "unscored", *GRID, *LINK], "no quality"),
        (["label", "undated", *GRID, *LINK], "no date"),
        (["label", "ancient", *GRID, *LINK], "no date"),
        (["label-svg", "unscored"], "no quality .*no grid .*no link"),
        (["label", "small", *GRID, "--link", "javascript:alert(1)"], "not an address"),
        (["label", "small", *GRID, "--link", "https://[::1"], "not an address"),
        (["label", "small", *GRID, "--link", "https://a/\x1b[2J"], "not an address"),
        (["label", "small", *GRID, "--link", "https://a/" + "b" * 300], "not an address"),
    ],
)
def test_without_a_part_there_is_no_file(store: Path, arguments: list[str], message: str) -> None:
    format_name, model, *options = arguments
    with pytest.raises(UsageError, match=message) as error:
        export(store, format_name, model, *options)
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)
    assert not (store.parent / "out").exists()


def test_an_estimate_is_labelled_one(tmp_path: Path) -> None:
    path = tmp_path / "permille.db"
    with Store(path) as opened:
        for repeat in range(2):
            phase = trial().phases["query"]
            domains = {"cpu:0": joules(36.0, provenance=ESTIMATED)}
            guessed = type(phase)(seconds=10.0, domains=domains, inferences=1000)
            opened.add(trial(repeat=repeat, phases={"query": guessed}))
    measured_colour, estimated = "#2a6f3b", export(path, "badge", "small")
    assert texts(estimated)[1].endswith("· estimated")
    assert measured_colour not in estimated


def test_the_model_and_dataset_of_exactly_this_name_come_first(store: Path) -> None:
    assert texts(export(store, "badge", "small", "--dataset", "reviews"))[1]
    assert texts(export(store, "badge", "small", "--dataset", "REV"))[1]
    with pytest.raises(UsageError, match="no results of the dataset 'none such'"):
        export(store, "badge", "small", "--dataset", "none such")
