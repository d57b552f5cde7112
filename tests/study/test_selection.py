"""Parts of a study: by task, by model, by shard."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille import presets
from permille.errors import UsageError
from permille.study.plan import file
from permille.study.plan.entries import StudyFile
from permille.study.plan.published import Published
from permille.study.plan.selection import Selection, grid, select
from permille.study.plan.sharding import FIXED_S, deal, pair_costs


@cache
def preset() -> StudyFile:
    name = "power-hungry-2023"
    return file.parse(presets.text(name), where=name, folder=Path.cwd())


def cells(**chosen: str) -> list[tuple[str, str, str]]:
    return grid(select(preset(), Selection(**chosen)))


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
    study = select(preset(), Selection(tasks="fill-mask", models="bert-base-cased", shard="3/3"))
    assert [model.id for model in study.models] == ["bert-base-cased"]
    assert [d.name for entry in study.tasks for d in entry.datasets] == ["BookCorpus"]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 30])
def test_shards_are_disjoint_and_complete_and_keep_pairs_whole(count: int) -> None:
    shards = [cells(shard=f"{i}/{count}") for i in range(1, count + 1)]
    assert sorted(key for shard in shards for key in shard) == sorted(cells())
    pairs = [{key[:2] for key in shard} for shard in shards]
    assert sum(map(len, pairs)) == len(set().union(*pairs))
    assert all(shards)


@given(seconds=st.lists(st.floats(0.001, 100), min_size=2, max_size=20), shards=st.integers(1, 6))
def test_shares_are_balanced_by_what_they_cost(seconds: list[float], shards: int) -> None:
    keys = [("task", f"d{n}", model) for n, _ in enumerate(seconds) for model in ("a", "b")]
    known = {key: Published(seconds=seconds[int(key[1][1:])], params=1) for key in keys}
    dealt = deal(keys, shards, known)
    assert sorted(key for share in dealt for key in share) == sorted(keys)
    costs = pair_costs(keys, known)
    loads = [sum(costs[pair] for pair in {key[:2] for key in share}) for share in dealt]
    assert max(loads) <= sum(costs.values()) / shards + max(costs.values())
    assert deal(keys[::-1], shards, known) == [share[::-1] for share in dealt]


def test_a_cell_that_nothing_is_known_of_counts_as_an_average_one() -> None:
    keys = [("t", "d1", "a"), ("t", "d1", "new"), ("t", "d2", "a")]
    known = {
        key: Published(seconds=s, params=1) for key, s in zip(keys[::2], (1.0, 3.0), strict=True)
    }
    costs = pair_costs(keys, known)
    assert costs["t", "d1"] == pytest.approx(1.0 + 2.0 + 2 * FIXED_S)
    assert costs["t", "d2"] == pytest.approx(3.0 + FIXED_S)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"tasks": "fil-mask"}, "did you mean 'fill-mask'"),
        ({"models": "gpt5"}, "--models: nothing matches 'gpt5'"),
        ({"shard": "0/3"}, "from 1/n to n/n"),
        ({"shard": "4/3"}, "from 1/n to n/n"),
        ({"shard": "a"}, "such as 1/4"),
        ({"shard": "1/31"}, "use at most 30 shards"),
        ({"tasks": "fill-mask", "models": "gpt2"}, "the selection matches no cells"),
    ],
)
def test_what_cannot_be_chosen_is_said(chosen: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        select(preset(), Selection(**chosen))
