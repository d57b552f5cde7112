"""Pool spans of one name into a result. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from permille import disturbance
from permille.analysis.commands import DomainMean, figure, per_inference, per_unit_j
from permille.analysis.rows import scaled
from permille.carbon.footprint import carbon_overhead
from permille.carbon.settings import resolve
from permille.records import Boundary, Estimate, Phase, Provenance, Record, Span
from permille.units import co2e_g, kwh_from_joules

ONE_PROCESS = (
    "the interval includes the spread of spans of one process; fresh processes may differ by more"
)


SHARED_OUT = (
    "spans of this name overlapped: the energy of the time that they cover together is shared"
    " among them"
)


class Measured(Record):
    """A span with its energy, or several overlapping ones merged: the idle phase before them, the
    exceptions that ended them, their number and the sum of their lengths."""

    phase: Phase
    idle: Phase | None = None
    raised: tuple[str, ...] = ()
    spans: int = 1
    spans_s: float | None = None


def overlapping(spans: Sequence[Span]) -> list[list[int]]:
    """The indices of ``spans`` in groups that each cover a period without a gap.

    A meter reads the whole machine, so the energy of such a period counts once for the group.
    """
    groups: list[list[int]] = []
    end_ns = 0
    for i in sorted(range(len(spans)), key=lambda i: spans[i].t0_ns):
        if groups and spans[i].t0_ns < end_ns:
            groups[-1].append(i)
        else:
            groups.append([i])
            end_ns = 0
        end_ns = max(end_ns, spans[i].t1_ns)
    return groups


class Result(Record):
    """The result of the spans with one name.

    ``energy`` is in joules: that of a single span (with the meters' interval), otherwise the mean
    over the ``spans`` (whose interval includes their spread: Student t, 95 %). Overlapping spans
    share the energy of the machine while they ran. ``net`` is above the idle power.
    ``kwh_per_1000`` is per 1,000 inferences, None if their number is unknown. ``inferences`` is
    their number over all spans, ``seconds`` the mean length of a span. If the energy is unknown it
    is None, ``valid`` is false and ``reason`` says why. ``valid`` is also false, with an energy, if
    an exception ended a span. ``disturbed`` is the share of the spans during which other processes
    used over 5 % of the CPU time; None if unknown.
    """

    name: str
    energy: Estimate | None
    net: Estimate | None
    kwh_per_1000: Estimate | None
    domains: dict[str, DomainMean]
    seconds: float
    spans: int
    inferences: int | None
    boundary: Boundary
    pue: float
    provenance: Provenance | None
    valid: bool
    reason: str | None
    notes: tuple[str, ...] = ()
    disturbed: float | None = None

    def co2e_g(
        self, region: str | None = None, *, intensity: float | None = None, year: int | None = None
    ) -> Estimate | None:
        """Grams of CO2e of ``energy``, for a region (``"FR"``) or an ``intensity`` (gCO2e/kWh).

        The default is the world average. The PUE of the recording counts once.

        Raises:
            CarbonError: an unknown region or year, or a number out of range.
        """
        settings = resolve(region, intensity, year, self.pue)
        overhead = carbon_overhead(settings.pue, self.boundary)
        grams = settings.intensity_g_per_kwh * overhead
        return self.energy and scaled(self.energy, lambda j: co2e_g(kwh_from_joules(j), grams))


def pooled(
    name: str,
    spans: Sequence[Measured],
    *,
    boundary: Boundary,
    pue: float,
    notes: Sequence[str] = (),
) -> Result:
    """The result of at least one span. If one span has no figure, none has: leaving out the spans
    that a meter could not resolve would bias the mean."""
    phases = [span.phase for span in spans]
    bounded = figure(phases, [span.idle for span in spans], boundary, pue)
    inferences = _inferences(phases)
    counts = [span.spans for span in spans]
    # Overlapping spans are one phase here, and a span gets its share of it.
    share = len(counts) / sum(counts)
    energy = bounded.energy
    if energy and share < 1:
        energy = per_unit_j(phases, counts, boundary, pue)
    kwh_per_1000 = (
        per_inference(phases, inferences, boundary, pue) if energy and inferences else None
    )
    return Result(
        name=name,
        energy=energy,
        net=bounded.net and scaled(bounded.net, lambda j: j * share),
        kwh_per_1000=kwh_per_1000,
        domains=_shared(bounded.domains, share),
        seconds=math.fsum(_length_s(span) for span in spans) / sum(counts),
        spans=sum(counts),
        inferences=sum(inferences) if inferences else None,
        boundary=boundary,
        pue=pue,
        provenance=bounded.provenance,
        valid=energy is not None and not any(span.raised for span in spans),
        reason="; ".join(filter(None, [_raised(spans), bounded.reason])) or None,
        notes=(*notes, *_notes(spans, bounded.note, shared_out=share < 1)),
        disturbed=disturbance.share_disturbed([_named(span) for span in spans]),
    )


def _inferences(phases: Sequence[Phase]) -> list[int] | None:
    """The number of inferences of each phase; None if one is unknown, because a sum without it
    would make the figure per inference too high."""
    known = [phase.inferences for phase in phases if phase.inferences is not None]
    return known if len(known) == len(phases) else None


def _shared(domains: dict[str, DomainMean], share: float) -> dict[str, DomainMean]:
    return {
        name: msgspec.structs.replace(domain, energy_j=domain.energy_j * share)
        for name, domain in domains.items()
    }


def _length_s(span: Measured) -> float:
    return span.phase.seconds if span.spans_s is None else span.spans_s


def _notes(spans: Sequence[Measured], of_figure: str, *, shared_out: bool) -> list[str]:
    """The distinct notes on a figure."""
    notes = [of_figure] if of_figure else []
    if shared_out:
        notes.append(SHARED_OUT)
    notes += disturbance.over_runs([_named(span) for span in spans], "spans")
    if len(spans) > 1:
        notes.append(ONE_PROCESS)
    return notes


def _named(span: Measured) -> dict[str, Phase]:
    return {"measured": span.phase} | ({} if span.idle is None else {"idle": span.idle})


def _raised(spans: Sequence[Measured]) -> str | None:
    raised = [each for span in spans for each in span.raised]
    if not raised:
        return None
    return f"{len(raised)} of {sum(span.spans for span in spans)} spans ended with {raised[0]}"
