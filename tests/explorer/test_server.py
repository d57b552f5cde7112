"""The server: it reads, on loopback, and trusts no request."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from permille.errors import StoreError
from permille.explorer.figures import Figures
from permille.explorer.rows import question
from permille.explorer.server import app
from tests.conftest import Permille
from tests.explorer.conftest import FORMULA, HOSTILE, Served


def test_the_page_comes_with_a_strict_policy(served: Served) -> None:
    status, headers, body = served.ask("/")
    assert status == 200
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert b"<script>" not in body  # nothing inline
    assert "server" not in headers


@pytest.mark.parametrize("path", ["/", "/document.json", "/rows.csv", "/static/modules.js"])
def test_a_name_that_is_not_this_machine_is_refused(served: Served, path: str) -> None:
    for host in ("evil.example", f"evil.example:{served.port}", "127.0.0.1", "127.0.0.1:1", ""):
        status, headers, body = served.ask(path, headers={"Host": host})
        assert status == 421, host
        assert b"cells" not in body
        assert "content-security-policy" in headers


@pytest.mark.parametrize("host", ["localhost", "[::1]", "LOCALHOST"])
def test_the_names_of_this_machine_are_served(served: Served, host: str) -> None:
    assert served.ask("/", headers={"Host": f"{host}:{served.port}"})[0] == 200


def test_another_sites_script_is_refused_but_a_link_is_followed(served: Served) -> None:
    ask = served.ask
    assert ask("/document.json", headers={"Origin": "https://evil.example"})[0] == 403
    assert ask("/document.json", headers={"Origin": "null"})[0] == 403
    own = f"http://127.0.0.1:{served.port}"
    assert ask("/document.json", headers={"Origin": own})[0] == 200
    fetched = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert ask("/document.json", headers=fetched)[0] == 403
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert ask("/", headers=followed)[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_written(served: Served, method: str) -> None:
    for path in ("/", "/document.json", "/rows.csv"):
        assert served.ask(path, method)[0] == 405


def test_head_says_what_get_would(served: Served) -> None:
    status, headers, body = served.ask("/document.json", "HEAD")
    assert (status, body) == (200, b"")
    assert headers["content-type"] == "application/json"


def test_what_is_too_long_is_refused(served: Served) -> None:
    assert served.ask("/rows.csv?search=" + "x" * 9000)[0] == 414
    status, _, body = served.ask("/rows.csv?task=" + "x" * 400)
    assert status == 400
    assert "300 characters" in json.loads(body)["error"]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("boundary=moon", "boundary must be one of"),
        ("pue=0.5", "PUE"),
        ("pue=nan", "number"),
        ("intensity=-1", "intensity is a number"),
        ("region=Atlantis", "Atlantis"),
        ("year=1066", "1066"),
        ("least=x", "least is a number"),
    ],
)
def test_a_setting_that_means_nothing_is_refused_in_a_line(
    served: Served, query: str, reason: str
) -> None:
    status, _, body = served.ask(f"/rows.json?{query}")
    assert status == 400
    said = json.loads(body)["error"]
    assert reason in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "value", ["' OR 1=1 --", "'; DROP TABLE cell; --", "x') UNION SELECT 1 --", "%", "\x00"]
)
def test_a_hostile_filter_matches_nothing_and_changes_nothing(served: Served, value: str) -> None:
    whole = served.ask("/rows.json")[2]
    for name in ("task", "model", "search", "study"):
        status, _, body = served.ask(f"/rows.json?{urlencode({name: value})}")
        assert status == 200
        if name != "model":  # which is no filter: the whole comes, as without it
            assert json.loads(body)["rows"] == []
    assert served.ask("/rows.json")[2] == whole


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/static/../store.py",
        "/static/%2e%2e/x",
        "/run/none",
        "/trials/none",
        "/answer-times/none",
        "/rows.exe",
        "/static/licences.json",
    ],
)
def test_there_is_nothing_else(served: Served, path: str) -> None:
    assert served.ask(path)[0] == 404


def test_rows_are_those_of_the_command_line(
    served: Served, permille: Permille, store: Path
) -> None:
    asked = {"boundary": "facility", "region": "FRA", "pue": "1.3", "origin": "store"}
    rows = json.loads(served.ask(f"/rows.json?{urlencode(asked)}")[2])["rows"]
    said = permille(
        *("results", "--json", "--store", str(store)),
        *("--boundary", "facility", "--region", "FRA", "--pue", "1.3"),
    ).json
    assert len(rows) == len(said["rows"])
    for found, expected in zip(rows, said["rows"], strict=True):
        assert found["model"] == expected["model"]
        for name in ("kwh_per_1000", "co2e_g_per_1000"):
            for suffix, key in (("", "value"), ("_low", "low"), ("_high", "high")):
                assert same(found[name + suffix], expected[name][key])
        assert found["intensity_g_per_kwh"] == said["carbon"]["intensity_g_per_kwh"]


def same(a: float | None, b: float | None) -> bool:
    """Equal, but for the order of the multiplications."""
    if a is None or b is None:
        return a is b
    return a == pytest.approx(b, rel=1e-12)


def test_csv_holds_no_formula(served: Served) -> None:
    status, headers, body = served.ask("/rows.csv?origin=store")
    assert status == 200
    assert headers["content-disposition"] == 'attachment; filename="permille.csv"'
    models = [row["model"] for row in csv.DictReader(io.StringIO(body.decode()))]
    assert f"'{FORMULA}" in models
    assert HOSTILE in models
    assert not [m for m in models if m.startswith(("=", "+", "-", "@"))]


def test_parquet_holds_what_json_does(served: Served, tmp_path: Path) -> None:
    import duckdb

    file = tmp_path / "rows.parquet"
    file.write_bytes(served.ask("/rows.parquet?task=text-classification&region=SWE")[2])
    rows = json.loads(served.ask("/rows.json?task=text-classification&region=SWE")[2])["rows"]
    with duckdb.connect() as db:
        found = db.execute("SELECT * FROM read_parquet(?)", [str(file)])
        names = [column[0] for column in found.description]
        assert [dict(zip(names, row, strict=True)) for row in found.fetchall()] == rows
    assert rows


def test_the_document_is_not_sent_twice(served: Served) -> None:
    tag = served.ask("/document.json")[1]["etag"]
    assert served.ask("/document.json", headers={"If-None-Match": tag})[0] == 304


def test_a_run_is_drilled_down_to(served: Served) -> None:
    found = json.loads(served.ask(f"/run/{quote('small-3')}")[2])
    assert [s["name"] for s in found["spans"]] == ["idle", "query"]
    watts = [w for _, w in found["power"][0]["points"]]
    assert watts[0] == pytest.approx(5.0)
    assert watts[-1] == pytest.approx(50.0)


def test_the_page_is_sent_before_the_figures_are_read(store: Path, built: None) -> None:
    figures = Figures(store)
    sent: list[dict[str, Any]] = []

    async def ask(path: str) -> None:
        headers = [(b"host", b"127.0.0.1:8421")]
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b""}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await app(figures, 8421)({**scope, "headers": headers}, receive, send)  # type: ignore[arg-type]

    asyncio.run(ask("/"))
    assert sent[0]["status"] == 200
    assert b"Loading the figures" in sent[1]["body"]
    assert not vars(figures)["_state"]
    asyncio.run(ask("/document.json"))
    state = vars(figures)["_state"]
    assert state._rows is None  # only a download needs them
    with closing(state.rows) as rows:
        assert len(rows.records(question({}))) > 300


def test_a_store_that_is_not_one_is_said_at_once(
    permille: Permille, tmp_path: Path, built: None
) -> None:
    path = tmp_path / "text.db"
    path.write_text("this is no database, and never was one" * 100)
    found = permille("explore", "--no-open", "--store", str(path), code=2)
    assert "text.db" in found.err


def test_a_store_in_a_folder_that_is_not_there_is_refused(
    permille: Permille, tmp_path: Path, built: None
) -> None:
    path = tmp_path / "nowhere" / "none.db"
    found = permille("explore", "--no-open", "--store", str(path), code=2)
    assert "there is no store" in found.err


def test_a_store_is_waited_for_but_one_that_is_gone_is_an_error(
    tmp_path: Path, store: Path, built: None
) -> None:
    path = tmp_path / "later.db"
    figures = Figures(path)
    first, revision = figures.state(), figures.revision()
    assert json.loads(first.document)["store_exists"] is False
    assert {c.origin for c in first.cells} == {"shipped"}
    shutil.copy(store, path)
    assert figures.revision() != revision
    assert json.loads(figures.state().document)["store_exists"] is True
    assert {c.origin for c in figures.state().cells} == {"shipped", "store"}
    path.unlink()
    with pytest.raises(StoreError, match="there is no store"):
        figures.state()


def test_a_port_that_is_taken_is_said(permille: Permille, served: Served) -> None:
    found = permille("explore", "--no-open", "--port", str(served.port), code=2)
    assert "choose another with --port" in found.err
