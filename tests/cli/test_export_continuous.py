"""``permille export bencher`` and ``github-action-benchmark``: values with their ranges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from permille.cli import dispatch
from permille.errors import UsageError
from permille.store import Store
from permille.units import joules_from_kwh, kwh_from_wh
from tests.records import cell, trial

NAME = "small: text-classification on reviews (compute, measured)"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A model, one with a hostile name, and one with a single trial."""
    path = tmp_path / "permille.db"
    with Store(path) as opened:
        for repeat in range(2):
            opened.add(trial(36.0 + 2 * repeat, model="small", repeat=repeat))
            opened.add(trial(36.0, model='evil"\x1b[2J\n', repeat=repeat))
        opened.add(trial(9.0, model="once"))
    return path


def export(store: Path, format_name: str) -> Any:
    file = store.parent / "out.json"
    assert dispatch(["export", format_name, str(file), "--store", str(store)]) == 0
    return json.loads(file.read_text(encoding="utf-8"))


def test_bencher_gets_lower_and_upper_values(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = export(store, "bencher")
    assert "1 row is left out: no figure with an interval" in capsys.readouterr().err
    assert len(document) == 2
    assert list(document[NAME]) == ["wh-per-1000-inferences"]
    metric = document[NAME]["wh-per-1000-inferences"]
    assert joules_from_kwh(kwh_from_wh(metric["value"])) == pytest.approx(37.0)
    assert metric["lower_value"] < metric["value"] < metric["upper_value"]
    assert not any("\x1b" in name or "\n" in name for name in document)


def test_github_action_benchmark_gets_name_unit_value_and_range(store: Path) -> None:
    points = {point["name"]: point for point in export(store, "github-action-benchmark")}
    point = points[NAME]
    assert point["unit"] == "Wh / 1,000 inferences"
    assert joules_from_kwh(kwh_from_wh(point["value"])) == pytest.approx(37.0)
    low, _, rest = point["range"].partition(" to ")
    assert float(low) < point["value"] < float(rest.removesuffix(" (95 %)"))
    assert point["extra"].startswith("2 trials, python, ")


def test_figures_that_differ_in_their_batch_size_have_names_of_their_own(store: Path) -> None:
    names = set()
    with Store(store) as opened:
        for size in (1, 8):
            names.add(
                f"other: text-classification on reviews, batches of {size} (compute, measured)"
            )
            batched = cell("other", id=f"batch{size}", settings={"batch_size": size})
            for repeat in range(2):
                one = trial(9.0, uid=f"{size}-{repeat}", repeat=repeat, cell=batched)
                opened.add(msgspec.structs.replace(one, source="codecarbon 3"))
    assert names <= export(store, "bencher").keys()
    assert names <= {one["name"] for one in export(store, "github-action-benchmark")}


def test_another_batch_size_goes_on_with_the_history_of_a_model_that_we_measured(
    store: Path,
) -> None:
    with Store(store) as opened:
        for repeat in range(2):
            batched = cell("small", id="batched", settings={"batch_size": 8})
            opened.add(trial(9.0, uid=f"batched{repeat}", repeat=repeat, cell=batched))
    assert NAME in export(store, "bencher")


def test_two_figures_of_one_name_are_refused(store: Path) -> None:
    with Store(store) as opened:
        for repeat in range(2):
            other = cell("small", id="other")
            opened.add(trial(9.0, uid=f"other{repeat}", repeat=repeat, cell=other, study="another"))
    with pytest.raises(UsageError, match=r"2 figures .* choose one with --study"):
        export(store, "bencher")
