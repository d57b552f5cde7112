"""Energy next to what was served: the lines that a watch prints. Pure.

A figure per request or token needs both: the energy of every second between two readings of the
server's counters, and the counts between them. Where one is unknown, the stretch has no figure and
is in no total of such figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from permille.analysis.commands import Figure, figure
from permille.analysis.estimates import Interval, scaled
from permille.carbon.footprint import footprint
from permille.carbon.settings import CarbonSettings
from permille.records import JsonOutput, Record
from permille.records.energy import Boundary, DomainEnergy, Estimate, Phase, Problem
from permille.records.recording import DomainKind, Provenance
from permille.units import kwh_from_joules, per_1000, wh_from_kwh
from permille.watch.served import ServedCounts, ServedWork


class ServedTokens(Record):
    """Tokens; null: the server does not count them, or their number is unknown."""

    input: float | None = None
    output: float | None = None


class WatchedModel(Record):
    """What one model did. Its energy is only known if no other model did anything meanwhile."""

    requests: float | None
    tokens: ServedTokens
    wh_per_1000: Interval | None
    j_per_token: Interval | None


class WatchedDomain(Record):
    """A domain's joules since the last line; null, with the reason, if they are unknown."""

    energy_j: float | None
    provenance: Provenance | None
    reason: str | None = None


class WatchTotal(Record):
    """From the start on: the stretches of which both energy and counts are known, ``seconds`` long;
    ``left_out_s`` are the others. ``idle_share`` is of ``seconds``, null if unknown. ``notes``: why
    a figure may be too low."""

    seconds: float
    left_out_s: float
    requests: float | None
    tokens: ServedTokens
    energy_j: Interval | None
    wh_per_1000: Interval | None
    co2e_g_per_1000: Interval | None
    j_per_token: Interval | None
    idle_share: float | None
    notes: tuple[str, ...]


class WatchLine(JsonOutput):
    """A line of ``permille watch --json-lines``. ``t`` is UTC, its end; ``seconds``, ``energy_j``
    and ``domains`` are since the last line.

    Requests, tokens and the figures per each are over ``counted_s``, the seconds since the counters
    were last read: more than ``seconds`` after failed readings, null where they are unknown.
    ``j_per_token`` is per output token. ``idle``: nothing was served meanwhile. ``own_cpu`` is what
    permille used, as a share of one core. ``watch``: the id of the watch in the store, if it is
    kept.
    """

    t: str
    seconds: float
    counted_s: float | None
    requests: float | None
    tokens: ServedTokens
    requests_per_s: float | None
    tokens_per_s: float | None
    running: float | None
    idle: bool | None
    boundary: Boundary
    provenance: Provenance | None
    energy_j: Interval | None
    wh_per_1000: Interval | None
    co2e_g_per_1000: Interval | None
    j_per_token: Interval | None
    domains: dict[str, WatchedDomain]
    models: dict[str, WatchedModel]
    notes: tuple[str, ...]
    own_cpu: float
    total: WatchTotal
    watch: str | None = None


class _PerUnit(Record):
    wh_per_1000: Interval | None = None
    co2e_g_per_1000: Interval | None = None
    j_per_token: Interval | None = None


class WatchStep(Record):
    """One look at the meters and the counters. ``served`` is None if the counts are unknown;
    ``lost`` if those since the last reading will never be known (a restart)."""

    t: str
    phase: Phase
    served: ServedWork | None
    lost: bool
    running: float | None
    notes: tuple[str, ...]
    own_cpu: float


class WatchLedger:
    """Takes the steps of a watch in order; gives a line for each."""

    def __init__(self, boundary: Boundary, carbon: CarbonSettings) -> None:
        self._boundary, self._carbon = boundary, carbon
        self._open: Phase | None = None  # since the counters were last read
        self._known: Phase | None = None
        self._counts: ServedCounts | None = None
        self._left_out_s = self._idle_s = 0.0
        self._idle_known = True
        self._doubt: str | None = None

    def add(self, step: WatchStep) -> WatchLine:
        """The line of one step."""
        energy = self._figure(step.phase)
        stretch = step.phase if self._open is None else joined([self._open, step.phase])
        self._open = stretch
        served = step.served
        counts = ServedCounts() if served is None else served.counts
        per = _PerUnit()
        # After a failed reading the stretch stays open: its counts come with the next reading, and
        # the energy that they took must come with them.
        if served is not None or step.lost:
            self._open = None
        if served is not None:
            per = self._per_unit(self._figure(stretch).energy, counts)
            self._sum(stretch, served)
        elif step.lost:
            self._left_out_s += stretch.seconds
        counted_s = None if served is None else stretch.seconds
        return WatchLine(
            t=step.t,
            seconds=step.phase.seconds,
            counted_s=counted_s,
            requests=counts.requests,
            tokens=_tokens(counts),
            requests_per_s=_rate(counts.requests, counted_s),
            tokens_per_s=_rate(counts.output_tokens, counted_s),
            running=step.running,
            idle=None if served is None else served.idle,
            boundary=self._boundary,
            provenance=energy.provenance,
            energy_j=Interval.known(energy.energy),
            wh_per_1000=per.wh_per_1000,
            co2e_g_per_1000=per.co2e_g_per_1000,
            j_per_token=per.j_per_token,
            domains=_domains(step.phase),
            models={} if served is None else _models(served, per),
            notes=tuple(_notes(step, energy)),
            own_cpu=step.own_cpu,
            total=self._total(),
        )

    def _figure(self, phase: Phase) -> Figure:
        return figure([phase], [None], self._boundary, self._carbon.pue)

    def _sum(self, stretch: Phase, served: ServedWork) -> None:
        """Add a stretch to the totals, if its energy is known too."""
        if self._figure(stretch).energy is None:
            self._left_out_s += stretch.seconds
            return
        known = self._known
        # Joined at once: a watch may last for months, and must not hold every stretch of them.
        self._known = stretch if known is None else joined([known, stretch])
        counts = self._counts
        self._counts = served.counts if counts is None else counts.plus(served.counts)
        self._doubt = served.doubt or self._doubt
        if served.idle is None:
            self._idle_known = False
        elif served.idle:
            self._idle_s += stretch.seconds

    def _total(self) -> WatchTotal:
        waiting_s = 0.0 if self._open is None else self._open.seconds
        known, counts = self._known, self._counts or ServedCounts()
        seconds = 0.0 if known is None else known.seconds
        energy = None if known is None else self._figure(known).energy
        per = self._per_unit(energy, counts)
        return WatchTotal(
            seconds=seconds,
            left_out_s=self._left_out_s + waiting_s,
            requests=counts.requests,
            tokens=_tokens(counts),
            energy_j=Interval.known(energy),
            wh_per_1000=per.wh_per_1000,
            co2e_g_per_1000=per.co2e_g_per_1000,
            j_per_token=per.j_per_token,
            idle_share=self._idle_s / seconds if seconds and self._idle_known else None,
            notes=() if self._doubt is None else (self._doubt,),
        )

    def _per_unit(self, energy: Estimate | None, counts: ServedCounts) -> _PerUnit:
        """The energy and carbon of what was served; nothing per none."""
        if energy is None:
            return _PerUnit()
        wh = grams = token_j = None
        if counts.requests:
            # Not rounded: of half a request, which a server's own metric may count, none would be
            # left to divide by.
            requests = counts.requests
            wh = scaled(energy, lambda j: per_1000(wh_from_kwh(kwh_from_joules(j)), requests))
            grams = scaled(energy, lambda j: per_1000(self._grams(j), requests))
        if counts.output_tokens:
            tokens = counts.output_tokens
            token_j = scaled(energy, lambda j: j / tokens)
        return _PerUnit(
            wh_per_1000=Interval.known(wh),
            co2e_g_per_1000=Interval.known(grams),
            j_per_token=Interval.known(token_j),
        )

    def _grams(self, energy_j: float) -> float:
        return footprint(kwh_from_joules(energy_j), self._carbon, self._boundary).location_g


def _notes(step: WatchStep, energy: Figure) -> Iterator[str]:
    if step.served is not None and step.served.doubt is not None:
        yield step.served.doubt
    yield from step.notes
    if energy.reason:
        yield energy.reason


def joined(phases: Sequence[Phase]) -> Phase:
    """Consecutive phases as one. A domain that lacks a figure in one of them has none."""
    names = dict.fromkeys(name for p in phases for name in (*p.domains, *p.problems))
    domains: dict[str, DomainEnergy] = {}
    problems: dict[str, Problem] = {}
    for name in names:
        parts = [phase.domains[name] for phase in phases if name in phase.domains]
        if len(parts) == len(phases):
            domains[name] = _joined(parts)
            continue
        faults = [phase.problems[name] for phase in phases if name in phase.problems]
        kind: DomainKind = faults[0].kind if faults else parts[0].kind
        reason = faults[0].reason if faults else "it was not metered all the time"
        in_use = any(part.in_use for part in parts) or any(fault.in_use for fault in faults)
        problems[name] = Problem(reason=reason, kind=kind, in_use=in_use)
    return Phase(
        seconds=math.fsum(phase.seconds for phase in phases), domains=domains, problems=problems
    )


def _joined(parts: Sequence[DomainEnergy]) -> DomainEnergy:
    """Consecutive energies of one domain. The relative accuracy is that of all of the energy. The
    uncertainties of the edges add in quadrature, which is more than they are: what one phase lacks
    at an edge that two share, the other has."""
    energy_j = math.fsum(part.energy_j for part in parts)
    last = parts[-1]
    weights = [part.energy_j / energy_j if energy_j > 0 else 1 / len(parts) for part in parts]
    return DomainEnergy(
        energy_j=energy_j,
        edge_j=math.hypot(*(part.edge_j for part in parts)),
        accuracy_low=_mean(weights, [part.accuracy_low for part in parts]),
        accuracy_high=_mean(weights, [part.accuracy_high for part in parts]),
        # The weakest: a part that was only estimated makes the sum an estimate.
        provenance=max((part.provenance for part in parts), key=lambda p: p.weakness),
        kind=last.kind,
        meter=last.meter,
        covers=last.covers,
        in_use=any(part.in_use for part in parts),
        # A sensor's constant error has the same sign in every phase, so it does not average out.
        offset_j=math.fsum(part.offset_j for part in parts),
    )


def _mean(weights: Sequence[float], values: Sequence[float]) -> float:
    return math.fsum(weight * value for weight, value in zip(weights, values, strict=True))


def _models(served: ServedWork, per: _PerUnit) -> dict[str, WatchedModel]:
    """Each model's counts; its energy if it was the only one that worked."""
    working = [
        name
        for name, counts in served.models.items()
        if counts.requests or counts.input_tokens or counts.output_tokens
    ]
    shown = {}
    for name, counts in served.models.items():
        alone = working == [name]
        shown[name] = WatchedModel(
            requests=counts.requests,
            tokens=_tokens(counts),
            wh_per_1000=per.wh_per_1000 if alone else None,
            j_per_token=per.j_per_token if alone else None,
        )
    return shown


def _domains(phase: Phase) -> dict[str, WatchedDomain]:
    known = {
        name: WatchedDomain(energy_j=domain.energy_j, provenance=domain.provenance)
        for name, domain in phase.domains.items()
    }
    return known | {
        name: WatchedDomain(energy_j=None, provenance=None, reason=problem.reason)
        for name, problem in phase.problems.items()
    }


def _tokens(counts: ServedCounts) -> ServedTokens:
    return ServedTokens(input=counts.input_tokens, output=counts.output_tokens)


def _rate(count: float | None, seconds: float | None) -> float | None:
    return None if count is None or not seconds else count / seconds
