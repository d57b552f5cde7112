"""The page's examples, as written."""

from __future__ import annotations

from pathlib import Path

import pytest

from permille.study.plan import file
from permille.study.plan import grid as plan
from tests import tiny_onnx
from tests.conftest import Permille
from tests.docs.pages import commands, write_files
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

PAGE = "your-model.md"


def test_ten_lines_measure_a_model_of_ones_own(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    write_files(PAGE, tmp_path)
    assert len((tmp_path / "study.toml").read_text().splitlines()) == 10
    folder = tmp_path / "model"
    folder.mkdir()
    tiny_onnx.write(folder, [[0.0, 0.0], [0.0, 9.0], [9.0, 0.0]], pooled=True)
    tiny_onnx.write_tokenizer(folder, ["?", "good", "bad"])
    (folder / "config.json").write_text('{"id2label": {"0": "bad", "1": "good"}}')
    out = ""
    for words in commands(PAGE):
        shorter = ["--repeats", "1"] if words[0] == "run" else []
        out = permille(*words, *shorter).out
    assert "my classifier" in out
    assert "accuracy 100.0" in out
    assert "France" in out


def test_the_study_of_the_hub_can_be_planned(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="not installed: pip install 'permille[torch]'")
    write_files(PAGE, tmp_path)
    made = plan.make(file.read(tmp_path / "hub.toml"), fetch=False)
    assert [(cell.cell.model, cell.cell.dataset) for cell in made.cells] == [
        ("distilbert/distilbert-base-uncased-finetuned-sst-2-english", "rotten_tomatoes"),
        ("Flan-T5, pinned", "rotten_tomatoes"),
        ("distilbert/distilbert-base-uncased-finetuned-sst-2-english", "imdb"),
        ("Flan-T5, pinned", "imdb"),
    ]
