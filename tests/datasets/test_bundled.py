from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from permille.datasets import bundled
from permille.datasets.opening import open_dataset
from permille.datasets.rows import digest
from permille.errors import AssetError, DatasetError
from permille.tasks.text_classification import task
from permille.workload.specs import DatasetSpec
from tests import quickstart_assets

TEST_DIGEST = "b9a0450ac70f94da53d61f992d90a8039d4c1d7c5e001fae4ccdc567c4448145"
REVIEWS = DatasetSpec(name="vader-movie-reviews")


def ratings(count: int) -> dict[str, tuple[str, float]]:
    """Sentences with ratings of -0.6, -0.4, 0.4, 0.6 in turn."""
    return {f"s{n}": (str(n), (-0.6, -0.4, 0.4, 0.6)[n % 4]) for n in range(count)}


def test_the_split_is_balanced_disjoint_and_blind_to_order() -> None:
    rated = ratings(11_000)
    test, train = bundled.split(rated)
    assert Counter(s.reference for s in test) == {"negative": 500, "positive": 500}
    assert Counter(s.reference for s in train) == {"negative": 2_000, "positive": 2_000}
    assert not {s.inputs["text"] for s in test} & {s.inputs["text"] for s in train}
    for sample in (*test, *train):
        rating = rated[sample.inputs["text"]][1]
        assert abs(rating) == 0.6, "ratings nearer to 0 than 0.5 are left out"
        assert sample.reference == ("positive" if rating > 0 else "negative")
    assert bundled.split(dict(reversed(rated.items()))) == (test, train)


def test_too_few_sentences_are_refused() -> None:
    with pytest.raises(DatasetError, match="only 250 negative"):
        bundled.split(ratings(1_000))


def test_a_name_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(DatasetError, match=r"available: vader-movie-reviews, .* for your own file"):
        open_dataset(DatasetSpec(name="imbd"), task, limit=1, seed=0)


def test_data_that_were_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERMILLE_CACHE", str(tmp_path))
    with pytest.raises(AssetError, match=r"absent .* run: permille assets fetch quickstart"):
        open_dataset(REVIEWS, task, limit=1, seed=0)


@quickstart_assets.needed
def test_the_real_sentences_are_those_that_the_head_was_trained_without() -> None:
    test, train = bundled.movie_reviews()
    assert (len(test), len(train)) == (1_000, 4_000)
    assert not {s.inputs["text"] for s in test} & {s.inputs["text"] for s in train}
    assert digest(tuple(test)) == TEST_DIGEST
    kind = {s.inputs["text"]: s.reference for s in (*test, *train)}
    assert kind["Smothered by its own solemnity."] == "negative"
    assert kind["Quietly engaging."] == "positive"


@quickstart_assets.needed
def test_what_is_opened_is_the_test_part() -> None:
    dataset = open_dataset(REVIEWS, task, limit=50, seed=3)
    assert {s.id for s in dataset.samples} <= {s.id for s in bundled.movie_reviews()[0]}
    assert len(dataset.samples) == 50
    assert dataset.labels == ("negative", "positive")
