from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.analysis.audit import Audit, _tau, audit, pearson
from permille.analysis.paper import published
from permille.analysis.study_cells import from_trials
from permille.records.energy import Phase
from tests.records import cell, joules, trial


def printed(page: Audit) -> dict[str, Any]:
    """As ``--json`` prints it."""
    return dict(msgspec.json.decode(msgspec.json.encode(page)))


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return printed(audit(published.load().cells, 1.2))


def test_where_the_studys_energy_goes(found: dict[str, Any]) -> None:
    shares = found["shares"]
    assert shares == pytest.approx(
        {"cpu": 0.0363, "ram": 0.3675, "idle_gpus": 0.3310, "active_gpu": 0.2651}, abs=5e-5
    )
    assert sum(shares.values()) == pytest.approx(1)


def test_the_studys_energy_is_its_duration(found: dict[str, Any]) -> None:
    assert found["duration_correlation"] == pytest.approx(0.99985, abs=1e-5)
    assert found["mean_power_w"] == pytest.approx(1171, abs=1)


def test_every_task_in_every_boundary(found: dict[str, Any]) -> None:
    figures = {(r["task"], r["boundary"]): r["kwh_per_1000"] for r in found["tasks"]}
    assert len(figures) == len(found["tasks"]) == 40
    assert figures["text-to-image", "node"] == pytest.approx(2.9072, abs=1e-4)
    for task in {task for task, _ in figures}:
        of_task = [figures[task, b] for b in ("accelerator", "compute", "node", "facility")]
        assert of_task == sorted(of_task)
        assert figures[task, "facility"] == pytest.approx(1.2 * figures[task, "node"])


def test_rankings_are_compared(found: dict[str, Any]) -> None:
    taus = {(t["a"], t["b"]): t["tau"] for t in found["kendall_tau"]}
    assert taus == {
        ("accelerator", "compute"): pytest.approx(0.8667, abs=1e-4),
        ("accelerator", "node"): pytest.approx(0.8667, abs=1e-4),
        ("compute", "node"): 1.0,
    }


def test_general_over_specific_as_found_and_at_equal_size(found: dict[str, Any]) -> None:
    rows = {(r["task"], r["boundary"]): r for r in found["general_to_specific"]}
    assert {task for task, _ in rows} == {
        "text-classification",
        "question-answering",
        "summarization",
    }
    assert len(rows) == 9
    node = rows["text-classification", "node"]
    assert node["ratio"] == pytest.approx(8.65, abs=0.01)
    for row in rows.values():
        equal = row["at_equal_size"]
        assert equal["low"] < equal["value"] < equal["high"] < row["ratio"] * 3
        assert 1 < equal["value"] < row["ratio"]
        assert equal["models"] == 16
        assert "little overlap" in equal["overlap_warning"]


def test_a_store_without_gpus_or_categories() -> None:
    other = cell("big", task="summarization")
    trials = [trial(36.0), trial(72.0, cell=other, model="big")]
    page = printed(audit(from_trials(trials).cells, 1.0))
    assert page["shares"] == {"cpu": 1.0, "ram": None, "idle_gpus": None, "active_gpu": None}
    assert page["duration_correlation"] is None
    assert any("ram: not metered" in note for note in page["notes"])
    assert page["general_to_specific"] == []


def test_cells_without_a_figure_say_why() -> None:
    unknown = Phase(seconds=1.0, domains={"cpu:0": joules(1.0)})
    cells = from_trials([trial(model="m", inferences=0, phases={"query": unknown})]).cells
    page = printed(audit(cells, 1.0))
    assert set(page["shares"].values()) == {None}
    assert any("--inferences" in note for note in page["notes"])


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), max_size=10))
def test_correlations_lie_between_minus_one_and_one(pairs: list[tuple[float, float]]) -> None:
    r = pearson(pairs)
    assert r is None or -1 <= r <= 1


def test_why_there_is_no_correlation() -> None:
    def notes(count: int) -> tuple[str, ...]:
        cells = from_trials(trial(36.0 + i, cell=cell(f"m{i}")) for i in range(count)).cells
        return audit(cells, 1.0).notes

    assert "fewer than 3 cells with energy and duration: no correlation" in notes(2)
    assert "energy or duration is the same in all cells: no correlation" in notes(3)


def test_correlations_of_lines() -> None:
    assert pearson([(1, 2), (2, 4), (3, 6)]) == pytest.approx(1)
    assert pearson([(1, 6), (2, 4), (3, 2)]) == pytest.approx(-1)
    assert pearson([(1, 1), (2, 1), (3, 1)]) is None
    assert pearson([(1, 2), (2, 4)]) is None


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 6))
        | st.tuples(st.floats(0, 1), st.floats(0, 1))
    )
)
def test_taus_are_scipys(pairs: list[tuple[float, float]]) -> None:
    from scipy.stats import kendalltau

    found = _tau(pairs)
    if len(pairs) < 2:
        assert found is None
        return
    expected = float(kendalltau([a for a, _ in pairs], [b for _, b in pairs]).statistic)
    assert found == (None if math.isnan(expected) else pytest.approx(expected, abs=2e-12))
