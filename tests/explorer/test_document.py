"""The document: what the page computes with is what the command line computes with."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial.chebyshev import chebval

from permille.analysis.student import LOG_SERIES, student_t
from permille.analysis.study_cells import METERED
from permille.errors import UsageError
from permille.explorer import cells, columns, document, run_shapes, runs, shapes
from permille.explorer.page import asset, escape_json
from permille.records.energy import BOUNDARIES
from permille.store import Store
from tests.records import trial

COEFFICIENTS = LOG_SERIES
VALUES = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text()


def unpacked(columns: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Columns as the page reads them."""

    def read(column: Any, i: int) -> Any:
        if isinstance(column, list):
            return column[i]
        if i < column.get("from", 0):
            return read(column["before"], i)
        if "as" in column:
            return read(columns[column["as"]], i)
        return column["all"] if "all" in column else column["of"][column["at"][i]]

    return [{name: read(column, i) for name, column in columns.items()} for i in range(count)]


@given(st.lists(st.fixed_dictionaries({"a": VALUES, "b": st.lists(st.text())}), min_size=1))
def test_columns_hold_the_records(records: list[dict[str, Any]]) -> None:
    made = {name: columns.packed([one[name] for one in records]) for name in ("a", "b")}
    sent = json.loads(document.encode(made))
    for found, record in zip(unpacked(sent, len(records)), records, strict=True):
        assert found["b"] == record["b"]
        if isinstance(record["a"], float):
            assert found["a"] == pytest.approx(record["a"], rel=1e-11)
        else:
            assert found["a"] == record["a"]


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1), st.integers(0, 5), st.booleans())
def test_columns_of_boundaries_hold_the_figures(
    pairs: list[tuple[Any, Any]], first: int, same: bool
) -> None:
    """Whether they are the same in two boundaries, from some cell on, or not at all."""
    a, b = ([pair[i] for pair in pairs] for i in (0, 1))
    named = {"compute_mean": a, "node_mean": b[:first] + a[first:] if same else b}
    sent = json.loads(document.encode(columns.of_boundaries(named.items(), first)))
    found = unpacked(sent, len(pairs))
    for name, values in named.items():
        for row, value in zip(found, values, strict=True):
            assert row[name] == (
                pytest.approx(value, rel=1e-11) if isinstance(value, float) else value
            )


def test_a_column_that_stored_cells_share_is_sent_once() -> None:
    shipped, stored = [1.5, 2.5], [3.5, 4.5, 5.5]
    named: dict[str, list[float]] = {
        "compute_mean": [*shipped, *stored],
        "node_mean": [7.5, 8.5, *stored],
        "compute_n": [10, 10, 3, 3, 3],
    }
    assert columns.of_boundaries(named.items(), 2) == {
        "compute_mean": [1.5, 2.5, 3.5, 4.5, 5.5],
        "node_mean": {"as": "compute_mean", "from": 2, "before": [7.5, 8.5]},
        "compute_n": {"all": 3, "from": 2, "before": {"all": 10}},
    }


@given(st.floats(1, 1e9))
def test_the_pages_student_t_is_the_quantile(df: float) -> None:
    found = math.exp(chebval(2 / df - 1, COEFFICIENTS))
    assert found == pytest.approx(student_t(df), rel=1e-8)


def test_it_opens_with_the_shipped_study() -> None:
    shown = cells.shipped()
    found = json.loads(document.encode(document.document(shown, store=None)))
    assert found["cells"]["count"] == len(shown) == 312
    rows = unpacked(found["cells"]["columns"], 312)
    assert len({row["id"] for row in rows}) == 312
    assert {row["origin"] for row in rows} == {"shipped"}
    first, cell = rows[0], shown[0].cell
    for boundary in BOUNDARIES[:3]:
        energy = cell.energy(boundary)
        assert energy is not None
        estimate = energy.estimate()
        assert first[f"{boundary}_mean"] == pytest.approx(estimate.value, rel=1e-11)
        assert first[f"{boundary}_low"] == pytest.approx(estimate.low, rel=1e-11)
        assert first[f"{boundary}_net_mean"] is None


def test_a_stores_name_that_is_not_utf_8_can_be_sent() -> None:
    name = b"caf\xe9 \xf0\x9f\x90\x8d.db".decode("utf-8", "surrogateescape")
    found = document.encode(document.document([], store=name))
    assert json.loads(found.encode())["store"] == name


def test_shipped_and_stored_cells_stand_apart(store: Path) -> None:
    shown = cells.shipped() + cells.of_store(store)
    found = document.document(shown, store="figures.db")
    assert [(s["origin"], s["study"]) for s in found["studies"]] == [
        ("shipped", "power-hungry-2023"),
        ("store", "study"),
        ("store", "study"),
    ]
    assert [s["source"] for s in found["studies"][1:]] == ["permille", "codecarbon"]
    assert cells.of_store(store) == cells.of_store(store)  # ids too: a link stays good


def same(value: Any, shape: Any) -> bool:
    """Whether a value is of a shape and holds nothing that the shape does not name."""
    return bool(json.loads(msgspec.json.encode(msgspec.convert(value, shape))) == value)


def test_what_is_sent_has_the_shapes_that_the_page_is_checked_against(store: Path) -> None:
    shown = cells.shipped() + cells.of_store(store)
    sent = document.document(shown, store="figures.db", damage=["trial x: a bad checksum"])
    found = json.loads(document.encode(sent))
    assert same(found, shapes.Document)
    columns = found["cells"]["columns"]
    for row in unpacked(columns, len(shown)):
        kept = {name: value for name, value in row.items() if not name.startswith("part_")}
        groups: list[tuple[str, Any]] = [("", shapes.PageCell)]
        for boundary in METERED:
            groups += [(f"{boundary}_", shapes.BoundaryColumns)]
            groups += [
                (f"{boundary}_", shapes.FigureColumns),
                (f"{boundary}_net_", shapes.FigureColumns),
            ]
        for prefix, shape in groups:
            names = shape.__annotations__
            assert same({name: kept.pop(prefix + name) for name in names}, shape)
        assert kept == {}, "columns that no shape names"


def test_a_run_has_the_shape_that_the_page_is_checked_against(store: Path) -> None:
    with Store(store, readonly=True) as opened:
        detailed = [runs.run(opened, uid) for uid in ("small-3", "half-0", "broken-0")]
    for run in detailed:
        assert same(json.loads(json.dumps(run)), run_shapes.PageRun)


@pytest.mark.parametrize(
    ("study", "is_named"),
    [("quickstart", True), ("_v1.2-b", True), ("-x", False), ("--help", False), ("a;b", False)],
)
def test_only_a_name_that_is_no_option_is_in_the_command_to_paste(
    study: str, is_named: bool
) -> None:
    words = runs.again(msgspec.structs.replace(trial(), study=study, source="permille"))
    assert words.startswith(f"permille run {study} ") == is_named
    assert is_named or study not in words


def test_the_pages_types_are_those_of_the_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).resolve().parents[2]
    monkeypatch.syspath_prepend(root / "scripts")
    script = importlib.import_module("build_page_types")
    current = script.TARGET.read_text(encoding="utf-8")
    assert current == script.declarations(), "run: python scripts/build_page_types.py"


def test_the_script_itself_does_not_change_how_its_element_ends() -> None:
    try:
        script = asset("explorer.js")
    except UsageError as error:
        pytest.skip(str(error))
    assert "<!--" not in script
    assert "</script" not in script.lower()


@given(st.text())
def test_no_text_ends_the_script_element(text: str) -> None:
    escaped = escape_json(json.dumps({"name": text}, ensure_ascii=False))
    assert "<" not in escaped
    assert json.loads(escaped) == {"name": text}
