"""Requests that permille itself sent late, as the commands tell of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from permille.store import Store
from tests.analysis.test_schedule_lag import late
from tests.conftest import Permille

NOTE = "permille itself sent requests late in 3 of 3 trials (95 % within 12 ms, at most 1.5 s)"


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    with Store(tmp_path / "permille.db") as store:
        store.add_many((one, None) for one in late(0.012, 1.5))
    return tmp_path


def test_results_have_one_line_and_the_lag(permille: Permille, stored: Path) -> None:
    printed = permille("results").out
    assert printed.count("sent requests late") == 1
    assert f"m on reviews: {NOTE}: the latency includes this delay" in printed
    (row,) = permille("results", "--json").json["rows"]
    assert row["schedule_lag_s"] == pytest.approx({"p50": 0.0, "p95": 0.012, "most": 1.5})
    exported = permille("export", "csv", "-").out.splitlines()
    columns = dict(zip(*(line.split(",") for line in exported[:2]), strict=False))
    assert float(columns["schedule_lag_p95_s"]) == pytest.approx(0.012)


def test_slo_says_why_it_cannot_tell(permille: Permille, stored: Path) -> None:
    printed = permille("slo", "--latency-p95", "500ms", code=5).out
    assert f"m: {NOTE}" in printed
    assert "cannot tell (p95 to the whole answer: permille itself sent requests late" in printed
    (point,) = permille("slo", "--latency-p95", "500ms", "--json", code=5).json["points"]
    assert point["meets"] is None
    assert point["schedule_lag_s"]["most"] == 1.5
    assert any(NOTE in note for note in point["notes"])


def test_a_trial_shows_its_lag(permille: Permille, stored: Path) -> None:
    printed = permille("trial", "late-0").out
    assert "schedule lag (s)" in printed
    assert "permille itself sent requests late (95 % within 12 ms, at most 1.5 s)" in printed
