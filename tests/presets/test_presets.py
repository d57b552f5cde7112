from __future__ import annotations

from pathlib import Path

import pytest

from permille import assets, presets
from permille.assets import pins
from permille.backends import heads
from permille.backends.onnx.text import TextModel, embedding
from permille.datasets.bundled import movie_reviews
from permille.datasets.rows import digest
from permille.errors import AssetError, StudyError
from permille.presets import vader
from permille.study.plan import file
from permille.study.plan import grid as plan
from tests import quickstart_assets

pytestmark = pytest.mark.slow

HEAD = "minilm-sentiment-head.json"


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_is_a_study_file_with_a_description(name: str) -> None:
    study = file.parse(presets.text(name), where=name, folder=Path.cwd())
    assert study.settings.name.startswith(name)  # the one of 2023 is told from the published one
    assert presets.describe(name) == study.settings.description != ""


def test_names_that_are_not_there() -> None:
    with pytest.raises(StudyError, match="no preset 'none'; available: batching, llm-sizes"):
        presets.text("none")
    with pytest.raises(AssetError, match=r"ships no file 'x\.json'"):
        presets.file("x.json")


@quickstart_assets.needed
@pytest.mark.parametrize(
    ("name", "needs", "cells"),
    [("sentiment", "torch", 4), ("llm-sizes", "xllamacpp", 4), ("batching", "torch", 7)],
)
def test_the_presets_of_the_hub_can_be_planned_without_it(
    tmp_path: Path, name: str, needs: str, cells: int
) -> None:
    pytest.importorskip(needs, reason="its extra is not installed")
    study = file.parse(presets.text(name), where=name, folder=tmp_path)
    made = plan.make(study, fetch=False)
    assert len(made.cells) == cells
    assert all(cell.wanted is not None for cell in made.cells)
    assert {cell.batch_size for cell in made.cells} == (
        {1, 2, 4, 8, 16, 32, 64} if name == "batching" else {1}
    )


@quickstart_assets.needed
def test_the_quick_start_can_be_planned(tmp_path: Path) -> None:
    study = file.parse(presets.text("quickstart"), where="quickstart", folder=tmp_path)
    made = plan.make(study)
    assert [cell.cell.model for cell in made.cells] == [
        "VADER",
        "MiniLM-L6 int8",
        "SmolLM2-135M-Instruct",
    ]
    assert {len(cell.dataset.samples) for cell in made.cells} == {study.settings.inferences}


def test_the_head_says_how_it_came_to_be() -> None:
    head = heads.read(presets.file(HEAD))
    assert head.labels == ("negative", "positive")
    assert head.dimensions == 384
    assert head.trained["script"] == "scripts/train_head.py"
    assert head.trained["encoder_sha256"] == pins.ASSETS["minilm-int8"].members[0].sha256


@quickstart_assets.needed
def test_the_head_was_trained_on_the_training_part_and_is_as_good_as_it_says() -> None:
    test, train = movie_reviews()
    head = heads.read(presets.file(HEAD))
    assert head.trained["dataset_sha256"] == digest(tuple(train))
    folder = assets.path("minilm-int8")
    model = TextModel("minilm", folder / "model.onnx", folder / "tokenizer.json")
    some = test[::5]
    right = 0
    for sample in some:
        vector = embedding(*model.run(sample.inputs["text"], "last_hidden_state"))
        scores = [
            sum(w * x for w, x in zip(row, vector.tolist(), strict=True)) + b
            for row, b in zip(head.weights, head.bias, strict=True)
        ]
        right += head.labels[scores.index(max(scores))] == sample.reference
    # Four standard errors of an accuracy on 200 sentences are 12 points.
    assert right / len(some) == pytest.approx(head.trained["test"]["accuracy"], abs=0.12)


@quickstart_assets.needed
def test_vaders_threshold_is_the_best_of_its_grid_on_the_training_part() -> None:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    score = SentimentIntensityAnalyzer().polarity_scores
    _, train = movie_reviews()
    scored = [(score(s.inputs["text"])["compound"], s.reference == "positive") for s in train]

    def right(threshold: float) -> int:
        return sum((compound >= threshold) == positive for compound, positive in scored)

    grid = [tenth / 10 for tenth in range(-5, 6)]
    assert max(grid, key=right) == vader.THRESHOLD
    assert right(vader.THRESHOLD) / len(scored) == 0.6685


def test_vader_calls_the_kind_kind() -> None:
    classify = vader.load()
    assert classify("A wonderful, moving film; I loved it.") == "positive"
    assert classify("A dreadful bore; I hated it.") == "negative"
