"""A store as data frames of each library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import permille
from permille.analysis.comparison import Comparison
from permille.errors import CarbonError, CompareError, StoreError, UsageError
from permille.notebook.frames import FRAMES, FrameLibrary, frame_of

slow = pytest.mark.slow  # the libraries are not in every environment, and import slowly


@slow
@pytest.mark.parametrize("library", list(FRAMES))
def test_narwhals_reads_the_frames_of_every_library(store: Path, library: FrameLibrary) -> None:
    import narwhals as nw

    results = nw.from_native(permille.results(store, region="FRA", frame=library))
    (mini,) = results.filter(nw.col("model") == "MiniLM").rows(named=True)
    assert mini["kwh_per_1000"] == pytest.approx(37 / 3.6e6)
    assert mini["kwh_per_1000_low"] < mini["kwh_per_1000"] < mini["kwh_per_1000_high"]
    assert (mini["done"], mini["failed"], mini["provenance"]) == (3, 1, "measured")
    assert mini["co2e_g_per_1000"] == pytest.approx(mini["kwh_per_1000"] * mini["g_per_kwh"])
    trials = nw.from_native(permille.trials(store, frame=library))
    assert len(trials) == 7
    (failed,) = trials.filter(nw.col("status") == "failed").rows(named=True)
    assert failed["reason"] == "out of memory"
    done = trials.filter(nw.col("model") == "MiniLM", nw.col("status") == "done")
    assert done["energy_j"].to_list() == [36.0, 37.0, 38.0]


@slow
@pytest.mark.parametrize("library", list(FRAMES))
def test_what_is_missing_is_null_in_every_library(store: Path, library: FrameLibrary) -> None:
    import narwhals as nw

    results = nw.from_native(permille.results(store, frame=library))
    trials = nw.from_native(permille.trials(store, frame=library))
    nulls = {name: results[name].is_null().sum() for name in results.columns}
    if library == "pandas":  # in floats of pandas, NaN is what is missing
        floats = [name for name in results.columns if results[name].dtype == nw.Float64]
        nulls |= {name: int(results[name].is_null().sum()) for name in floats}
    assert nulls["batch_size"] == nulls["quality"] == 1
    assert nulls["params"] == nulls["net_kwh_per_1000"] == nulls["weights"] == 2
    assert results["batch_size"].dtype == nw.Int64
    assert trials["disturbed"].is_null().sum() == len(trials)
    assert trials["disturbed"].dtype == nw.Boolean
    assert trials["energy_j"].is_null().sum() == trials["problem"].is_null().sum() - 5 == 1


def test_the_columns_are_those_that_the_page_names() -> None:
    from permille.exporters.rows import TYPES
    from permille.notebook.stores import _TRIAL_TYPES

    page = (Path(__file__).parents[2] / "docs" / "notebook.md").read_text(encoding="utf-8")
    ends = ("_low", "_high")
    names = {*TYPES, *_TRIAL_TYPES}
    missing = [n for n in names if not n.endswith(ends) and f"`{n}`" not in page]
    assert missing == []


def test_a_value_of_another_type_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match="batch_size is 'eight'"):
        frame_of({"batch_size": ["eight"]}, {"batch_size": int}, "pandas")


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(UsageError, match="pip install polars; or use frame='pandas' or 'pyarrow'"):
        frame_of({"a": []}, {"a": int}, "polars")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"boundary": "room"}, UsageError, "no boundary 'room'"),
        ({"frame": "excel"}, UsageError, "no frames of 'excel'"),
        ({"study": "stuyd"}, UsageError, "no study 'stuyd' in .*did you mean 'study'"),
        ({"region": "XX"}, CarbonError, "XX"),
        ({"store": "s3://bucket/store"}, UsageError, "is not a file; the command line reads"),
        ({"store": "none.db"}, StoreError, "none.db"),
    ],
)
def test_wrong_arguments_are_one_line(
    store: Path, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as refused:
        permille.results(**({"store": store} | arguments))
    assert "\n" not in str(refused.value)


def test_a_comparison_is_the_commands(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERMILLE_STORE", str(store))
    comparison = permille.compare("Smol", "MiniLM")
    assert isinstance(comparison, Comparison)
    assert comparison.ratio.value == pytest.approx(760 / 37, rel=0.01)
    assert repr(comparison).startswith("<Comparison: 'SmolLM2' needs 20.5 [")
    assert "compute, measured" in repr(comparison)
    with pytest.raises(CompareError, match="no results for a model 'GPT'"):
        permille.compare("GPT", "MiniLM")
