"""The uncertainty budget of a figure (GUM, k = 2): the contributions to its interval."""

from __future__ import annotations

from collections.abc import Sequence

from permille.analysis.cell_summary import Summary
from permille.analysis.narrowing import advice
from permille.analysis.rerun import SessionMean, components
from permille.analysis.trial_sums import Sums
from permille.records import Record
from permille.units import format_number, format_share


class UncertaintyPart(Record):
    """One contribution: its relative uncertainty below and above."""

    name: str
    low: float
    high: float


def parts(summary: Summary) -> tuple[UncertaintyPart, ...]:
    """The parts of a cell's interval. They combine in quadrature on each side."""
    sums = summary.energy
    # Every part is relative to the figure.
    if sums is None or sums.mean <= 0:
        return ()
    spread = sums.spread()
    rule = "Student t" if sums.asked is None else f"requested ±{100 * sums.asked.precision:g} %"
    return budget_parts(
        repeats=f"spread of {_units(sums)} ({rule})",
        # The upper side: it is the wider one of an interval that is even on the logarithmic scale.
        half=None if spread.high is None else (spread.high - spread.value) / spread.value,
        edge=sums.edge,
        accuracy=sums.accuracy,
        estimated=summary.provenance == "estimated",
        domains=summary.domains,
    )


def _units(sums: Sums) -> str:
    """What the spread is that of: the highest level that was repeated."""
    over = sums.estimate()
    # The interval of a stopping rule is over the trials, whatever their sessions.
    if sums.asked is not None or over.sessions is None or over.sessions == 1:
        return f"{sums.n} trials"
    several = over.machines is not None and over.machines > 1
    return f"{over.machines} machines" if several else f"{over.sessions} sessions"


def budget_parts(
    *,
    repeats: str,
    half: float | None,
    edge: float,
    accuracy: tuple[float, float],
    estimated: bool,
    domains: Sequence[str],
) -> tuple[UncertaintyPart, ...]:
    """Repeats (``half`` is None with one), edges and ticks, and meter accuracy or the estimate's
    model, each relative with k = 2."""
    what = "the estimate's model" if estimated else "meter accuracy"
    parts = [] if half is None else [UncertaintyPart(name=repeats, low=half, high=half)]
    parts.append(UncertaintyPart(name="edges, ticks and resolution", low=edge, high=edge))
    low, high = accuracy
    return (*parts, UncertaintyPart(name=f"{what} ({', '.join(domains)})", low=low, high=high))


def line(part: UncertaintyPart) -> str:
    """One contribution as text."""
    return f"  −{100 * part.low:.3g} % / +{100 * part.high:.3g} %  {part.name}"


def _levels(summary: Summary) -> list[str]:
    """The levels at which the trials vary, and what to measure next."""
    means = summary.energy.session_means() if summary.energy else []
    if sum(mean.n for mean in means) < 2:
        return []
    shares = [
        f"{component.level} {format_share(component.share)} ({component.df} df)"
        for component in components(means)
    ]
    lines = [f"  variance: {', '.join(shares)}"] if shares else []
    return [*lines, f"  to narrow it: {_advice(summary, means)}"]


def _advice(summary: Summary, means: Sequence[SessionMean]) -> str:
    sums = summary.energy
    assert sums is not None
    spread = sums.spread()
    # Without a width of the spread, there is nothing to weigh the meter's part against.
    if spread.high is None or spread.value <= 0:
        return advice(means)
    return advice(means, (spread.high - spread.value) / spread.value, (sums.low, sums.high))


def budget(summary: Summary, *, net: bool = False) -> list[str]:
    """The budget as lines of text; with ``net``, of the energy above idle."""
    cell = summary.cell
    within = f"above idle, within {summary.boundary}" if net else f"within {summary.boundary}"
    if net:
        summary = summary.above_idle()
    lines = [f"{cell.model}, {cell.task} on {cell.dataset}, {within}:"]
    lines += map(line, parts(summary))
    lines += _levels(summary)
    if summary.energy is None:
        lines.append(f"  no figure: {summary.problem}")
    p50_j, p95_j = summary.inference_p50_j, summary.inference_p95_j
    if p50_j is not None and p95_j is not None:
        lines.append(
            f"  single inferences: median {format_number(p50_j)} J, 95 % below"
            f" {format_number(p95_j)} J, within compute"
        )
    return lines
