"""Rows of a selection: filters are bound, words are safe in a spreadsheet."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.errors import CarbonError, UsageError
from permille.explorer import cells
from permille.explorer.rows import Rows, csv_text, question


@given(st.lists(st.fixed_dictionaries({"a": st.text(), "b": st.none() | st.integers()})))
def test_csv_is_read_back_and_starts_no_formula(records: list[dict[str, object]]) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(records), newline="")))
    assert [r["a"].removeprefix("'") for r in rows] == [
        str(r["a"]).removeprefix("'") for r in records
    ]
    assert not [r for r in rows if r["a"].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]


def test_filters_narrow_the_rows() -> None:
    rows = Rows(cells.shipped())
    try:
        found = rows.records(question({"task": "text-classification", "least": "1e9"}))
        assert found
        assert {row["task"] for row in found} == {"text-classification"}
        assert min(row["params"] for row in found) >= 1e9
        named = rows.records(question({"search": "FLAN-t5-xxl"}))
        assert {row["model"] for row in named} == {"google/flan-t5-xxl"}
        words = rows.records(question({"search": "xxl t5 FLAN"}))
        assert {row["model"] for row in words} == {"google/flan-t5-xxl"}
        assert rows.records(question({"task": "' OR 1=1 --"})) == []
        assert len(rows.records(question({}))) == 312
    finally:
        rows.close()


def test_the_table_reaches_no_file() -> None:
    import duckdb

    rows = Rows(cells.shipped()[:3])
    try:
        with pytest.raises(duckdb.Error):
            rows._db.execute("SELECT * FROM read_csv('/etc/passwd')")
        with pytest.raises(duckdb.Error):
            rows._db.execute("SET enable_external_access = true")
    finally:
        rows.close()


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"boundary": "moon"}, UsageError),
        ({"least": "many"}, UsageError),
        ({"least": "1.01e18"}, UsageError),
        ({"pue": "-1"}, UsageError),
        ({"pue": "0.9"}, CarbonError),
        ({"region": "Atlantis"}, CarbonError),
        ({"search": "x" * 301}, UsageError),
    ],
)
def test_what_means_nothing_is_refused(asked: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        question(asked)


def test_the_most_parameters_of_a_study_file_and_of_the_page_are_taken() -> None:
    assert question({"least": "1e18"}).least_params == 1e18
