"""Metrics for OpenTelemetry: built with its SDK, sent by OTLP over HTTP or written as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from permille.errors import UsageError
from permille.escaping import plain
from permille.extras import extra
from permille.version import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric, MetricsData

HW_ENERGY = "hw.energy"
"""OpenTelemetry's semantic conventions for hardware: joules of a component since the start."""
HW_TYPES = {"cpu": "cpu", "dram": "memory", "gpu": "gpu", "node": "enclosure"}
"""``hw.type`` of a kind of domain; the conventions have none for any other."""
PER_1000 = {
    "permille.energy_per_1000": "Energy of 1,000 inferences",
    "permille.energy_per_1000.low": "Lower end of its 95 % interval",
    "permille.energy_per_1000.high": "Upper end of its 95 % interval",
}
_PATH = "/v1/metrics"
_TIMEOUT_S = 5.0


class MetricPoint(NamedTuple):
    """A figure in joules at a time (ns since 1970). With ``start_ns`` it is a sum since then."""

    name: str
    description: str
    joules: float
    attributes: dict[str, str]
    t_ns: int
    start_ns: int | None = None


def per_1000(
    ends_j: tuple[float, float, float], attributes: dict[str, str], t_ns: int
) -> list[MetricPoint]:
    """The energy of 1,000 inferences with the ends of its interval (joules)."""
    return [
        MetricPoint(name, text, joules, attributes, t_ns)
        for (name, text), joules in zip(PER_1000.items(), ends_j, strict=True)
    ]


def checked_endpoint(address: str) -> str:
    """The address to post metrics to; without a path it is OTLP's own.

    Raises:
        UsageError: it is not an http or https address, or the extra is not installed.
    """
    with extra("otlp", "OpenTelemetry"):
        import opentelemetry.exporter.otlp.proto.http
        import opentelemetry.sdk.metrics  # noqa: F401
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(
            f"otlp {plain(address, limit=200)!r} is not an address such as http://localhost:4318"
        )
    return urlunsplit(parts._replace(path=_PATH)) if parts.path in ("", "/") else address


def send(endpoint: str, points: Sequence[MetricPoint]) -> str | None:
    """Post the points; None, or why they did not arrive within a few seconds. Headers and
    certificates are those of OpenTelemetry's environment variables."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics.export import MetricExportResult

    exporter = OTLPMetricExporter(endpoint=endpoint, timeout=_TIMEOUT_S)
    try:
        outcome = exporter.export(_data(points))
    finally:
        exporter.shutdown()
    if outcome is MetricExportResult.SUCCESS:
        return None
    return f"the energies did not reach {plain(endpoint, limit=200)} by OTLP"


def as_json_line(points: Sequence[MetricPoint]) -> str:
    """The points as one line of OTLP JSON, for the collector's ``otlpjsonfile`` receiver.

    Raises:
        UsageError: the extra is not installed.
    """
    with extra("otlp", "OpenTelemetry"):
        from google.protobuf.json_format import MessageToJson
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

        data = _data(points)
    line: str = MessageToJson(encode_metrics(data), indent=None)
    return line


def _data(points: Sequence[MetricPoint]) -> MetricsData:
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    ordered = sorted(points, key=lambda point: point.name)
    metrics = [_metric(list(group)) for _, group in groupby(ordered, lambda point: point.name)]
    scope = ScopeMetrics(InstrumentationScope("permille", __version__), metrics, "")
    resource = Resource({"service.name": "permille", "service.version": __version__})
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _metric(points: list[MetricPoint]) -> Metric:
    """Points of one name: a sum if they have a start, else a gauge."""
    from opentelemetry.sdk.metrics.export import (
        AggregationTemporality,
        Gauge,
        Metric,
        NumberDataPoint,
        Sum,
    )

    data_points = [
        NumberDataPoint(
            attributes=point.attributes,
            start_time_unix_nano=point.start_ns or 0,
            time_unix_nano=point.t_ns,
            value=point.joules,
        )
        for point in points
    ]
    first = points[0]
    if first.start_ns is None:
        return Metric(first.name, first.description, "J", Gauge(data_points))
    total = Sum(data_points, AggregationTemporality.CUMULATIVE, is_monotonic=True)
    return Metric(first.name, first.description, "J", total)
