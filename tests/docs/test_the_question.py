"""The page and the README carry a real run of the quick start: its shape is checked, not its
figures, which are of the machine that the page names."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from permille import presets

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "the-question.md").read_text(encoding="utf-8")
MODELS = [model["id"] for model in tomllib.loads(presets.text("quickstart"))["models"]]
ENERGY = r"[\d.]+ [nµmk]?Wh \[[\d.]+ [nµmk]?Wh, [\d.]+ [nµmk]?Wh\]"


def block(text: str, name: str) -> str:
    (found,) = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    return str(found)


@pytest.mark.parametrize("text", [block(README, "quickstart"), block(PAGE, "results")])
def test_each_model_has_its_energy_interval_quality_and_provenance(text: str) -> None:
    rows = [line for line in text.splitlines() if line.startswith(tuple(MODELS))]
    assert [next(m for m in MODELS if row.startswith(m)) for row in rows] == MODELS
    for row in rows:
        assert re.search(ENERGY, row), row
        assert re.search(r"accuracy \d+\.\d \[\d+\.\d, \d+\.\d\] %", row), row
        assert re.search(r" 3 done +(measured|modelled|estimated)$", row), row


@pytest.mark.parametrize("text", [block(README, "quickstart"), block(PAGE, "ratio")])
def test_the_ratio_has_its_interval(text: str) -> None:
    said = re.search(r"needs ([\d.]+) \[([\d.]+), ([\d.]+)\] times the energy of", text)
    assert said is not None
    value, low, high = (float(group) for group in said.groups())
    assert low < value < high
    # The sentence is the one that ``analysis.quality.verdict_text`` makes today.
    assert re.search(
        r"for (the same accuracy, within error|a (higher|lower) accuracy)"
        r" \([\d.]+ \[[\d., ]+\] % against [\d.]+ \[[\d., ]+\] %;"
        r" 150 shared samples, exact McNemar p = [\d.]+\)",
        text,
    )


def test_the_intervals_are_explained_and_the_machine_is_named() -> None:
    parts = block(PAGE, "parts")
    assert [
        line.split(",")[0] for line in parts.splitlines() if line.endswith("within compute:")
    ] == MODELS
    assert parts.count("spread of 3 trials") == len(MODELS)
    assert "Python 3." in block(PAGE, "machine")


def test_both_carry_the_same_run() -> None:
    assert block(PAGE, "results").strip("`\n") in block(README, "quickstart")
