"""What a recording sends to OpenTelemetry: each domain's energy, and each span's per 1,000."""

from __future__ import annotations

import time
from collections.abc import Mapping

from permille.analysis.spans import Result
from permille.energy import phases
from permille.records.recording import Recording
from permille.telemetry import HW_ENERGY, HW_TYPES, MetricPoint, per_1000
from permille.units import joules_from_kwh


def points(recording: Recording, results: Mapping[str, Result]) -> list[MetricPoint]:
    """``hw.energy`` of every domain that has a figure over the whole recording, and the energy per
    1,000 inferences of every valid span that has an interval."""
    # Recordings are dated by the monotonic clock, which nobody sets; OTLP's points in Unix time.
    to_wall_ns = time.time_ns() - time.monotonic_ns()
    return [
        *_domains(recording, to_wall_ns),
        *(
            point
            for name, result in results.items()
            for point in _span(name, result, time.monotonic_ns() + to_wall_ns)
        ),
    ]


def _domains(recording: Recording, to_wall_ns: int) -> list[MetricPoint]:
    """The joules of each domain over the time in which all of them were read."""
    span = phases.covered(recording, "recording")
    if span is None:
        return []
    # A domain without a figure is left out of these, and so is not sent as 0 J.
    whole = phases.phase(recording, span)
    devices = {series.domain.name: series.domain.device for series in recording.series}
    return [
        MetricPoint(
            HW_ENERGY,
            "Energy consumed by the component.",
            figure.energy_j,
            {
                "hw.id": name,
                "hw.type": HW_TYPES.get(figure.kind, figure.kind),
                "hw.name": devices.get(name) or name,
                "permille.meter": figure.meter,
                "permille.provenance": str(figure.provenance),
            },
            span.t1_ns + to_wall_ns,
            span.t0_ns + to_wall_ns,
        )
        for name, figure in whole.domains.items()
    ]


def _span(name: str, result: Result, t_ns: int) -> list[MetricPoint]:
    """Nothing for a span without inferences, or whose figure or interval is not known."""
    kwh = result.kwh_per_1000
    if not result.valid or kwh is None or kwh.low is None or kwh.high is None:
        return []
    attributes = {
        "permille.span": name,
        "permille.boundary": result.boundary,
        "permille.provenance": str(result.provenance),
    }
    value, low, high = map(joules_from_kwh, (kwh.value, kwh.low, kwh.high))
    return per_1000((value, low, high), attributes, t_ns)
