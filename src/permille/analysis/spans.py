"""Pool spans of one name into a result. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from permille.analysis.cards import Card, CardLine, as_html
from permille.analysis.commands import DomainMean, figure, per_inference, per_unit_j
from permille.analysis.estimates import scaled
from permille.analysis.evidence_words import estimate_text, estimated_notes
from permille.carbon.footprint import carbon_overhead
from permille.carbon.settings import resolve
from permille.energy import disturbance
from permille.errors import UsageError
from permille.records import Record
from permille.records.energy import Boundary, Estimate, Phase
from permille.records.recording import Provenance, Series, Span
from permille.units import (
    co2e_g,
    counted,
    format_energy_j,
    format_energy_kwh,
    format_seconds,
    kwh_from_joules,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
        # A span that begins where another ends shares no energy with it.
        if groups and spans[i].t0_ns < end_ns:
            groups[-1].append(i)
        else:
            groups.append([i])
        end_ns = max(end_ns, spans[i].t1_ns)
    return groups


class PowerOverTime(Record):
    """The series of the domains of one recording, and when the spans in it began and ended
    (CLOCK_MONOTONIC, ns)."""

    series: tuple[Series, ...]
    spans_ns: tuple[tuple[int, int], ...]


class Result(Record):
    """The result of the spans with one name.

    ``energy`` is in joules: that of a single span (with the meters' interval), otherwise the mean
    over the ``spans`` (whose interval includes their spread: Student t, 95 %). Overlapping spans
    share the energy of the machine while they ran. ``net`` is above the idle power.
    ``kwh_per_1000`` is per 1,000 inferences, None if their number is unknown. ``inferences`` is
    their number over all spans, ``seconds`` the mean length of a span. If the energy is unknown it
    is None, ``valid`` is false and ``reason`` says why. ``valid`` is also false, with an energy, if
    an exception ended a span. ``disturbed`` is the share of the spans during which other processes
    used over 5 % of the CPU time; None if unknown. ``power`` is what :meth:`plot` draws; None if
    the spans are of several recordings, or of none.
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
    power: PowerOverTime | None = None

    def __repr__(self) -> str:
        return f"<Result {self.name!r}: {'; '.join((*_figures(self), *_basis(self)))}>"

    def _repr_html_(self) -> str:
        return as_html(card([self], self.name))

    def plot(self, ax: Axes | None = None) -> Axes:
        """The power of each domain over time (W, s), with the spans shaded. It is drawn on ``ax``,
        or on a new figure, with matplotlib.

        Raises:
            UsageError: there are no readings to draw, or matplotlib is not installed.
        """
        from permille.analysis.plots import power_axes

        if self.power is None or not any(each.t_ns for each in self.power.series):
            raise UsageError(
                f"there is no power to plot for {self.name!r}: its spans are of several"
                " recordings, the recorder died, or no meter could be read"
            )
        return power_axes(self.power.series, self.power.spans_ns, self.name, ax)

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
    power: PowerOverTime | None = None,
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
        # A span that an exception ended may have done a part of its work: the energy of that part
        # is known, and is not that of the whole.
        valid=energy is not None and not any(span.raised for span in spans),
        reason="; ".join(filter(None, [_raised(spans), bounded.reason])) or None,
        notes=(*notes, *_notes(spans, bounded.note, shared_out=share < 1)),
        disturbed=disturbance.share_disturbed([_named(span) for span in spans]),
        power=power,
    )


def card(results: Sequence[Result], title: str) -> Card:
    """What a notebook shows of the results of a recording. A line of a result has a bar for its
    energy; of several, for the energy per 1,000 inferences if all of them know it."""
    if len(results) == 1:
        lines = _lines(results[0], per_1000=False)
    else:
        # Bars of one scale must be of one quantity.
        per_1000 = all(result.kwh_per_1000 for result in results)
        lines = [line for result in results for line in _named_lines(result, per_1000=per_1000)]
    facts = ("in brackets: 95 % intervals", *(_basis(results[0]) if len(results) == 1 else ()))
    notes = [note for result in results for note in result.notes]
    if any(result.provenance == Provenance.ESTIMATED for result in results):
        notes += estimated_notes([None])
    return Card(title=title, lines=tuple(lines), facts=facts, notes=tuple(dict.fromkeys(notes)))


def _lines(result: Result, *, per_1000: bool) -> list[CardLine]:
    """The figures of a result; the bar is that of the energy, or of the one ``per_1000``."""
    energy = estimate_text(result.energy, format_energy_j)
    text = f"{energy} per span" if result.energy and result.spans > 1 else energy
    lines = [CardLine(label="energy", text=text, bar=None if per_1000 else result.energy)]
    if result.net is not None:
        net = estimate_text(result.net, format_energy_j)
        lines.append(CardLine(label="above idle", text=net))
    if result.kwh_per_1000 is not None:
        each = estimate_text(result.kwh_per_1000, format_energy_kwh)
        bar = result.kwh_per_1000 if per_1000 else None
        lines.append(CardLine(label="per 1,000 inferences", text=each, bar=bar))
    return lines


def _named_lines(result: Result, *, per_1000: bool) -> list[CardLine]:
    """The lines of one of several results, each with its name, and what its figures rest on."""
    lines = _lines(result, per_1000=per_1000)
    named = [msgspec.structs.replace(line, label=f"{result.name}: {line.label}") for line in lines]
    return [*named, CardLine(label="", text="; ".join(_basis(result)))]


def _figures(result: Result) -> list[str]:
    """The figures of a result that exist."""
    figures = []
    if result.energy is not None:
        figures.append(estimate_text(result.energy, format_energy_j))
    if result.kwh_per_1000 is not None:
        figures.append(
            f"{estimate_text(result.kwh_per_1000, format_energy_kwh)} per 1,000 inferences"
        )
    return figures


def _basis(result: Result) -> list[str]:
    """What the figures rest on; or why there are none."""
    reason = f"no figure: {result.reason}" if result.energy is None else result.reason
    boundary = result.boundary + (f", PUE {result.pue:g}" if result.boundary == "facility" else "")
    spans = counted(result.spans, "span")
    stated = [] if reason is None else [reason]
    if result.energy is not None and not result.valid:
        stated.insert(0, "not valid")
    return [
        *stated,
        *([] if result.provenance is None else [result.provenance]),
        boundary,
        f"{spans} of {format_seconds(result.seconds)}",
    ]


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
