"""Made-up inputs: as long as the study's, and as many as are asked for."""

from __future__ import annotations

from typing import Any

import pytest

from permille import plugins
from permille.analysis.paper import published
from permille.architectures import lengths
from permille.datasets import media
from permille.datasets.stand_ins import is_stand_in, stand_in


def pairs() -> list[tuple[str, str]]:
    return sorted({(c.summary.cell.task, c.summary.cell.dataset) for c in published.load().cells})


def task(name: str) -> Any:
    return plugins.load("tasks", name)


@pytest.mark.parametrize(("task_name", "dataset"), pairs())
def test_every_pair_of_the_study_has_inputs(
    task_name: str, dataset: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERMILLE_CACHE", str(tmp_path))
    made = stand_in(dataset, task(task_name), inferences=4)
    assert made is not None
    assert is_stand_in(made)
    assert len(made.samples) == 4
    assert set(made.samples[0].inputs) == set(task(task_name).inputs)


def test_lengths_are_the_published_ones_without_the_prompt() -> None:
    for cell in published.load().cells:
        task_name, dataset = cell.summary.cell.task, cell.summary.cell.dataset
        if cell.input_length is None:
            continue
        of_prompt = {"text-classification": 9, "summarization": 4, "question-answering": 0}
        words = cell.input_length - of_prompt[task_name]
        found = lengths.input_lengths(dataset)
        assert found is not None
        assert found.published
        tokens = (found.tokens or 0) + (found.question_tokens or 0)
        assert tokens == pytest.approx(1.3 * words, abs=1.01)


def test_answers_are_as_long_as_published() -> None:
    ask = lengths.published_answer_tokens
    assert ask("summarization", "XSum", "bigscience/bloomz-560m") == round(1.3 * 11.53)
    assert ask("summarization", "XSum", "google/flan-t5-xxl") == round(1.3 * 13.093) + 1
    assert ask("summarization", "XSum", "facebook/bart-large-cnn") is None


@pytest.mark.parametrize(("inferences", "count"), [(1000, 50), (49, 49), (97, 1), (3, 3)])
def test_whole_passes_make_exactly_the_inferences(inferences: int, count: int) -> None:
    made = stand_in("SST2", task("text-classification"), inferences)
    assert made is not None
    assert len(made.samples) == count
    assert inferences % count == 0


def test_samples_differ_and_are_the_same_each_time() -> None:
    first, again = (stand_in("SST2", task("text-classification"), 10) for _ in range(2))
    assert first is not None
    assert again is not None
    assert first.digest == again.digest
    assert len({sample.inputs["text"] for sample in first.samples}) == 10
    assert first.labels == ("positive", "negative")


def test_an_image_is_of_the_datasets_size() -> None:
    pytest.importorskip("PIL")
    from permille.backends.pixels import image

    made = stand_in("COCO", task("object-detection"), 1)
    assert made is not None
    content = media.read(made.samples[0].inputs["image"])
    assert image(content).size == (640, 480)


def test_another_dataset_has_none() -> None:
    assert stand_in("vader-movie-reviews", task("text-classification"), 10) is None
