"""Energy: a pure function of series and spans.

A counter is read at points in time; between two readings the energy is interpolated linearly. Every
figure has the standard uncertainty of its two edges (see :func:`_edge_j`). A span that a meter
cannot resolve is refused with a reason, never returned as a number.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise

import msgspec

from permille import disturbance, part_time
from permille.records import (
    Domain,
    DomainEnergy,
    DomainKind,
    Event,
    Phase,
    Problem,
    Provenance,
    Recording,
    Refused,
    Series,
    Span,
)

UNKNOWN_TICK_S = 0.1
"""The assumed tick of a counter that never stepped: the slowest documented for NVML (Yang et al.,
SC24, arXiv:2312.02741: 10 to 100 ms)."""

UNKNOWN_MAX_POWER_W = 2000.0
"""The assumed maximum power of a domain that states none; above any single package or GPU sold."""

PEAK = 5.0
"""How far the instantaneous power may exceed the larger of the mean powers just before and after
(0.1 s or two ticks): a package may go from a tenth of its power to full power, not further."""

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


STALE_TICKS = 1.5
"""A value that is unchanged for this many ticks is older than one tick."""


class NotCovered(ValueError):
    """The series does not cover this time."""


def energy_at(series: Series, t_ns: int) -> float:
    """Cumulative joules at ``t_ns``, interpolated linearly between the readings around it.

    Raises:
        NotCovered: there is no reading at or before, or at or after, ``t_ns``.
    """
    before, fraction = _locate(series, t_ns)
    left = series.energy_j[before]
    if fraction == 0.0:
        return left
    return left + fraction * (series.energy_j[before + 1] - left)


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
    for event in events:
        if _touches(event, span, series.domain):
            return Refused(reason=event.reason)
    try:
        energy_j = energy_at(series, span.t1_ns) - energy_at(series, span.t0_ns)
    except NotCovered as error:
        return Refused(reason=str(error))
    domain = series.domain
    problem = _too_few_updates(domain, span)
    if problem is not None:
        return Refused(reason=problem)
    edge_j = math.hypot(
        _edge_j(series, span.t0_ns), _edge_j(series, span.t1_ns), _unsampled_j(series, span)
    )
    # A counter that did not move within a long span is trusted if it did not move around it either:
    # its edges are then uncertain by its resolution alone.
    still_s = max(STILL_S, STILL_TICKS * _tick_s(domain))
    if meter_tick_s is not None:
        still_s = STILL_TICKS * meter_tick_s
    bearable_j = CARRIES * energy_j if energy_j > 0 else (domain.resolution_j or 0.0)
    if 2 * edge_j > bearable_j or (energy_j <= 0 and span.seconds < still_s):
        said = (
            f"is uncertain by ±{200 * edge_j / energy_j:.0f} % from its edges alone"
            if energy_j > 0
            else "passed between two of its ticks"
        )
        enough_s = _enough_s(span.seconds, energy_j, edge_j, domain)
        return Refused(
            reason=f"too short for {domain.meter}: {span.seconds:.3g} s {said}; about"
            f" {enough_s:.2g} s is enough"
        )
    if _draws_power(domain):
        problem = _too_little(series, span, energy_j)
        if problem is not None:
            return Refused(reason=problem)
    return DomainEnergy(
        energy_j=energy_j,
        edge_j=edge_j,
        accuracy_low=_with_offset(domain.accuracy_low, domain, span, energy_j),
        accuracy_high=_with_offset(domain.accuracy_high, domain, span, energy_j),
        provenance=domain.provenance,
        kind=domain.kind,
        meter=domain.meter,
        covers=domain.covers,
        in_use=domain.in_use,
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
        f"too short for {domain.meter}: its sensor samples {sensor.sampled:.0%} of the time, every"
        f" {sensor.period_s:.2g} s; {least_s:.2g} s is enough"
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


def edge_s(domain: Domain) -> float:
    """Seconds of power by which one edge of a span may be wrong (half-width, rectangular).

    Of a counter, one tick. Of a power sensor a quarter of what its reading is averaged and held
    over: the error where the power goes from nothing to twice the mean in the middle of it, and
    the greatest for any course of that mean and within those limits.
    """
    sensor = domain.sensor
    if sensor is not None:
        return (sensor.window_s + sensor.period_s) / 4
    return UNKNOWN_TICK_S if domain.tick_s is None else domain.tick_s


def _enough_s(seconds: float, energy_j: float, edge_j: float, domain: Domain) -> float:
    """The length of a span at this power whose edges would be acceptable, with some margin."""
    if energy_j <= 0:
        return max(STILL_S, 10 * _tick_s(domain))
    return max(10 * _tick_s(domain), 2 * seconds * 2 * edge_j / (CARRIES * energy_j))


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
    if still_s > max(least_s, STOP_TICKS * _tick_s(series.domain), resting_s):
        return (
            f"{meter} stopped: its counter stood still for {still_s:.3g} s of {span.seconds:.3g} s"
        )
    return None


def longest_still_s(series: Series, span: Span) -> float:
    """Seconds of the longest part of ``span`` with unchanged readings."""
    first = max(0, bisect_right(series.t_ns, span.t0_ns) - 1)
    last = min(len(series.t_ns), bisect_right(series.t_ns, span.t1_ns) + 1)
    longest_ns, since = 0, first
    for i in range(first, last):
        if series.energy_j[i] != series.energy_j[since]:
            since = i
        stretch = min(series.t_ns[i], span.t1_ns) - max(series.t_ns[since], span.t0_ns)
        longest_ns = max(longest_ns, stretch)
    return longest_ns / 1e9


def phase(recording: Recording, span: Span) -> Phase:
    """One span over every domain of a recording."""
    domains: dict[str, DomainEnergy] = {}
    problems: dict[str, Problem] = {}
    own_share = disturbance.own_share(recording.cpu, span)
    for series in recording.series:
        domain = series.domain
        tick_s = _moving_tick_s(recording, series, span)
        figure = span_energy(series, span, recording.events, meter_tick_s=tick_s)
        if isinstance(figure, Refused):
            problems[domain.name] = Problem(
                reason=figure.reason, kind=domain.kind, in_use=domain.in_use
            )
        else:
            domains[domain.name] = _with_own(figure, own_share)
    inferences = span.attributes.get("inferences")
    return Phase(
        seconds=span.seconds,
        domains=domains,
        problems=problems,
        inferences=inferences,
        disturbance=disturbance.of_span(recording.cpu, span),
    )


def _with_own(figure: DomainEnergy, share: float | None) -> DomainEnergy:
    """An estimate with what it would be if nobody else had worked: its time, and its work to the
    share of the CPU time that the run's own processes took."""
    if figure.time_j is None or share is None:
        return figure
    own_j = figure.time_j + share * (figure.energy_j - figure.time_j)
    return msgspec.structs.replace(figure, own_j=own_j)


def _moving_tick_s(recording: Recording, series: Series, span: Span) -> float | None:
    """The slowest known tick among the other domains of the same meter that moved in that time."""
    ticks = [
        other.domain.tick_s
        for other in recording.series
        if other is not series
        and other.domain.meter == series.domain.meter
        and other.domain.tick_s is not None
        and _moved(other, span)
    ]
    return max(ticks, default=None)


def _moved(series: Series, span: Span) -> bool:
    try:
        return energy_at(series, span.t1_ns) > energy_at(series, span.t0_ns)
    except NotCovered:
        return False


def notices(recording: Recording) -> tuple[str, ...]:
    """The distinct notes about a recording."""
    said = [
        f"{event.domain}: {event.reason}" if event.domain else event.reason
        for event in recording.events
        if event.kind == "notice"
    ]
    if recording.shared:
        said.append("concurrent runs were allowed on this machine (--shared)")
    return tuple(dict.fromkeys(said))


def power_trace(series: Series, points: int = 200) -> list[tuple[float, float]]:
    """Mean power over at most ``points`` equal intervals: (seconds from the start, watts)."""
    if len(series.t_ns) < 2:
        return []
    start, end = series.t_ns[0], series.t_ns[-1]
    steps = max(1, min(points, len(series.t_ns) - 1))
    edges = [start + (end - start) * i // steps for i in range(steps + 1)]
    levels = [energy_at(series, edge) for edge in edges]
    return [
        ((edges[i] - start) / 1e9, (levels[i + 1] - levels[i]) / ((edges[i + 1] - edges[i]) / 1e9))
        for i in range(steps)
        if edges[i + 1] > edges[i]
    ]


def _locate(series: Series, t_ns: int) -> tuple[int, float]:
    """The index of the reading at or before ``t_ns``, and the fraction towards the next one (0 to
    1)."""
    times = series.t_ns
    if not times or t_ns < times[0]:
        raise NotCovered(f"no reading of {series.domain.name} at or before the span's edge")
    before = bisect_right(times, t_ns) - 1
    if times[before] == t_ns:
        return before, 0.0
    if before + 1 >= len(times):
        raise NotCovered(f"no reading of {series.domain.name} at or after the span's edge")
    return before, (t_ns - times[before]) / (times[before + 1] - times[before])


def _touches(event: Event, span: Span, domain: Domain) -> bool:
    return (
        event.kind == "invalid"
        and event.domain in (None, domain.name)
        and event.t0_ns <= span.t1_ns
        and event.t1_ns >= span.t0_ns
    )


def _edge_j(series: Series, t_ns: int) -> float:
    """Standard uncertainty (k = 1, joules) of the cumulative energy at one edge.

    It has four parts, each with a rectangular distribution (GUM 4.3.7) of this half-width:
    interpolation, at most the energy on the nearer side of the edge (:data:`PEAK`); the counter's
    tick, at most the energy of one tick at the highest power nearby, or of the time during which it
    did not step (:func:`_held_back_j`); its resolution; and the alignment of two machines' clocks
    (``Series.clock_s``), at the highest power nearby.
    """
    before, fraction = _locate(series, t_ns)
    domain = series.domain
    tick_s = _tick_s(domain)
    sensor = domain.sensor
    width_s = 0.1 if sensor is None else 2 * sensor.lag_s
    nearby_w = _nearby_power_w(series, t_ns, max(width_s, 2 * tick_s, 2 * series.clock_s))
    interpolation = 0.0
    if fraction > 0.0:
        gap_j = series.energy_j[before + 1] - series.energy_j[before]
        gap_s = (series.t_ns[before + 1] - series.t_ns[before]) / 1e9
        most_w = min(domain.max_power_w or UNKNOWN_MAX_POWER_W, PEAK * nearby_w)
        nearer_s = gap_s * min(fraction, 1 - fraction)
        interpolation = min(gap_j * max(fraction, 1 - fraction), most_w * nearer_s)
    tick = _held_back_j(series, before, nearby_w) if sensor is None else nearby_w * edge_s(domain)
    resolution = (domain.resolution_j or 0.0) / 2
    clock = nearby_w * series.clock_s
    return math.sqrt((interpolation**2 + tick**2 + resolution**2 + clock**2) / 3)


def _held_back_j(series: Series, at: int, nearby_w: float) -> float:
    """The energy that the counter may not have shown yet at the reading ``at`` (joules),
    half-width.

    Normally this is the energy of one tick: a mark waits two ticks for the next step
    (``recorder.poller``). If there was no step, it is the energy at the nearby power since the
    value was first observed, plus what was already missing then.
    """
    tick_s = _tick_s(series.domain)
    level, since = series.energy_j[at], at
    while since > 0 and series.energy_j[since - 1] == level:
        since -= 1
    seen_s = (series.t_ns[at] - series.t_ns[since]) / 1e9
    if since == at or seen_s < STALE_TICKS * tick_s:
        return nearby_w * tick_s
    before = max(0, since - 1)
    expected_j = nearby_w * (series.t_ns[at] - series.t_ns[before]) / 1e9
    came_j = level - series.energy_j[before]
    return max(nearby_w * max(tick_s, seen_s), expected_j - came_j)


def _tick_s(domain: Domain) -> float:
    return UNKNOWN_TICK_S if domain.tick_s is None else domain.tick_s


def _nearby_power_w(series: Series, t_ns: int, window_s: float) -> float:
    """The highest mean power of the windows before and after ``t_ns``, as far as the series
    reaches."""
    width = round(window_s * 1e9)
    start = max(series.t_ns[0], t_ns - width)
    end = min(series.t_ns[-1], t_ns + width)
    here = energy_at(series, t_ns)
    powers = [0.0]
    if t_ns > start:
        powers.append((here - energy_at(series, start)) / ((t_ns - start) / 1e9))
    if end > t_ns:
        powers.append((energy_at(series, end) - here) / ((end - t_ns) / 1e9))
    return max(powers)
