from __future__ import annotations

import io
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from permille.importers import Options, Tally
from permille.importers.codecarbon.rows import REQUIRED, runs
from permille.importers.reading import rows
from permille.importers.reading.files import Member
from permille.importers.reading.rows import BadValue, number
from tests.importers.codecarbon_files import RUN_COLUMNS, file, row

COLUMNS = RUN_COLUMNS["3.3.2"]


def member(content: bytes) -> Member:
    return Member("f.csv", io.BytesIO(content))


@given(st.binary(max_size=3000))
def test_no_bytes_are_fatal(content: bytes) -> None:
    tally = Tally()
    for tasks in (True, False):
        list(runs(member(content), tally, tasks=tasks))
        list(runs(member(COLUMNS.encode() + b"\n" + content), tally, tasks=tasks))


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first draw of text builds tables
@given(
    st.dictionaries(
        st.sampled_from(COLUMNS.split(",")),
        st.one_of(st.text(max_size=8), st.floats().map(repr), st.integers().map(str)),
        max_size=3,
    )
)
def test_every_row_is_either_a_run_or_named(changed: dict[str, str]) -> None:
    line = row(COLUMNS, **changed).replace("\n", " ").replace("\r", " ") + "\n"
    tally = Tally()
    found = list(
        runs(member((COLUMNS + "\n" + line).encode("utf-8", "replace")), tally, tasks=False)
    )
    assert len(found) + tally.bad_count >= 1
    for (run,) in found:
        assert run.seconds > 0
        assert all(v is None or 0 <= v < math.inf for v in run.energy_kwh.values())


@given(st.lists(st.sampled_from(["good", "cut", "negative", "quote"]), max_size=20))
def test_good_rows_survive_their_neighbours(kinds: list[str]) -> None:
    lines = {
        "good": "",
        "cut": "a,b\n",
        "negative": row(COLUMNS, cpu_energy="-1"),
        "quote": row(COLUMNS, os='"'),
    }
    content = COLUMNS + "\n"
    for i, kind in enumerate(kinds):
        content += lines[kind] or row(COLUMNS, run_id=f"r{i}")
    tally = Tally()
    found = list(runs(member(content.encode()), tally, tasks=False))
    assert len(found) == kinds.count("good")
    assert tally.bad_count == len(kinds) - kinds.count("good")
    assert tally.rows == len(kinds)


def test_a_line_without_end_costs_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_LINE", 2000)
    content = COLUMNS + "\n" + "x" * 10_000 + "\n" + row(COLUMNS)
    tally = Tally()
    assert len(list(runs(member(content.encode()), tally, tasks=False))) == 1
    assert "over 2000 characters" in tally.bad[0].reason


def test_a_field_that_csv_does_not_take_is_named() -> None:
    tally = Tally()
    content = f"a,b\n1,{'x' * 200_000}\n1,2\n".encode()
    assert [at for at, _ in rows.rows(member(content), tally, ("a",))] == [3]
    assert "a field of over 131,072 characters" in tally.bad[0].reason


def test_other_delimiters() -> None:
    content = file("3.3.2", {}).replace(",", ";")
    assert len(list(runs(member(content.encode()), Tally(), tasks=False))) == 1


def test_line_breaks_within_fields_where_they_are_allowed() -> None:
    content = b'a,b\n1,"two\nlines"\n3,4\n'
    found = list(rows.rows(member(content), Tally(), ("a",), breaks_in_fields=True))
    assert [r for _, r in found] == [{"a": "1", "b": "two\nlines"}, {"a": "3", "b": "4"}]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_as_written(value: float) -> None:
    assert number({"x": repr(value)}, "x") == value


@pytest.mark.parametrize("text", ["inf", "-inf", "1e400", "one", "1,5", "--1"])
def test_what_is_not_a_finite_number_is_bad(text: str) -> None:
    with pytest.raises(BadValue):
        number({"x": text}, "x")


def test_required_columns_are_those_the_importer_needs() -> None:
    assert set(REQUIRED) <= set(COLUMNS.split(","))
    assert Options().query_task == "query model"
