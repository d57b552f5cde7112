"""Two readings of the same hardware, held against each other. Pure.

A GPU may have an energy counter and a power reading. The counter is the figure; the power,
integrated over the same span, is its cross-check. They disagree if they differ by more than their
stated bounds (k = 2) allow, combined in quadrature: an E_n score above 1 (ISO 13528:2015,
9.7). This treats the bounds as independent. NVIDIA's counter and power share a sensor, so the test
is lenient: it finds a counter that is wrong by a tenth, not one that is wrong by a hundredth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from permille.energy.span_energy import span_energy
from permille.records.energy import DomainEnergy, Refused
from permille.records.recording import Recording, Series, Span


def notes(recording: Recording, spans: Iterable[Span]) -> tuple[str, ...]:
    """A note for every span over which a figure and its cross-check disagree. A span that either of
    them cannot resolve has none."""
    figures = {series.domain.name: series for series in recording.series}
    pairs = [
        (figures[check.domain.checks], check)
        for check in recording.cross_checks
        # A counter that vanished leaves its second reading without a figure to compare.
        if check.domain.checks in figures
    ]
    return tuple(
        note
        for span in spans
        for figure, check in pairs
        if (note := _disagreement(recording, figure, check, span)) is not None
    )


def _disagreement(recording: Recording, figure: Series, check: Series, span: Span) -> str | None:
    first = span_energy(figure, span, recording.events)
    second = span_energy(check, span, recording.events)
    if isinstance(first, Refused) or isinstance(second, Refused):
        return None
    apart_j = abs(first.energy_j - second.energy_j)
    # The bounds are lopsided: what counts is how far the lower may be too low, the higher too high.
    low, high = sorted((first, second), key=lambda one: one.energy_j)
    bound_j = math.hypot(_above_j(low), _below_j(high))
    if apart_j <= bound_j:
        return None
    return (
        f"{figure.domain.name}: over {span.name} its counter gives {first.energy_j:.4g} J and its"
        f" power, integrated, {second.energy_j:.4g} J: {apart_j:.3g} J apart, where the bounds of"
        f" both allow {bound_j:.3g} J. The figure is the counter's; at least one is wrong"
    )


def _above_j(one: DomainEnergy) -> float:
    """How far the true energy may be above this figure (k = 2)."""
    return math.hypot(one.accuracy_high * one.energy_j, 2 * one.edge_j)


def _below_j(one: DomainEnergy) -> float:
    """How far the true energy may be below this figure (k = 2)."""
    return math.hypot(one.accuracy_low * one.energy_j, 2 * one.edge_j)
