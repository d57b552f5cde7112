"""One span over all domains of a recording, and what is to be said about the recording."""

from __future__ import annotations

import msgspec

from permille.energy import disturbance
from permille.energy.levels import moved
from permille.energy.span_energy import span_energy
from permille.records.energy import DomainEnergy, Phase, Problem, Refused
from permille.records.recording import Recording, Series, Span


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


def covered(recording: Recording, name: str) -> Span | None:
    """The time over which every domain with two readings or more was read, as a span; None if there
    is none. Beyond it, some domain would have no figure, which a sum would lack."""
    read = [series for series in recording.series if len(series.t_ns) > 1]
    if not read:
        return None
    t0_ns = max(series.t_ns[0] for series in read)
    t1_ns = min(series.t_ns[-1] for series in read)
    return Span(name=name, t0_ns=t0_ns, t1_ns=t1_ns) if t0_ns < t1_ns else None


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
        and moved(other, span)
    ]
    # The slowest: in five ticks of a faster domain this one need not have moved.
    return max(ticks, default=None)


def notices(recording: Recording) -> tuple[str, ...]:
    """The distinct notes about a recording."""
    said = [
        f"{event.domain}: {event.reason}" if event.domain else event.reason
        for event in recording.events
        if event.kind == "notice"
    ]
    if recording.shared:
        said.append("concurrent runs were allowed on the machine (--shared)")
    # A condition that lasts, such as throttling, makes an event each time that it is found.
    return tuple(dict.fromkeys(said))
