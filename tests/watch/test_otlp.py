"""OpenTelemetry: what a collector gets over HTTP, and what happens without one."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from permille.errors import UsageError
from permille.watch.ledger import WatchStep
from permille.watch.otlp import OtlpExport, endpoint
from tests.records import joules
from tests.watch.test_ledger import served, step


class Collector:
    """An HTTP server at a collector's path. ``status`` is what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[ExportMetricsServiceRequest] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/metrics" and collector.status == 200:
                    collector.requests.append(ExportMetricsServiceRequest.FromString(body))
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def points(self) -> dict[tuple[str, ...], float]:
        """The last export: name and attributes -> value."""
        return points(self.requests[-1])


def points(request: ExportMetricsServiceRequest) -> dict[tuple[str, ...], float]:
    values: dict[tuple[str, ...], float] = {}
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                data: Any = getattr(metric, str(metric.WhichOneof("data")))
                for point in data.data_points:
                    labels = sorted(f"{a.key}={a.value.string_value}" for a in point.attributes)
                    value = getattr(point, point.WhichOneof("value"))
                    values[(metric.name, metric.unit, *labels)] = value
    return values


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


@pytest.fixture
def export(collector: Collector) -> Iterator[OtlpExport]:
    made = OtlpExport(endpoint(collector.url), 5.0)
    yield made
    made.close()


CPU = ("hw.id=cpu:0", "hw.type=cpu", "permille.provenance=measured")


def test_energy_and_power_have_the_names_of_the_conventions(
    collector: Collector, export: OtlpExport
) -> None:
    assert export.add(step(100.0, served(1, 50))) is None
    assert export.add(step(300.0, served(2, 70))) is None
    values = collector.points()
    assert values["hw.energy", "J", *CPU] == 400.0  # a counter: the sum
    assert values["hw.power", "W", *CPU] == 30.0  # of the last ten seconds
    assert values["permille.requests", "{request}", "gen_ai.request.model=m"] == 3.0
    labels = ("gen_ai.request.model=m", "gen_ai.token.type=output")
    assert values["permille.tokens", "{token}", *labels] == 120.0
    (resource,) = collector.requests[-1].resource_metrics
    about = {a.key: a.value.string_value for a in resource.resource.attributes}
    assert about["service.name"] == "permille"


def test_the_whole_machine_has_metrics_of_its_own(collector: Collector, export: OtlpExport) -> None:
    import msgspec

    plain = step(100.0, None)
    domains = {"node": joules(250.0, "node"), "dram:0": joules(20.0, "dram")}
    phase = msgspec.structs.replace(plain.phase, domains=domains)
    export.add(msgspec.structs.replace(plain, phase=phase))
    values = collector.points()
    assert values["hw.host.energy", "J", "hw.id=node", "permille.provenance=measured"] == 250.0
    assert values["hw.host.power", "W", "hw.id=node", "permille.provenance=measured"] == 25.0
    memory = ("hw.id=dram:0", "hw.type=memory", "permille.provenance=measured")
    assert values["hw.energy", "J", *memory] == 20.0
    assert not any(name == "hw.energy" and "hw.id=node" in labels for name, *labels in values)


def test_what_is_unknown_is_not_sent_as_0_or_as_before(
    collector: Collector, export: OtlpExport
) -> None:
    export.add(step(100.0, served(None, 50)))
    export.add(step(None, None))
    values = collector.points()
    assert ("hw.power", "W", *CPU) not in values
    assert values["hw.energy", "J", *CPU] == 100.0
    assert values["permille.unmetered.time", "s", "hw.id=cpu:0"] == 10.0
    assert not any(name == "permille.requests" for name, *_ in values)


def test_a_collector_that_refuses_is_reported_once_and_loses_nothing(
    collector: Collector, export: OtlpExport, capfd: pytest.CaptureFixture[str]
) -> None:
    steps: list[WatchStep] = [step(100.0, served(1, 10)) for _ in range(4)]
    collector.status = 400
    remarks = [export.add(each) for each in steps[:2]]
    assert remarks == [
        f"the watch goes on, but {collector.url}/v1/metrics does not take its metrics",
        None,
    ]
    collector.status = 200
    assert export.add(steps[2]) == f"{collector.url}/v1/metrics takes the metrics again"
    assert export.add(steps[3]) is None
    assert collector.points()["hw.energy", "J", *CPU] == 400.0
    assert capfd.readouterr().err == ""


def test_without_a_collector_the_step_is_counted_and_it_is_said() -> None:
    export = OtlpExport("http://127.0.0.1:9/v1/metrics", 0.2)
    remark = export.add(step(100.0, served(1, 10)))
    export.close()
    assert remark is not None
    assert "does not take its metrics" in remark


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://h:4318", "http://h:4318/v1/metrics"),
        ("https://h/otlp/v1/metrics", "https://h/otlp/v1/metrics"),
    ],
)
def test_the_path_of_an_address_is_kept(text: str, url: str) -> None:
    assert endpoint(text) == url


@pytest.mark.parametrize("text", ["h:4318", "grpc://h:4317", "http://", "http://h:x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--otlp"):
        endpoint(text)
