"""The explorer's visitor is a stranger: whatever is asked, the store stays as it was, byte for
byte, and the server goes on. What is refused and how is tested in tests/explorer."""

from __future__ import annotations

import hashlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from permille.errors import UsageError
from permille.explorer.page import asset
from permille.store import Store
from tests.conftest import PATIENCE_S
from tests.faults.conftest import as_nobody
from tests.records import trial

pytestmark = pytest.mark.slow

_SHORT = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that cannot be written, with a store in it that cannot either."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    with Store(folder / "permille.db") as store:
        store.add_many((trial(36.0 + i, repeat=i, uid=f"t{i}"), None) for i in range(3))
    (folder / "permille.db").chmod(0o400)
    folder.chmod(0o500)
    return folder


@pytest.fixture
def port(folder: Path, environment: dict[str, str]) -> Iterator[int]:
    """Of an explorer that serves the folder's store, without root's right to write anywhere."""
    try:
        asset("explorer.js")
    except UsageError as error:
        pytest.skip(str(error))
    command = ["explore", "--no-open", "--port", "0", "--store", str(folder / "permille.db")]
    process = subprocess.Popen(
        as_nobody(sys.executable, "-m", "permille", *command),
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        found = re.search(r"127\.0\.0\.1:(\d+)/", process.stdout.readline())
        assert found
        yield int(found[1])
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def _state(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def _ask(port: int, path: str, method: str = "GET") -> int:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(head.encode("ascii"))
        found = b""
        while chunk := connection.recv(65536):
            found += chunk
    return int(found.split(b" ", 2)[1])


_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"]
_NAMES = ["task", "model", "search", "study", "boundary", "region", "pue", "net", "year", "x"]
_HOSTILE = st.text(max_size=30) | st.sampled_from([
    "'; DROP TABLE trial; --", "../../etc/passwd", "%00", "nan", "-1", "1e999", "\u202e",
    "<script>", "/run/t0", "t0",
])  # fmt: skip


def test_whatever_is_asked_the_store_stays_as_it_was(port: int, folder: Path) -> None:
    before = _state(folder)

    @_SHORT
    @given(
        method=st.sampled_from(_METHODS),
        place=st.sampled_from(["/", "/rows.json", "/rows.csv", "/rows.parquet", "/document.json",
                               "/trials/", "/run/", "/static/", "/nothing"]),
        more=_HOSTILE,
        query=st.dictionaries(st.sampled_from(_NAMES), _HOSTILE, max_size=4),
    )  # fmt: skip
    def asked(method: str, place: str, more: str, query: dict[str, str]) -> None:
        path = place + (quote(more, safe="") if place.endswith("/") else "")
        path += "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        status = _ask(port, path, method)
        assert status < 500
        if method not in ("GET", "HEAD"):
            assert status == 405

    asked()
    assert _ask(port, "/rows.json") == 200
    assert _state(folder) == before


@_SHORT
@given(data=st.binary(min_size=1, max_size=300))
def test_what_is_no_request_is_no_harm(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(data)
    assert _ask(port, "/") == 200


def test_a_head_without_end_is_cut_off(port: int) -> None:
    """It is not taken in for ever: the server closes long before 64 MB."""
    head = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX: ".encode()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(head)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connection.sendall(b"x" * 64_000_000)
    assert _ask(port, "/") == 200
