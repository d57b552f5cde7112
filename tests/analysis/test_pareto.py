"""The Pareto front of quality against energy, per task and dataset."""

from __future__ import annotations

from permille.analysis.pareto import fronts
from permille.analysis.results import result_rows, rows_in_place_of
from permille.analysis.summaries import summarise
from permille.carbon.settings import resolve
from permille.records.answers import Quality
from permille.records.trial import Trial
from tests.records import cell, trial


def one(
    model: str, energy_j: float, value: float | None, metric: str = "accuracy", dataset: str = "x"
) -> Trial:
    quality = None if value is None else Quality(metric=metric, value=value, n=10_000)
    of = cell(model, dataset=dataset, id=f"{dataset}-{model}")
    return trial(energy_j, model=model, cell=of, quality=quality)


def front(*trials: Trial) -> list[bool | None]:
    return fronts(summarise(trials, "compute"))


def test_a_model_that_another_beats_in_both_is_off_the_front() -> None:
    assert front(one("a", 10, 0.8), one("b", 20, 0.9), one("c", 20, 0.7)) == [True, True, False]


def test_the_same_in_one_and_worse_in_the_other_is_beaten() -> None:
    assert front(one("a", 10, 0.8), one("b", 10, 0.7), one("c", 11, 0.8)) == [True, False, False]


def test_equals_share_the_front() -> None:
    assert front(one("a", 10, 0.8), one("b", 10, 0.8)) == [True, True]


def test_what_is_not_known_is_neither_on_nor_off() -> None:
    assert front(one("a", 10, 0.8), one("b", 5, None)) == [True, None]


def test_less_perplexity_is_better() -> None:
    found = front(one("a", 10, 20.0, "perplexity"), one("b", 20, 30.0, "perplexity"))
    assert found == [True, False]


def test_other_datasets_are_other_fronts() -> None:
    assert front(one("a", 10, 0.9), one("b", 99, 0.1, dataset="y")) == [True, True]


def test_the_front_of_a_table_is_by_the_energy_that_it_shows() -> None:
    """A costs less above idle and more in all: its machine was less idle before it."""
    score = Quality(metric="accuracy", value=0.8, n=10_000)
    models = [("a", 40.0, 30.0), ("b", 30.0, 5.0)]
    both = [
        trial(energy_j + repeat / 100, model=model, repeat=repeat, idle_j=idle_j, quality=score)
        for model, energy_j, idle_j in models
        for repeat in range(3)
    ]
    summaries = summarise(both, "compute")
    for net, on_front in ((False, [False, True]), (True, [True, False])):
        rows = result_rows(summaries, resolve(), net=net)
        assert [row.pareto for row in rows] == on_front


def test_rows_made_in_place_of_their_summaries_are_the_same() -> None:
    summaries = summarise([one("a", 10.0, 0.9), one("b", 20.0, 0.8)], "compute")
    rows = result_rows(summaries, resolve(), net=False)
    assert [row.pareto for row in rows] == [True, False]
    assert rows_in_place_of(summaries, resolve(), net=False) == rows
    assert summaries == []
