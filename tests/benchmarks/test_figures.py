"""The arithmetic of the benchmarks: errors, refusals, intervals; ticks and mean power."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from permille.meters import Reading

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def window(energy_j: float | None, truth_j: float, **more: object) -> dict[str, object]:
    return {"energy_j": energy_j, "truth_j": truth_j, **more}


def test_errors_are_relative_to_the_truth_and_refusals_are_none(load: Any) -> None:
    row = load("accuracy")._row(
        "60 W",
        0.3,
        "permille",
        [
            window(101.0, 100.0, low_j=90.0, high_j=110.0, edge_j=0.4),
            window(97.0, 100.0, low_j=96.0, high_j=99.0, edge_j=2.0),
            window(None, 100.0, reason="reset"),
        ],
    )
    assert (row.windows, row.refused, row.with_interval) == (3, 1, 2)
    assert row.median == pytest.approx(0.02)
    assert row.worst == pytest.approx(-0.03)
    assert (row.outside, row.outside_edges) == (1, 1)
    assert row.reasons == ("reset",)


def test_all_refused_has_no_error(load: Any) -> None:
    row = load("accuracy")._row("reset", 1.0, "permille", [window(None, 1.0, reason="reset")])
    assert row.median is None
    assert row.worst is None
    assert load("report")._errors({"median": None}) == "all refused"


def test_ticks_of_a_counter(load: Any) -> None:
    readings = [Reading("gpu:0", t * 1_000_000, energy_j=t // 20 * 1.4) for t in range(0, 201, 5)]
    found = load("gpu_check").ticks(readings)
    assert found["tick_s"] == pytest.approx(0.02)
    assert found["idle_w"] == pytest.approx(70.0)
    assert found["steps"] == 10
    powers = [Reading("gpu:0", t, power_w=70.0) for t in range(5)]
    assert load("gpu_check").ticks(powers)["tick_s"] is None


def test_the_counter_is_compared_by_mean_power(load: Any) -> None:
    before = Reading("gpu:0", 0, energy_j=5.0)
    after = Reading("gpu:0", 2_000_000_000, energy_j=205.0)
    found = load("gpu_check").compared(before, after, [(0.1, 50.0), (0.6, 150.0), (1.1, 50.0)])
    assert found["counter_w"] == pytest.approx(100.0)
    assert found["power_w"] == pytest.approx(100.0)
    assert found["ratio"] == pytest.approx(1.0)
    gone = Reading("gpu:0", 0, error="lost")
    assert load("gpu_check").compared(before, gone, [(0.0, 1.0), (1.0, 1.0)])["ratio"] is None


def test_a_replica_is_beside_real_weights_by_the_pairs_of_one_repeat(load: Any) -> None:
    found = load("replica_against_real").ratio([(1.0, 2.0), (2.0, 4.0), (4.0, 8.0)])
    assert found == pytest.approx({"value": 0.5, "low": 0.5, "high": 0.5})
    wide = load("replica_against_real").ratio([(2.0, 1.0), (1.0, 2.0)])
    assert wide["value"] == pytest.approx(1.0)
    assert wide["low"] < 0.5 < 2.0 < wide["high"]


def test_texts_are_as_many_tokens_for_every_tokenizer(load: Any, tmp_path: Path) -> None:
    load("replica_against_real").write_texts(tmp_path / "t.jsonl", 14)
    lines = (tmp_path / "t.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    assert len(set(texts)) == len(texts) == 50
    assert {len(text.split()) for text in texts} == {14}
