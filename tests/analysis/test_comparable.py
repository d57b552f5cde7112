"""Which figures count, and which newer ones supersede."""

from __future__ import annotations

from typing import Any

import pytest

from permille.analysis.comparable import current, same_model_twice, split
from permille.analysis.compare import compare
from permille.analysis.current import current_trials
from permille.analysis.summaries import summarise
from permille.records.machine import Environment
from permille.records.trial import Protocol, Trial
from tests.records import cell, trial


def at(minute: int, energy_j: float = 10.0, model: str = "a", **changed: Any) -> Trial:
    started = f"2026-01-01T00:{minute:02}:00+00:00"
    return trial(energy_j, model=model, started=started, **changed)


def test_the_newest_cell_counts_and_the_older_says_what_differs() -> None:
    old = at(0, 10.0, cell=cell("a", id="1", settings={"callable": "m:f"}))
    new = at(1, 60.0, cell=cell("a", id="2", settings={"callable": "m:g"}))
    kept, older = split(summarise([old, new], "compute"))
    assert [s.cell.id for s in kept] == ["2"]
    assert [(o.summary.cell.id, o.differs) for o in older] == [("1", "callable m:f, now m:g")]


def test_another_number_of_inferences_supersedes() -> None:
    both = [at(0, protocol=Protocol(inferences=100)), at(1, protocol=Protocol(inferences=200))]
    (only,), (older,) = split(summarise(both, "compute"))
    assert only.protocol == Protocol(inferences=200)
    assert older.differs == "inferences 100, now 200"


def test_code_that_changed_has_no_setting_to_show() -> None:
    both = [at(0, cell=cell("a", id="1")), at(1, cell=cell("a", id="2"))]
    assert split(summarise(both, "compute"))[1][0].differs.startswith("the model's code or files")


def test_going_back_to_the_old_settings_makes_them_count_again() -> None:
    a, b = cell("a", id="1"), cell("a", id="2")
    there = [at(0, cell=a), at(1, cell=b)]
    again = [*there, at(2, cell=a, repeat=1)]
    assert [s.cell.id for s in current(summarise(there, "compute"))] == ["2"]
    assert [s.cell.id for s in current(summarise(again, "compute"))] == ["1"]
    assert [t.repeat for t in current_trials(again)] == [0, 1]


def test_a_newer_cell_that_failed_does_not_bring_the_old_figure_back() -> None:
    failed = at(1, cell=cell("a", id="2"), status="failed", reason="no memory")
    (only,) = current(summarise([at(0, cell=cell("a", id="1")), failed], "compute"))
    assert only.problem == "no memory"


@pytest.mark.parametrize(
    "changed",
    [
        {"source": "codecarbon"},
        {"environment": Environment(fingerprint="other")},
        {"study": "another"},
        {"model": "b"},
    ],
)
def test_what_is_something_else_stays(changed: dict[str, Any]) -> None:
    model = changed.get("model", "a")
    first = at(0, cell=cell(model, id="1"), **changed)
    assert len(current(summarise([first, at(1, cell=cell("a", id="2"))], "compute"))) == 2


def test_imports_lose_no_row() -> None:
    both = [
        at(i, cell=cell("a", id=str(i), settings={"batch_size": i}), source="optimum-benchmark")
        for i in range(3)
    ]
    assert len(current(summarise(both, "compute"))) == 3


def test_a_ratio_is_of_the_newest_alone() -> None:
    both = [
        *(at(i, 10.0, repeat=i, cell=cell("a", id="1")) for i in range(2)),
        *(at(5 + i, 60.0, repeat=i, cell=cell("a", id="2")) for i in range(2)),
        *(at(i, 100.0, "b", repeat=i) for i in range(2)),
    ]
    found = compare(summarise(both, "compute"), "a", "b")
    assert len(found.cells) == 1
    assert found.ratio.value == pytest.approx(0.6)


def test_two_cells_of_one_study_that_look_the_same_are_found() -> None:
    assert same_model_twice([cell("a", id="1"), cell("a", id="2")]) is not None
    assert same_model_twice([cell("a", id="1"), cell("a", id="1"), cell("b")]) is None
