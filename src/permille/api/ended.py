"""Ended spans and their energy. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from permille.analysis.spans import Measured, overlapping
from permille.energy import phases
from permille.records import Record
from permille.records.energy import Phase, Problem
from permille.records.recording import Recording, Span


class EndedSpan(Record):
    """A finished span, and the exception that ended it."""

    span: Span
    raised: str | None


def named(error: BaseException) -> str:
    """The exception on one line of limited length."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def measured_of(
    ended: Sequence[EndedSpan],
    idle: Span | None,
    recording: Recording | None,
    death: str | None,
) -> list[Measured]:
    """Each span with its energy by domain; overlapping ones are merged. Without a recording they
    have no energy, and ``death`` says how the recorder ended."""
    idle_phase = None if idle is None else _phase(idle, recording, death)
    merged = []
    for group in overlapping([each.span for each in ended]):
        members = [ended[i] for i in group]
        spans = [each.span for each in members]
        merged.append(
            Measured(
                phase=_phase(_covered(spans), recording, death),
                idle=idle_phase,
                raised=tuple(each.raised for each in members if each.raised),
                spans=len(spans),
                spans_s=math.fsum(span.seconds for span in spans),
            )
        )
    return merged


def _covered(spans: Sequence[Span]) -> Span:
    """The period that overlapping spans cover together, with all of their inferences."""
    counts = [s.attributes["inferences"] for s in spans if "inferences" in s.attributes]
    return Span(
        name=spans[0].name,
        t0_ns=min(span.t0_ns for span in spans),
        t1_ns=max(span.t1_ns for span in spans),
        # A sum without the spans that have no number would be too small, and the energy of each
        # inference too large.
        attributes={"inferences": sum(counts)} if len(counts) == len(spans) else {},
    )


def _phase(span: Span, recording: Recording | None, death: str | None) -> Phase:
    if recording is not None:
        return phases.phase(recording, span)
    # Of the kind that every boundary counts (analysis.boundaries), so that this is the reason in
    # each of them.
    problem = Problem(reason=death or "nothing was recorded", kind="cpu")
    n = span.attributes.get("inferences")
    return Phase(seconds=span.seconds, domains={}, problems={"meters": problem}, inferences=n)
