"""Metrics for OpenTelemetry: its own messages decode what is sent and written."""

from __future__ import annotations

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.semconv._incubating.attributes import hw_attributes
from opentelemetry.semconv._incubating.metrics import hw_metrics

from permille import telemetry
from permille.api import otlp
from permille.errors import UsageError
from permille.records.recording import RecorderStats, Recording, Series
from permille.telemetry import MetricPoint, as_json_line, checked_endpoint, per_1000, send
from tests.otlp_collector import collector, points
from tests.records import domain

SUM = MetricPoint("hw.energy", "Energy.", 12.5, {"hw.id": "cpu:0"}, 2_000, start_ns=1_000)
S = 1_000_000_000


def test_the_names_are_those_of_the_semantic_conventions() -> None:
    assert telemetry.HW_ENERGY == hw_metrics.HW_ENERGY
    types = {one.value for one in hw_attributes.HwTypeValues}
    assert set(telemetry.HW_TYPES.values()) <= types
    assert (hw_attributes.HW_ID, hw_attributes.HW_TYPE, hw_attributes.HW_NAME) == (
        "hw.id", "hw.type", "hw.name",
    )  # fmt: skip


def test_a_collector_gets_sums_and_gauges() -> None:
    gauges = per_1000((10.0, 9.0, 11.0), {"permille.span": "query"}, 3_000)
    with collector() as server:
        assert send(checked_endpoint(server.address), [SUM, *gauges]) is None
    assert server.paths == ["/v1/metrics"]
    (request,) = server.requests
    received = points(request)
    ((attributes, point),) = received["hw.energy"]
    assert attributes == {"hw.id": "cpu:0"}
    assert (point.as_double, point.start_time_unix_nano, point.time_unix_nano) == (
        12.5, 1_000, 2_000,
    )  # fmt: skip
    values = [received[name][0][1].as_double for name in telemetry.PER_1000]
    assert values == [10.0, 9.0, 11.0]
    (total,) = (
        metric
        for metric in request.resource_metrics[0].scope_metrics[0].metrics
        if metric.name == "hw.energy"
    )
    assert total.unit == "J"
    assert total.sum.is_monotonic
    assert (
        total.sum.aggregation_temporality
        == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    )


def test_a_collector_that_refuses_is_a_reason() -> None:
    with collector(status=400) as server:
        reason = send(checked_endpoint(server.address), [SUM])
    assert reason == f"the energies did not reach {server.address}/v1/metrics by OTLP"


def test_a_line_of_json_is_the_same_message() -> None:
    line = as_json_line([SUM])
    assert "\n" not in line
    request = json_format.Parse(line, ExportMetricsServiceRequest())
    ((attributes, point),) = points(request)["hw.energy"]
    assert (attributes, point.as_double) == ({"hw.id": "cpu:0"}, 12.5)


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/metrics"),
        ("https://example.org/", "https://example.org/v1/metrics"),
        ("https://example.org/otlp?x=1", "https://example.org/otlp?x=1"),
    ],
)
def test_an_address_without_a_path_gets_that_of_otlp(address: str, endpoint: str) -> None:
    assert checked_endpoint(address) == endpoint


@pytest.mark.parametrize("address", ["", "localhost:4318", "ftp://a/", "http://", "http://a:x/"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="is not an address"):
        checked_endpoint(address)


def test_each_domain_has_its_energy_over_the_whole_recording() -> None:
    ticks = tuple(n * S // 10 for n in range(21))
    recording = Recording(
        series=(
            Series(
                domain=domain("cpu:0", device="A CPU"),
                t_ns=ticks,
                energy_j=tuple(6.0 * n for n in range(21)),
            ),
            Series(domain=domain("dram:0"), t_ns=ticks, energy_j=tuple(1.0 * n for n in range(21))),
        ),
        events=(),
        stats=RecorderStats(cpu_s=0.0, wall_s=2.0, polls=20, missed=0, interval_s=0.1),
    )
    sent = {point.attributes["hw.id"]: point for point in otlp.points(recording, {})}
    assert sent["cpu:0"].joules == pytest.approx(120.0)
    assert sent["dram:0"].joules == pytest.approx(20.0)
    assert sent["cpu:0"].attributes == {
        "hw.id": "cpu:0",
        "hw.type": "cpu",
        "hw.name": "A CPU",
        "permille.meter": "rapl",
        "permille.provenance": "measured",
    }
    assert sent["dram:0"].attributes["hw.type"] == "memory"
    start_ns = sent["cpu:0"].start_ns
    assert start_ns is not None
    assert sent["cpu:0"].t_ns - start_ns == 2 * S
