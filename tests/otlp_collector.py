"""A collector on loopback that decodes what is posted to it, with OpenTelemetry's own messages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)


class Collector:
    """Its address, the decoded requests, and the status that it answers with."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.requests: list[ExportMetricsServiceRequest] = []
        self.paths: list[str] = []
        self.address = ""


@contextmanager
def collector(status: int = 200) -> Iterator[Collector]:
    """A running collector."""
    found = Collector(status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append(ExportMetricsServiceRequest.FromString(body))
            found.paths.append(self.path)
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def points(request: ExportMetricsServiceRequest) -> dict[str, list[tuple[dict[str, str], Any]]]:
    """The data points of each metric with their attributes."""
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    return {
        metric.name: [
            ({one.key: one.value.string_value for one in point.attributes}, point)
            for point in (metric.sum if metric.HasField("sum") else metric.gauge).data_points
        ]
        for metric in scope.metrics
    }
