"""The live client against a real HTTP server on this machine that answers as documented."""

from __future__ import annotations

import gc
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from permille.carbon import live
from permille.carbon.live import (
    LARGEST_RESPONSE,
    TOKEN_VARIABLE,
    URL_VARIABLE,
    ElectricityMaps,
    resolve_live,
    zone_of,
)
from permille.carbon.settings import CarbonSettings
from permille.errors import CarbonError
from tests.dripping import dripping

TOKEN = "test-token-1"

LATEST = {
    "zone": "DE",
    "carbonIntensity": 302,
    "datetime": "2026-04-25T18:00:00.000Z",
    "updatedAt": "2026-04-25T18:07:01.000Z",
    "createdAt": "2026-04-22T18:50:00.000Z",
    "emissionFactorType": "lifecycle",
    "isEstimated": True,
    "estimationMethod": "TIME_SLICER_AVERAGE",
}


class Service(ThreadingHTTPServer):
    """Answers by path; ``answers`` maps the last part of it to (status, body, headers)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        self.seen: list[tuple[str, str | None]] = []
        self.pause_s = 0.0
        self.pause_in_head_s = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, what: str, body: Any, status: int = 200, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[what] = (status, content, headers)


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("auth-token")))
        what = urlsplit(self.path).path.rpartition("/")[2]
        headers: dict[str, str]
        if self.headers.get("auth-token") != TOKEN:
            status, body, headers = 401, b'{"error":"Invalid auth-token"}', {}
        else:
            status, body, headers = self.server.answers.get(what, (404, b"{}", {}))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.server.pause_in_head_s:
            self.flush_headers()
            for byte in b"X-Slow: " + b"x" * 100 + b"\r\n":
                self.wfile.write(bytes([byte]))
                time.sleep(self.server.pause_in_head_s)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.pause_s:
            for byte in body:
                try:
                    self.wfile.write(bytes([byte]))
                except OSError:
                    return
                time.sleep(self.server.pause_s)
        else:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Service()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(service: Service) -> ElectricityMaps:
    return ElectricityMaps(TOKEN, service.url, timeout_s=5)


def test_latest(service: Service, client: ElectricityMaps) -> None:
    service.answer("latest", LATEST)
    point = client.latest("DE")
    assert (point.zone, point.g_per_kwh) == ("DE", 302)
    assert point.start == datetime(2026, 4, 25, 18, tzinfo=UTC)
    assert point.estimated is True
    assert point.method == "TIME_SLICER_AVERAGE"
    assert point.kind == "lifecycle"
    [(path, token)] = service.seen
    assert urlsplit(path).path == "/v3/carbon-intensity/latest"
    assert parse_qs(urlsplit(path).query) == {"zone": ["DE"]}
    assert token == TOKEN


@pytest.fixture
def nine_hours_ahead(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose local time is UTC+9."""
    with monkeypatch.context() as context:
        context.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("nine_hours_ahead")
def test_an_hour_is_given_in_utc(service: Service, client: ElectricityMaps) -> None:
    service.answer("latest", LATEST | {"datetime": "2026-04-25T20:00:00+02:00"})
    assert client.latest("DE").start.isoformat() == "2026-04-25T18:00:00+00:00"


@pytest.mark.parametrize("value", [0, 0.5])
def test_a_grid_may_emit_nothing(service: Service, client: ElectricityMaps, value: float) -> None:
    service.answer("latest", LATEST | {"carbonIntensity": value})
    assert client.latest("DE").g_per_kwh == value


def test_a_url_may_have_a_path_and_end_in_slashes(service: Service) -> None:
    service.answer("latest", LATEST)
    ElectricityMaps(TOKEN, service.url + "/proxy//").latest("DE")
    [(path, _)] = service.seen
    assert path == "/proxy/v3/carbon-intensity/latest?zone=DE"


def test_history_is_in_order_and_without_empty_hours(
    service: Service, client: ElectricityMaps
) -> None:
    hours = [
        LATEST | {"datetime": f"2026-04-25T{h:02}:00:00.000Z", "carbonIntensity": v}
        for h, v in ((18, 302), (17, None), (16, 290))
    ]
    service.answer("history", {"zone": "DE", "history": hours})
    points = client.history("DE")
    assert [(p.zone, p.start.hour, p.g_per_kwh) for p in points] == [
        ("DE", 16, 290),
        ("DE", 18, 302),
    ]


def test_forecast_does_not_claim_to_know_what_is_estimated(
    service: Service, client: ElectricityMaps
) -> None:
    hours = [
        {"carbonIntensity": v, "datetime": f"2026-04-25T{h}:00:00.000Z"}
        for h, v in ((19, 326), (20, 297))
    ]
    answer = {"zone": "DE", "forecast": hours, "updatedAt": "2026-04-25T18:07:01.000Z"}
    service.answer("forecast", answer)
    points = client.forecast("DE")
    assert [(p.zone, p.g_per_kwh) for p in points] == [("DE", 326), ("DE", 297)]
    assert all(p.estimated is None and p.kind is None for p in points)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "token"),
        (403, "plan does not cover DE"),
        (404, "no zone DE"),
        (429, "too many"),
        (500, "500"),
        (503, "--region"),
    ],
)
def test_refusals_say_what_to_do(
    service: Service, client: ElectricityMaps, status: int, said: str
) -> None:
    service.answer("latest", {"error": "x"}, status=status)
    with pytest.raises(CarbonError, match=said) as refused:
        client.latest("DE")
    assert TOKEN not in str(refused.value)


def test_a_wrong_token_is_refused(service: Service) -> None:
    service.answer("latest", LATEST)
    with pytest.raises(CarbonError, match=TOKEN_VARIABLE) as refused:
        ElectricityMaps("another-token", service.url).latest("DE")
    assert "another-token" not in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"[]",
        b"[" * 5000,
        b'{"unknown":' + b"[" * 5000,
        {},
        {k: v for k, v in LATEST.items() if k != "datetime"},
        LATEST | {"carbonIntensity": "302"},
        LATEST | {"carbonIntensity": None},
        LATEST | {"carbonIntensity": -1},
        json.dumps(LATEST).replace("302", "NaN").encode(),
        json.dumps(LATEST).replace("302", "1e999").encode(),
        LATEST | {"datetime": "yesterday"},
        LATEST | {"datetime": "2026-04-25T18:00:00"},
        LATEST | {"datetime": "0001-01-01T00:00:00+14:00"},
        LATEST | {"emissionFactorType": "marginal"},
        LATEST | {"isEstimated": "no"},
        LATEST | {"zone": "FR"},
    ],
)
def test_answers_that_are_not_as_documented_are_no_figures(
    service: Service, client: ElectricityMaps, body: Any
) -> None:
    service.answer("latest", body)
    with pytest.raises(CarbonError, match="Electricity Maps"):
        client.latest("DE")


@pytest.mark.parametrize("what", ["history", "forecast"])
def test_an_unreadable_answer_is_named_by_its_zone(
    service: Service, client: ElectricityMaps, what: str
) -> None:
    service.answer(what, b"[]")
    with pytest.raises(CarbonError, match=rf"answer \({what} of DE\) cannot be read"):
        getattr(client, what)("DE")


def test_the_longest_answer_is_read(service: Service, client: ElectricityMaps) -> None:
    content = json.dumps(LATEST).encode()
    service.answer("latest", content.ljust(LARGEST_RESPONSE))
    assert client.latest("DE").g_per_kwh == 302


def test_an_endless_answer_is_cut_off(service: Service, client: ElectricityMaps) -> None:
    service.answer("latest", b" " * (LARGEST_RESPONSE + 1))
    with pytest.raises(CarbonError, match="bytes"):
        client.latest("DE")


def test_a_trickling_answer_is_cut_off(service: Service) -> None:
    service.pause_s = 0.02
    service.answer("latest", b" " * 10_000)  # 200 s at that pace
    with pytest.raises(CarbonError, match=r"did not arrive in time|timed out"):
        ElectricityMaps(TOKEN, service.url, timeout_s=0.2).latest("DE")


def test_trickling_headers_are_cut_off(service: Service) -> None:
    service.pause_in_head_s = 0.02  # 2 s until the body, whose every byte comes within the timeout
    service.answer("latest", LATEST)
    with pytest.raises(CarbonError, match=r"did not arrive in time|timed out"):
        ElectricityMaps(TOKEN, service.url, timeout_s=0.5).latest("DE")


# The http.client of Python 3.11.2 leaves the socket of such a proxy to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_trickling_proxy_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    with dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ") as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(CarbonError, match=r"did not arrive in time|timed out"):
            ElectricityMaps(TOKEN, "https://example.org", timeout_s=0.5).latest("DE")
    gc.collect()


def test_the_proxy_of_the_environment_is_used(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_LOOPBACK", ("grid.example",))
    monkeypatch.setenv("http_proxy", service.url)
    service.answer("latest", LATEST)
    assert ElectricityMaps(TOKEN, "http://grid.example", timeout_s=5).latest("DE").g_per_kwh == 302


def test_a_service_that_does_not_answer_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(CarbonError, match="cannot be reached: timed out"):
            ElectricityMaps(TOKEN, url, timeout_s=0.2).latest("DE")


def test_a_redirect_does_not_take_the_token_along(
    service: Service, client: ElectricityMaps
) -> None:
    service.answer("latest", b"", status=302, Location=f"{service.url}/elsewhere")
    with pytest.raises(CarbonError, match="302"):
        client.latest("DE")
    assert len(service.seen) == 1


def test_a_service_that_is_not_there(service: Service) -> None:
    service.shutdown()
    service.server_close()
    with pytest.raises(CarbonError, match=r"cannot be reached: \[Errno \d+\] Connection refused;"):
        ElectricityMaps(TOKEN, service.url, timeout_s=1).latest("DE")


@pytest.mark.parametrize(
    "url", ["http://example.org", "ftp://127.0.0.1", "", "https://", "//host", "file:///etc/passwd"]
)
def test_a_token_goes_over_tls_only(url: str) -> None:
    with pytest.raises(CarbonError, match="https"):
        ElectricityMaps(TOKEN, url)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_a_service_on_this_machine_needs_no_tls(host: str) -> None:
    assert ElectricityMaps(TOKEN, f"http://{host}:8080")
    assert ElectricityMaps(TOKEN, "https://example.org")


@pytest.mark.parametrize("token", ["", "two words", "line\r\nX-Header: 1", "é", "x" * 500])
def test_what_cannot_be_a_token_is_not_sent(token: str) -> None:
    with pytest.raises(CarbonError, match=TOKEN_VARIABLE):
        ElectricityMaps(token)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("France", "FR"),
        ("FRA", "FR"),
        ("fr", "FR"),
        ("UK", "GB"),
        ("US-CAL-CISO", "US-CAL-CISO"),
        ("pjm", "US-MIDA-PJM"),
        ("Ontario", "CA-ON"),
        ("dk-dk1", "DK-DK1"),
        ("XX-NEW-ZONE", "XX-NEW-ZONE"),
    ],
)
def test_zones_of_places(text: str, zone: str) -> None:
    assert zone_of(text) == zone


@pytest.mark.parametrize("text", ["US-CA", "aws/us-west-2", "CN-BJ", "world"])
def test_places_that_are_no_zone_are_refused(text: str) -> None:
    with pytest.raises(CarbonError, match="not a zone"):
        zone_of(text)


def test_an_unknown_name_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(CarbonError, match="did you mean"):
        zone_of("Frnace")


def test_settings_of_the_hour(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.answer("latest", LATEST)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    monkeypatch.setenv(URL_VARIABLE, service.url)
    settings = resolve_live("Germany", pue=1.2, market_intensity=10.0)
    assert settings.intensity_g_per_kwh == 302
    assert (settings.region, settings.kind, settings.pue) == ("DE", "live", 1.2)
    assert settings.market_intensity_g_per_kwh == 10.0
    assert settings.timestamp == "2026-04-25T18:00:00Z"
    assert settings.estimated is True
    assert not settings.assumed
    assert "estimated by Electricity Maps (TIME_SLICER_AVERAGE)" in settings.note
    assert "lifecycle" in settings.note


def test_a_measured_hour_is_not_called_estimated(service: Service, client: ElectricityMaps) -> None:
    service.answer("latest", LATEST | {"isEstimated": False, "estimationMethod": None})
    assert resolve_live("DE", client=client) == CarbonSettings(
        intensity_g_per_kwh=302,
        region="DE",
        name="DE",
        year=None,
        pue=1.0,
        source="Electricity Maps, latest hour",
        kind="live",
        licence="by the terms of the token's plan",
        assumed=False,
        note="lifecycle emissions in the hour from 2026-04-25 18:00 UTC",
        attribution="Electricity Maps",
        timestamp="2026-04-25T18:00:00Z",
        estimated=False,
    )


def test_what_the_service_does_not_say_is_not_guessed(
    service: Service, client: ElectricityMaps
) -> None:
    service.answer("latest", LATEST | {"emissionFactorType": None, "estimationMethod": None})
    assert resolve_live("DE", client=client).note == (
        "unstated kind of emissions in the hour from 2026-04-25 18:00 UTC;"
        " estimated by Electricity Maps, not measured"
    )


def test_off_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    with pytest.raises(CarbonError, match=TOKEN_VARIABLE):
        resolve_live("DE")


def test_a_failure_is_never_the_yearly_average(service: Service, client: ElectricityMaps) -> None:
    service.answer("latest", {}, status=500)
    with pytest.raises(CarbonError):
        resolve_live("DE", client=client)


def test_the_service_is_the_documented_one() -> None:
    assert live.BASE_URL == "https://api.electricitymaps.com"
