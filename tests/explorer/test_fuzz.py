"""Requests of any shape: the server refuses what it must in a line, never fails, never changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.explorer.conftest import Served

pytestmark = pytest.mark.slow

NAMES = [
    *("task", "dataset", "model", "search", "category", "architecture", "provenance", "device"),
    *("study", "origin", "least", "most", "boundary", "net", "region", "year", "intensity", "pue"),
]
HOSTILE = [
    *("' OR 1=1 --", "'; DROP TABLE cell; --", "../../etc/passwd", "%00", "\x00", "nan", "inf"),
    *(
        "-1",
        "1e308",
        "1e999",
        "0x10",
        "١٢",
        "\u202e",
        "{}",
        "[]",
        "null",
        "x" * 301,
        "🌍",
        "\ud7ff",
    ),
    *("compute", "facility", "FRA", "2023", "1.2", "store", "text-classification", "1e9", ""),
]
TEXT = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
FUZZ = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def unchanged(served: Served) -> Iterator[Served]:
    """Whatever was asked in between, the figures are the same."""
    before = [served.ask(path)[2] for path in ("/document.json", "/rows.json")]
    yield served
    assert [served.ask(path)[2] for path in ("/document.json", "/rows.json")] == before


def _sound(status: int, headers: dict[str, str], body: bytes) -> None:
    assert status in (200, 304, 400, 403, 404, 405, 414, 421)
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    if status == 400:
        assert "\n" not in json.loads(body)["error"]
    assert b"Traceback" not in body


@FUZZ
@given(
    st.sampled_from(["json", "csv", "parquet"]),
    st.lists(st.tuples(st.sampled_from(NAMES) | TEXT, TEXT), max_size=6),
)
def test_any_selection_is_answered_or_refused_in_a_line(
    unchanged: Served, kind: str, asked: list[tuple[str, str]]
) -> None:
    status, headers, body = unchanged.ask(f"/rows.{kind}?{urlencode(asked)}")
    _sound(status, headers, body)
    assert status in (200, 400, 414)
    if status == 200 and kind == "json":
        _finite(json.loads(body))


def _finite(found: Any) -> None:
    json.dumps(found, allow_nan=False)


@FUZZ
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]),
    st.sampled_from(["", "trials/", "run/", "static/", "rows.", "document.json", "../", "%2e%2e/"]),
    TEXT,
)
@example("GET", "trials/", "0/")
@example("GET", "run/", "")
def test_any_path_and_method_is_answered(
    unchanged: Served, method: str, start: str, rest: str
) -> None:
    status, headers, body = unchanged.ask(f"/{start}{quote(rest, safe='')}", method)
    _sound(status, headers, body)
    if method not in ("GET", "HEAD"):
        assert status in (404, 405)


@FUZZ
@given(
    st.sampled_from(["Host", "Origin", "Sec-Fetch-Site", "Referer", "If-None-Match", "Range"]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60).map(str.strip),
)
def test_a_strange_header_gives_no_figures_away(unchanged: Served, name: str, value: str) -> None:
    own = [f"{host}:{unchanged.port}" for host in ("127.0.0.1", "localhost", "[::1]")]
    status, headers, body = unchanged.ask("/document.json", headers={name: value})
    if name == "Host" and value.lower() not in own:
        assert status in (400, 421)
        assert b"cells" not in body
    else:
        _sound(status, headers, body)
