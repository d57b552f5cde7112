"""Parts of a study: by task, by model, by shard."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from permille import presets
from permille.errors import UsageError
from permille.study.plan import file
from permille.study.plan.known import published
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
    study = select(preset(), Selection(tasks="fill-mask", models="bert-base-cased"))
    assert [model.id for model in study.models] == ["bert-base-cased"]
    assert [entry.task for entry in study.tasks] == ["fill-mask"]
    everything = [d.name for entry in preset().tasks for d in entry.datasets]
    some = select(preset(), Selection(shard="2/3"))
    assert 0 < len([d.name for entry in some.tasks for d in entry.datasets]) < len(everything)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 30])
def test_shards_are_disjoint_and_complete(count: int) -> None:
    shards = [cells(shard=f"{i}/{count}") for i in range(1, count + 1)]
    assert sorted(key for shard in shards for key in shard) == sorted(cells())


@pytest.mark.parametrize("count", [2, 5, 30])
def test_the_models_of_a_dataset_are_in_one_shard(count: int) -> None:
    """The ratio of two models is then of one machine."""
    homes: dict[tuple[str, str], set[int]] = {}
    for i in range(1, count + 1):
        for task, dataset, _ in cells(shard=f"{i}/{count}"):
            homes.setdefault((task, dataset), set()).add(i)
    assert len(homes) == 30
    assert all(len(shards) == 1 for shards in homes.values())


def test_shards_cost_about_the_same() -> None:
    """By the time that the published study took: within a third of the least that any dealing of
    whole datasets could come to."""
    known = published()
    took = [sum(known[key].seconds for key in cells(shard=f"{i}/4")) for i in range(1, 5)]
    datasets: Counter[tuple[str, str]] = Counter()
    for key in cells():
        datasets[key[:2]] += known[key].seconds  # type: ignore[assignment]
    assert max(took) <= 4 / 3 * max(sum(took) / 4, *datasets.values())


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"tasks": "fil-mask"}, "did you mean 'fill-mask'"),
        ({"models": "gpt5"}, "--models: nothing matches 'gpt5'"),
        ({"shard": "0/3"}, "from 1/n to n/n"),
        ({"shard": "4/3"}, "from 1/n to n/n"),
        ({"shard": "a"}, "such as 1/4"),
        ({"shard": "31/400"}, "matches no cells"),
        ({"tasks": "fill-mask", "models": "gpt2"}, "matches no cells"),
    ],
)
def test_what_cannot_be_chosen_is_said(chosen: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        select(preset(), Selection(**chosen))
