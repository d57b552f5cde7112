"""Spans of one name, pooled into what they cost. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from permille import disturbance
from permille.analysis.commands import DomainMean, figure, per_inference
from permille.analysis.rows import scaled
from permille.carbon.footprint import carbon_overhead
from permille.carbon.settings import resolve
from permille.records import Boundary, Estimate, Phase, Provenance, Record
from permille.units import co2e_g, kwh_from_joules

ONE_PROCESS = (
    "the interval holds the spread of spans of one process; fresh processes may differ by more"
)


class Measured(Record):
    """One span with its energy: the idle phase before it, and the exception it ended with."""

    phase: Phase
    idle: Phase | None = None
    raised: str | None = None


class Result(Record):
    """What the spans of one name cost.

    ``energy`` is in joules: of the span where there was one (its interval is the meters'), else
    the mean over the ``spans`` (its interval holds their spread too: Student t, 95 %). ``net`` is
    above the idle power. ``kwh_per_1000`` is per 1,000 inferences, None where they were not told.
    ``inferences`` is their number over all the spans, ``seconds`` the mean length of a span.
    Where the energy cannot be told it is None, ``valid`` is false and ``reason`` says why; it is
    false too, beside an energy, where a span was left by an exception. ``disturbed`` is the share
    of the spans during which other processes used over 5 % of the CPU time; None: not known.
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
        """Grams of CO2e of ``energy``: of a place (``"FR"``), or at ``intensity`` (gCO2e/kWh).

        With neither it is the world's average. The PUE of the recording counts once.

        Raises:
            CarbonError: an unknown place or year, a number out of range.
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
    """The result of at least one span. A span without a figure leaves them all without one: to
    leave out the spans that a meter could not carry would choose among them."""
    phases = [span.phase for span in spans]
    found = figure(phases, [span.idle for span in spans], boundary, pue)
    each = [phase.inferences for phase in phases]
    told = [n for n in each if n is not None]
    known = told if len(told) == len(each) else None
    energy = found.energy
    return Result(
        name=name,
        energy=energy,
        net=found.net,
        kwh_per_1000=per_inference(phases, known, boundary, pue) if energy and known else None,
        domains=found.domains,
        seconds=math.fsum(phase.seconds for phase in phases) / len(phases),
        spans=len(spans),
        inferences=sum(known) if known else None,
        boundary=boundary,
        pue=pue,
        provenance=found.provenance,
        valid=energy is not None and not any(span.raised for span in spans),
        reason=found.reason or _raised(spans),
        notes=(
            *notes,
            *([found.note] if found.note else []),
            *dict.fromkeys(said for span in spans for said in disturbance.notes(_named(span))),
            *_of_one_process(spans),
        ),
        disturbed=disturbance.share_disturbed([_named(span) for span in spans]),
    )


def _named(span: Measured) -> dict[str, Phase]:
    return {"measured": span.phase} | ({} if span.idle is None else {"idle": span.idle})


def _raised(spans: Sequence[Measured]) -> str | None:
    raised = [span.raised for span in spans if span.raised]
    if not raised:
        return None
    return f"{len(raised)} of {len(spans)} spans ended with {raised[0]}"


def _of_one_process(spans: Sequence[Measured]) -> list[str]:
    return [ONE_PROCESS] if len(spans) > 1 else []
