"""The quick JSON is what the standard library writes."""

from __future__ import annotations

import json
import re
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.output import json_pieces, json_text, ready_json_pieces
from permille.records import JsonOutput, Record

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


class _Row(Record):
    value: object
    more: dict[str, object] = {}


class _Table(JsonOutput):
    rows: tuple[_Row, ...]
    about: object = None


class _RowsLast(JsonOutput):
    about: object
    rows: tuple[_Row, ...]


class _Short(JsonOutput, omit_defaults=True):
    about: object = None


@given(st.lists(st.builds(_Row, value=VALUES), max_size=3), VALUES, st.booleans())
def test_it_is_what_the_standard_library_writes(
    rows: list[_Row], about: object, ascii_only: bool
) -> None:
    for output in (_Table(rows=tuple(rows), about=about), _Short(about=about), _Short()):
        _is_as_the_standard_library_writes(output, ascii_only)


@pytest.mark.parametrize("count", [0, 199, 200, 201, 400, 1001])
def test_many_rows_are_written_in_pieces(count: int) -> None:
    rows = tuple(
        _Row(value=number, more={"é": [number / 7, {}], "[": []}) for number in range(count)
    )
    for output in (_Table(rows=rows, about={"a": [1, 2]}), _RowsLast(rows=rows, about=[])):
        _is_as_the_standard_library_writes(output, False)
        assert len(list(json_pieces(output))) >= count // 200
        assert list(ready_json_pieces(output)) == list(json_pieces(output))


def test_nothing_is_printed_of_what_is_refused_in_the_end() -> None:
    rows = (*(_Row(value=number) for number in range(1000)), _Row(value=float("nan")))
    with pytest.raises(ValueError, match="not JSON compliant"):
        ready_json_pieces(_Table(rows=rows))  # before any piece is taken


def _is_as_the_standard_library_writes(output: Record, ascii_only: bool) -> None:
    """But for how numbers are spelled: 0.00002 for 2e-05."""
    payload = msgspec.to_builtins(output)
    text = json_text(output, ascii_only=ascii_only)
    expected = json.dumps(payload, indent=2, ensure_ascii=ascii_only)
    assert json.loads(text) == json.loads(expected)
    assert _NUMBER.sub("0", text) == _NUMBER.sub("0", expected)


_NUMBER = re.compile(r"(?<=[ \d])-?\d[\d.]*(e[+-]?\d+)?")


def test_a_file_name_that_is_not_utf8_is_written() -> None:
    output = _Short(about="caf\udce9.db")
    assert json.loads(json_text(output, ascii_only=True))["about"] == "caf\udce9.db"
    assert "caf\udce9.db" in json_text(output)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -float("nan")])
def test_what_is_no_json_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text(_Table(rows=(_Row(value=value),)))


def test_bytes_that_look_like_no_number_are_written() -> None:
    """The mark of what is not finite may be within another number."""
    tricky = struct.unpack(">d", bytes.fromhex("3fcb7ff0cb7ff012"))[0]
    assert json.loads(json_text(_Table(rows=(_Row(value=tricky),))))["rows"][0]["value"] == tricky
