"""Parts of a study: by task, by model, by shard."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from permille import presets
from permille.errors import UsageError
from permille.study.plan import file
from permille.study.plan.selection import Selection, grid, select


@cache
def preset() -> file.StudyFile:
    name = "power-hungry-2023"
    return file.parse(presets.text(name), where=name, folder=Path.cwd())


def cells(**chosen: str) -> list[tuple[str, str, str]]:
    study = select(preset(), Selection(**chosen))
    return [key for key in grid(study) if study.only is None or key in study.only]


def test_all_of_it_is_312_cells() -> None:
    assert len(cells()) == 312


def test_by_task_and_model() -> None:
    assert len(cells(tasks="text-*")) == (8 + 8) * 3 + 8 * 3 + 8 * 3
    assert {task for task, _, _ in cells(tasks="fill-mask,summarization")} == {
        "fill-mask",
        "summarization",
    }
    found = cells(tasks="text-classification", models="google/*, *distilbert*")
    assert {model for _, _, model in found} == {
        *(f"google/flan-t5-{size}" for size in ("base", "large", "xl", "xxl")),
        "distilbert-base-uncased-finetuned-sst-2-english",
        "lvwerra/distilbert-imdb",
    }


def test_what_is_not_needed_is_not_opened() -> None:
    study = select(preset(), Selection(tasks="fill-mask", models="bert-base-cased", shard="2/3"))
    assert [model.id for model in study.models] == ["bert-base-cased"]
    assert [d.name for entry in study.tasks for d in entry.datasets] == ["C4"]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40, 320])
def test_shards_are_disjoint_and_complete(count: int) -> None:
    shards = [cells(shard=f"{i}/{count}") for i in range(1, min(count, 312) + 1)]
    assert sorted(key for shard in shards for key in shard) == sorted(cells())
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"tasks": "fil-mask"}, "did you mean 'fill-mask'"),
        ({"models": "gpt5"}, "--models: nothing is called 'gpt5'"),
        ({"shard": "0/3"}, "from 1/n to n/n"),
        ({"shard": "4/3"}, "from 1/n to n/n"),
        ({"shard": "a"}, "such as 1/4"),
        ({"shard": "313/400"}, "no cell is left"),
        ({"tasks": "fill-mask", "models": "gpt2"}, "no cell is left"),
    ],
)
def test_what_cannot_be_chosen_is_said(chosen: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        select(preset(), Selection(**chosen))
