"""Plugs and BMCs: a local server that answers as the devices document."""

from __future__ import annotations

import base64
import json
import shlex
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.errors import UsageError
from permille.meters import MeterUnavailable
from permille.meters.wall import meter as wall_module
from permille.meters.wall.meter import open_meter
from permille.meters.wall.source import parse_source, take
from tests.dripping import dripping

SHELLY = {
    "id": 0,
    "source": "init",
    "output": True,
    "apower": 87.3,
    "voltage": 232.0,
    "current": 0.41,
    "aenergy": {"total": 2345.678, "by_minute": [1.0, 2.0, 3.0], "minute_ts": 1626935779},
    "temperature": {"tC": 53.3, "tF": 127.9},
}
TASMOTA = {
    "StatusSNS": {
        "Time": "2026-01-01T00:00:00",
        "ENERGY": {"Total": 3.185, "Yesterday": 3.058, "Today": 0.127, "Power": 142},
    }
}
REDFISH = {
    "@odata.type": "#Power.v1_5_3.Power",
    "PowerControl": [{"Name": "Server Power Control", "PowerConsumedWatts": 150}],
}
METRICS = {
    "@odata.type": "#EnvironmentMetrics.v1_3_0.EnvironmentMetrics",
    "PowerWatts": {"DataSourceUri": "/x", "Reading": 374},
    "EnergykWh": {"Reading": 7855},
}


class Device(BaseHTTPRequestHandler):
    """Answers by path; some answers are wrong on purpose."""

    answers: dict[str, object] = {
        "/rpc/Switch.GetStatus?id=0": SHELLY,
        "/rpc/Switch.GetStatus?id=2": SHELLY | {"apower": 5.0},
        "/cm?cmnd=Status%208": TASMOTA,
        "/redfish/v1/Chassis/1/EnvironmentMetrics": METRICS,
        "/text": b"<html>",
        "/nan": b'{"w": NaN}',
        "/deep": b"[" * 100_000,
        "/null": {"w": None},
        "/minus": {"w": -1},
        "/huge": {"w": 10**400},
        "/true": {"w": True},
        "/string": {"w": "12"},
        "/large": b" " * (1 << 21) + b"{}",
    }

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(600)
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/rpc/Switch.GetStatus?id=0")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        answer = self.answers.get(self.path)
        if self.path == "/redfish/v1/Chassis/1/Power":
            wanted = "Basic " + base64.b64encode(b"ro:se/cret").decode()
            answer = REDFISH if self.headers.get("Authorization") == wanted else 401
        if answer is None or answer == 401:
            self.send_error(404 if answer is None else 401)
            return
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # the reader had enough of it

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test's output is the test's."""


def serve(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Device)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    yield from serve()


@pytest.mark.parametrize(
    ("url", "power_w", "energy_j"),
    [
        ("shelly+http://127.0.0.1:PORT", 87.3, None),
        ("shelly+http://127.0.0.1:PORT/#id=2", 5.0, None),
        ("shelly+http://127.0.0.1:PORT#quantity=energy", None, 2345.678 * 3600),
        ("tasmota+http://127.0.0.1:PORT", 142.0, None),
        ("tasmota+http://127.0.0.1:PORT#quantity=energy", None, 3.185 * 3.6e6),
        ("redfish+http://ro:se%2Fcret@127.0.0.1:PORT", 150.0, None),
        (
            "redfish+http://127.0.0.1:PORT/redfish/v1/Chassis/1/EnvironmentMetrics",
            374.0,
            None,
        ),
        ("http://127.0.0.1:PORT/cm?cmnd=Status%208#power_w=StatusSNS.ENERGY.Power", 142.0, None),
        (
            "http://127.0.0.1:PORT/redfish/v1/Chassis/1/EnvironmentMetrics"
            "#energy_kwh=EnergykWh.Reading",
            None,
            7855 * 3.6e6,
        ),
        ("http://127.0.0.1:PORT/rpc/Switch.GetStatus?id=0#power_w=aenergy.by_minute.1", 2.0, None),
    ],
)
def test_devices(
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    power_w: float | None,
    energy_j: float | None,
) -> None:
    monkeypatch.setenv("PERMILLE_WALL", url.replace("PORT", str(port)))
    meter = open_meter()
    assert meter.slow
    (domain,) = meter.domains
    assert (domain.name, domain.kind, domain.provenance) == ("node", "node", "measured")
    assert set(domain.covers) >= {"cpu", "dram", "gpu"}
    assert domain.device == f"{url.split('+')[0] if '+' in url else 'device'} at 127.0.0.1:{port}"
    before = time.monotonic_ns()
    (reading,) = meter.read()
    assert before <= reading.t_ns <= time.monotonic_ns()
    assert reading.power_w == power_w
    assert reading.energy_j == pytest.approx(energy_j)
    meter.close()


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/absent", "404"),
        ("/redfish/v1/Chassis/1/Power", "401"),
        ("/moved", "302"),
        ("/text", "Expecting value"),
        ("/deep", "too deeply"),
        ("/nan", "'w' is nan"),
        ("/null", "'w' is not a number"),
        ("/true", "'w' is not a number"),
        ("/string", "'w' is not a number"),
        ("/minus", "'w' is -1"),
        ("/huge", "'w' is too large"),
        ("/large", "over 1 MiB"),
        ("/cm?cmnd=Status%208", "no 'w' in 'it'"),
        ("/slow", "timed out"),
    ],
)
def test_what_is_no_figure_is_an_error(
    port: int, monkeypatch: pytest.MonkeyPatch, path: str, problem: str
) -> None:
    monkeypatch.setattr(wall_module, "TIMEOUT_S", 0.3 if path == "/slow" else 10)
    monkeypatch.setenv("PERMILLE_WALL", f"http://me:hunter2@127.0.0.1:{port}{path}#power_w=w")
    with pytest.raises(MeterUnavailable, match=problem) as raised:
        open_meter()
    assert "hunter2" not in str(raised.value)


def test_a_device_that_drips_meets_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wall_module, "TIMEOUT_S", 0.3)
    for head in (b"HTTP/1.1 200 OK\r\nX-Slow:", b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"):
        with dripping(head) as port:
            monkeypatch.setenv("PERMILLE_WALL", f"http://127.0.0.1:{port}/#power_w=w")
            with pytest.raises(MeterUnavailable, match=r"timed out|did not arrive in time"):
                open_meter()


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setenv("PERMILLE_WALL", f"shelly+http://127.0.0.1:{port}")
        with pytest.raises(MeterUnavailable, match="refused"):
            open_meter()
    monkeypatch.delenv("PERMILLE_WALL")
    with pytest.raises(MeterUnavailable, match="no plug or BMC"):
        open_meter()


def test_a_certificate_is_verified_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *shlex.split("openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=bmc"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    for port in serve(context):
        monkeypatch.setenv("PERMILLE_WALL", f"redfish+https://ro:se%2Fcret@127.0.0.1:{port}")
        with pytest.raises(MeterUnavailable, match="certificate"):
            open_meter()
        monkeypatch.setenv(
            "PERMILLE_WALL", f"redfish+https://ro:se%2Fcret@127.0.0.1:{port}#verify=no"
        )
        meter = open_meter()
        assert meter.read()[0].power_w == 150
        assert "not verified" in meter.observe(frozenset()).notices[0][1]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("192.168.1.20", "not a URL"),
        ("ftp://host", "not a URL"),
        ("http://[", "not a URL"),
        ("http://host:99999", "not a URL"),
        ("shely+http://host", "did you mean 'shelly'"),
        ("http://host/status", "#power_w=a.b"),
        ("http://host#power_w=a&energy_j=b", "name one of"),
        ("shelly+http://host#quantity=heat", "power or energy"),
        ("redfish+http://host#quantity=energy", "no energy counter"),
        ("shelly+http://host#accuracy=-1", "not a positive number"),
        ("shelly+http://host#tick=nan", "not a positive number"),
        ("shelly+http://host#id=a", "switch's number"),
        ("shelly+http://host#verify=maybe", "yes or no"),
        ("shelly+http://host#acuracy=0.01", "unknown option 'acuracy'"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_source(text)
    assert hint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_stated_accuracy() -> None:
    stated = parse_source("shelly+http://host#accuracy=0.01&tick=0.5")
    assert (stated.accuracy, stated.stated, stated.tick_s) == (0.01, True, 0.5)
    assert not parse_source("shelly+http://host").stated


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.lists(st.text() | st.integers(0, 3).map(str), min_size=1, max_size=4),
)
def test_any_answer_gives_a_good_number_or_a_value_error(answer: object, path: list[str]) -> None:
    try:
        value = take(answer, tuple(path))
    except ValueError:
        return
    assert 0 <= value < float("inf")
