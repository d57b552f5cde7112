"""The energy of one domain over one span, or the reason why there is none.

A counter is read at points in time; between two readings the energy is interpolated linearly. Every
figure has the standard uncertainty of its two edges (:mod:`permille.energy.edges`). A span that a
meter cannot resolve is refused with a reason, never returned as a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

from permille.energy import part_time
from permille.energy.edges import edge_j, tick_s
from permille.energy.levels import NotCovered, energy_at, energy_of, longest_still_s
from permille.records.energy import DomainEnergy, Refused
from permille.records.recording import Domain, DomainKind, Event, Provenance, Series, Span
from permille.units import format_share

CARRIES = 0.25
"""A span is refused if its edges alone make its energy uncertain by more than this (relative,
k = 2)."""

STILL_S = 0.5
STILL_TICKS = 5
"""From this length on (seconds, ticks), a counter that did not move within a span is trusted; or
from that many ticks of another domain of the same meter that did move."""

LEAST_W: dict[DomainKind, float] = {"cpu": 0.1, "dram": 0.001, "gpu": 0.5, "node": 0.5}
"""The lowest mean power of hardware in use, by kind (watts). A lower reading is not its power, and
0 J means that the meter hangs. Laptop packages idle at some tenths of a watt; memory refreshes
itself even when it is not accessed. (A GPU that is not in use may be off.)"""

STOP_S = 0.5
SHORTEST_STOP_S = 0.25
STOP_SHARE = 0.1
STOP_TICKS = 10
"""A counter that stops within a span and continues later has lost that time, which the sum does not
show. It counts as stopped after a tenth of the span, at least 0.25 s and at most 0.5 s, and never
before ten ticks. A shorter stop of a millisecond counter means that its reader was delayed."""


def span_energy(
    series: Series,
    span: Span,
    events: Iterable[Event] = (),
    *,
    meter_tick_s: float | None = None,
) -> DomainEnergy | Refused:
    """Energy of one domain over one span, or the reason why there is none.

    ``meter_tick_s`` is the tick of another domain of the same meter that moved within the span.
    It is refused if there is no reading on one side of the span, if an event of kind ``invalid``
    touches it, if its edges are so uncertain that the figure would be meaningless
    (:data:`CARRIES`), or if the counter of hardware that must draw power (:data:`LEAST_W`) does not
    move, hardly moves, or stops for a while.
    """
    domain = series.domain
    # Before the coverage: a meter that vanished fails both tests, and its event says why.
    for event in events:
        if _touches(event, span, domain):
            return Refused(reason=event.reason)
    try:
        energy_j = energy_of(series, span)
    except NotCovered as error:
        return Refused(reason=str(error))
    problem = _too_few_updates(domain, span)
    if problem is not None:
        return Refused(reason=problem)
    # Other readings are around each edge, and what the sensor missed lies between them:
    # independent.
    edges_j = math.hypot(
        edge_j(series, span.t0_ns), edge_j(series, span.t1_ns), _unsampled_j(series, span)
    )
    problem = _too_short(domain, span, energy_j, edges_j, meter_tick_s)
    if problem is None and _draws_power(domain):
        problem = _too_little(series, span, energy_j)
    if problem is not None:
        return Refused(reason=problem)
    return _figure(domain, span, energy_j, edges_j)


def _figure(domain: Domain, span: Span, energy_j: float, edges_j: float) -> DomainEnergy:
    """What the domain says of itself, at the power of this span."""
    return DomainEnergy(
        energy_j=energy_j,
        edge_j=edges_j,
        accuracy_low=_with_offset(domain.accuracy_low, domain, span, energy_j),
        accuracy_high=_with_offset(domain.accuracy_high, domain, span, energy_j),
        provenance=domain.provenance,
        kind=domain.kind,
        meter=domain.meter,
        covers=domain.covers,
        in_use=domain.in_use,
        # Where nothing worked, rounding alone could make this part larger than the whole.
        time_j=None if domain.time_w is None else min(energy_j, domain.time_w * span.seconds),
        offset_j=domain.offset_w * span.seconds,
    )


def _with_offset(accuracy: float, domain: Domain, span: Span, energy_j: float) -> float:
    """Relative accuracy at the span's power: a constant error weighs more where power is low."""
    if not domain.offset_w or energy_j <= 0:
        return accuracy
    return math.hypot(accuracy, domain.offset_w * span.seconds / energy_j)


def _too_few_updates(domain: Domain, span: Span) -> str | None:
    sensor = domain.sensor
    least_s = part_time.least_s(sensor)
    if sensor is None or span.seconds >= least_s:
        return None
    return (
        f"too short for {domain.meter}: its sensor samples"
        f" {format_share(sensor.sampled)} of the time, every {sensor.period_s:.2g} s;"
        f" {least_s:.2g} s is enough"
    )


def _unsampled_j(series: Series, span: Span) -> float:
    """Standard uncertainty (joules) of what the sensor did not sample; 0 if it samples all."""
    sensor = series.domain.sensor
    if sensor is None or not part_time.samples_in_part(sensor):
        return 0.0
    segments = part_time.segments(span, sensor)
    if len(segments) >= part_time.LEAST_SEGMENTS:
        powers_w = [
            (energy_at(series, t1_ns) - energy_at(series, t0_ns)) / ((t1_ns - t0_ns) / 1e9)
            for t0_ns, t1_ns in segments
        ]
        return part_time.between_segments_j(powers_w, span.seconds)
    updates = int(span.seconds / sensor.period_s)
    step_ns = (span.t1_ns - span.t0_ns) // updates
    levels = [energy_at(series, span.t0_ns + i * step_ns) for i in range(updates + 1)]
    return part_time.uncertainty_j([b - a for a, b in pairwise(levels)], sensor)


def _too_short(
    domain: Domain, span: Span, energy_j: float, edges_j: float, meter_tick_s: float | None
) -> str | None:
    """Why the edges leave too little of the figure, or None."""
    # A counter that did not move within a long span is trusted if it did not move around it either:
    # its edges are then uncertain by its resolution alone.
    still_s = max(STILL_S, STILL_TICKS * tick_s(domain))
    if meter_tick_s is not None:
        still_s = STILL_TICKS * meter_tick_s
    bearable_j = CARRIES * energy_j if energy_j > 0 else (domain.resolution_j or 0.0)
    if 2 * edges_j <= bearable_j and (energy_j > 0 or span.seconds >= still_s):
        return None
    said = (
        f"is uncertain by ±{format_share(2 * edges_j / energy_j)} from its edges alone"
        if energy_j > 0
        else "passed between two of its ticks"
    )
    enough_s = _enough_s(span.seconds, energy_j, edges_j, domain)
    return (
        f"too short for {domain.meter}: {span.seconds:.3g} s {said}; about {enough_s:.2g} s is"
        " enough"
    )


def _enough_s(seconds: float, energy_j: float, edges_j: float, domain: Domain) -> float:
    """The length of a span at this power whose edges would be acceptable, with some margin."""
    if energy_j <= 0:
        return max(STILL_S, 10 * tick_s(domain))
    # The edges stay as they are while the span grows; the first 2 is the margin, the second k.
    return max(10 * tick_s(domain), 2 * seconds * 2 * edges_j / (CARRIES * energy_j))


def _draws_power(domain: Domain) -> bool:
    measured = domain.provenance is Provenance.MEASURED
    return measured and domain.in_use and domain.kind in LEAST_W


def _too_little(series: Series, span: Span, energy_j: float) -> str | None:
    """Why this is less than hardware in use can draw, or None."""
    meter = series.domain.meter
    if energy_j <= 0:
        return f"{meter} hangs: its counter did not move in {span.seconds:.3g} s"
    power_w = energy_j / span.seconds
    if power_w < LEAST_W[series.domain.kind]:
        return (
            f"{meter} reads {power_w:.2g} W: a {series.domain.kind} in use draws more, so that is"
            " not its power"
        )
    still_s = longest_still_s(series, span)
    # A coarse counter does not move between its steps: the time of three steps is not a stop.
    resting_s = 3 * (series.domain.resolution_j or 0.0) / power_w
    least_s = min(STOP_S, max(SHORTEST_STOP_S, STOP_SHARE * span.seconds))
    if still_s > max(least_s, STOP_TICKS * tick_s(series.domain), resting_s):
        return (
            f"{meter} stopped: its counter stood still for {still_s:.3g} s of {span.seconds:.3g} s"
        )
    return None


def _touches(event: Event, span: Span, domain: Domain) -> bool:
    return (
        event.kind == "invalid"
        and event.domain in (None, domain.name)
        # Both ends included: an event at an edge spoils the reading there.
        and event.t0_ns <= span.t1_ns
        and event.t1_ns >= span.t0_ns
    )
