"""The quick JSON is byte for byte what the standard library writes."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.output import json_text
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


class _Short(JsonOutput, omit_defaults=True):
    about: object = None


@given(st.lists(st.builds(_Row, value=VALUES), max_size=3), VALUES, st.booleans())
def test_it_is_what_the_standard_library_writes(
    rows: list[_Row], about: object, ascii_only: bool
) -> None:
    for output in (_Table(rows=tuple(rows), about=about), _Short(about=about), _Short()):
        payload = msgspec.to_builtins(output)
        expected = json.dumps(payload, indent=2, ensure_ascii=ascii_only)
        assert json_text(output, ascii_only=ascii_only) == expected


def test_a_file_name_that_is_not_utf8_is_written() -> None:
    output = _Short(about="caf\udce9.db")
    assert json.loads(json_text(output, ascii_only=True))["about"] == "caf\udce9.db"
    assert "caf\udce9.db" in json_text(output)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_json_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text(_Table(rows=(_Row(value=value),)))
