"""Energy: a pure function of series and spans.

A counter is read at instants; between two readings the energy is interpolated linearly. Every
figure carries the standard uncertainty of its two edges (see :func:`_edge_j`); what a meter
cannot carry is refused with a reason, never returned as a number.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable

import msgspec

from permille import disturbance
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
"""Assumed for a counter that was never seen to tick: the slowest documented for NVML (Yang et
al., SC24: 10 to 100 ms)."""

UNKNOWN_MAX_POWER_W = 2000.0
"""Greatest power assumed of a domain that states none; above any single package or GPU sold."""

PEAK = 5.0
"""How far the power of an instant may exceed the greater of the mean powers just before and after
it (0.1 s or two ticks): a package goes from a tenth of its power to all of it and no further."""

CARRIES = 0.25
"""A span is refused where its edges alone make its energy uncertain by more than this (relative,
k = 2)."""


STILL_S = 0.5
STILL_TICKS = 5
"""A counter that did not move within a span is believed from this length on (seconds, ticks); from
that many ticks of another domain of the same meter on, where that one did move meanwhile."""

LEAST_W: dict[DomainKind, float] = {"cpu": 0.1, "dram": 0.001, "gpu": 0.5, "node": 0.5}
"""Mean power below which no hardware of a kind runs while it is used (watts): what a meter then
says is not its power, and 0 J is a meter that hangs. Laptops' packages idle at some tenths of a
watt; memory refreshes itself even when nobody reads it. (A GPU that nobody uses may be off.)"""

STOP_S = 0.5
SHORTEST_STOP_S = 0.25
STOP_SHARE = 0.1
STOP_TICKS = 10
"""A counter that stops within a span and goes on later has lost that time, unseen in the sum. It
has stopped after a tenth of the span, at least 0.25 s and at most 0.5 s, and never before ten
ticks. A shorter stop of a counter of milliseconds is a reader that was held up."""


STALE_TICKS = 1.5
"""A reading seen unchanged for as many ticks is older than one tick."""


class NotCovered(ValueError):
    """The series does not reach over the instant."""


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
    """Energy of one domain over one span, or the reason that there is none.

    ``meter_tick_s`` is the tick of another domain of the same meter that moved within the span.
    Refused where there is no reading on one side of the span, where an event of kind ``invalid``
    touches it, where its edges are so uncertain that the figure would mean nothing
    (:data:`CARRIES`), and where a counter of what cannot but draw power (:data:`LEAST_W`) stands
    still, or nearly so, or stops for a while.
    """
    for event in events:
        if _touches(event, span, series.domain):
            return Refused(reason=event.reason)
    try:
        energy_j = energy_at(series, span.t1_ns) - energy_at(series, span.t0_ns)
    except NotCovered as error:
        return Refused(reason=str(error))
    edge_j = math.hypot(_edge_j(series, span.t0_ns), _edge_j(series, span.t1_ns))
    domain = series.domain
    # A counter that stood still within a long span is believed if it stood still around it too:
    # its edges are then uncertain by its resolution alone.
    still_s = max(STILL_S, STILL_TICKS * _tick_s(domain))
    if meter_tick_s is not None:
        still_s = STILL_TICKS * meter_tick_s
    bearable_j = CARRIES * energy_j if energy_j > 0 else (domain.resolution_j or 0.0)
    if 2 * edge_j > bearable_j or (energy_j <= 0 and span.seconds < still_s):
        said = (
            f"is uncertain by ±{200 * edge_j / energy_j:.0f} % from its edges alone"
            if energy_j > 0
            else "has passed between two of its ticks"
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
        accuracy_low=domain.accuracy_low,
        accuracy_high=domain.accuracy_high,
        provenance=domain.provenance,
        kind=domain.kind,
        meter=domain.meter,
        covers=domain.covers,
        in_use=domain.in_use,
        time_j=None if domain.time_w is None else min(energy_j, domain.time_w * span.seconds),
    )


def _enough_s(seconds: float, energy_j: float, edge_j: float, domain: Domain) -> float:
    """How long a span at this power has to be for its edges to be bearable, with some margin."""
    if energy_j <= 0:
        return max(STILL_S, 10 * _tick_s(domain))
    return max(10 * _tick_s(domain), 2 * seconds * 2 * edge_j / (CARRIES * energy_j))


def _draws_power(domain: Domain) -> bool:
    measured = domain.provenance is Provenance.MEASURED
    return measured and domain.in_use and domain.kind in LEAST_W


def _too_little(series: Series, span: Span, energy_j: float) -> str | None:
    """Why this is less than hardware that is used can draw, or None."""
    meter = series.domain.meter
    if energy_j <= 0:
        return f"{meter} hangs: its counter did not move in {span.seconds:.3g} s"
    power_w = energy_j / span.seconds
    if power_w < LEAST_W[series.domain.kind]:
        return (
            f"{meter} says {power_w:.2g} W: a {series.domain.kind} in use draws more, so that is"
            " not its power"
        )
    still_s = longest_still_s(series, span)
    # A coarse counter rests between its steps: three of them at this power are no stop.
    resting_s = 3 * (series.domain.resolution_j or 0.0) / power_w
    least_s = min(STOP_S, max(SHORTEST_STOP_S, STOP_SHARE * span.seconds))
    if still_s > max(least_s, STOP_TICKS * _tick_s(series.domain), resting_s):
        return (
            f"{meter} stopped: its counter stood still for {still_s:.3g} s of {span.seconds:.3g} s"
        )
    return None


def longest_still_s(series: Series, span: Span) -> float:
    """Seconds of the longest stretch within ``span`` over which readings show one energy."""
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
    for series in recording.series:
        domain = series.domain
        tick_s = _moving_tick_s(recording, series, span)
        figure = span_energy(series, span, recording.events, meter_tick_s=tick_s)
        if isinstance(figure, Refused):
            problems[domain.name] = Problem(
                reason=figure.reason, kind=domain.kind, in_use=domain.in_use
            )
        else:
            domains[domain.name] = _with_own(figure, recording, span)
    inferences = span.attributes.get("inferences")
    return Phase(
        seconds=span.seconds,
        domains=domains,
        problems=problems,
        inferences=inferences,
        disturbance=disturbance.of_span(recording.cpu, span),
    )


def _with_own(figure: DomainEnergy, recording: Recording, span: Span) -> DomainEnergy:
    """An estimate with what it would be if nobody else had worked: its time, and its work to the
    share of the CPU time that the run's own processes took."""
    share = disturbance.own_share(recording.cpu, span)
    if figure.time_j is None or share is None:
        return figure
    own_j = figure.time_j + share * (figure.energy_j - figure.time_j)
    return msgspec.structs.replace(figure, own_j=own_j)


def _moving_tick_s(recording: Recording, series: Series, span: Span) -> float | None:
    """The slowest known tick among the other domains of the same meter that moved meanwhile."""
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
    """What is worth saying of a recording beside its energy, once each."""
    said = [
        f"{event.domain}: {event.reason}" if event.domain else event.reason
        for event in recording.events
        if event.kind == "notice"
    ]
    if recording.shared:
        said.append("another run was allowed on this machine at the time (--shared)")
    return tuple(dict.fromkeys(said))


def power_trace(series: Series, points: int = 200) -> list[tuple[float, float]]:
    """Mean power over at most ``points`` equal stretches: (seconds from the start, watts)."""
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
    """Index of the reading at or before ``t_ns``, and how far on to the next one (0 to 1)."""
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

    Three parts, each a rectangular distribution (GUM 4.3.7) of the half-width named:
    interpolation, at most the energy that can lie on the nearer side of the edge
    (:data:`PEAK`); the counter's tick, at most the energy of one tick at the greatest power
    nearby, or of as long as it was seen not to step (:func:`_held_back_j`); its resolution.
    """
    before, fraction = _locate(series, t_ns)
    domain = series.domain
    tick_s = _tick_s(domain)
    nearby_w = _nearby_power_w(series, t_ns, max(0.1, 2 * tick_s))
    interpolation = 0.0
    if fraction > 0.0:
        gap_j = series.energy_j[before + 1] - series.energy_j[before]
        gap_s = (series.t_ns[before + 1] - series.t_ns[before]) / 1e9
        most_w = min(domain.max_power_w or UNKNOWN_MAX_POWER_W, PEAK * nearby_w)
        nearer_s = gap_s * min(fraction, 1 - fraction)
        interpolation = min(gap_j * max(fraction, 1 - fraction), most_w * nearer_s)
    tick = _held_back_j(series, before, nearby_w)
    resolution = (domain.resolution_j or 0.0) / 2
    return math.sqrt((interpolation**2 + tick**2 + resolution**2) / 3)


def _held_back_j(series: Series, at: int, nearby_w: float) -> float:
    """What the counter may not have shown yet at the reading ``at`` (joules), half-width.

    One tick's energy, as a rule: a mark waits two ticks for the next step
    (``recorder.polling``). Where none came, all that the power nearby would have given since it
    was first seen at this level, and what was missing already when that was.
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
    """Greatest mean power over the window before and the window after ``t_ns``, as far as the
    series reaches."""
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
