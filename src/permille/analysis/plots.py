"""Plots, with matplotlib: static, so that they stay in the notebook, in its HTML and on paper.

The colours are those of the user's matplotlib style.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from permille.energy.levels import power_trace
from permille.escaping import plain
from permille.extras import extra
from permille.records import Record
from permille.records.energy import Estimate
from permille.records.recording import Series
from permille.units import NS_PER_S

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_POINTS = 2000
_MOST_CHARACTERS = 60


class PlottedRatio(Record):
    """A ratio with its interval, and the name of what was compared."""

    name: str
    ratio: Estimate


def power_axes(
    series: Sequence[Series],
    spans_ns: Sequence[tuple[int, int]],
    title: str,
    ax: Axes | None = None,
) -> Axes:
    """The power of each domain (W) over the seconds since the first reading, with the spans
    shaded. Each step is the mean of one of at most 2,000 equal intervals.

    Raises:
        UsageError: matplotlib is not installed.
    """
    ax = _axes(ax, height=3.0)
    start_ns = min(each.t_ns[0] for each in series if each.t_ns)
    most_w = 0.0
    for each in series:
        trace = power_trace(each, _MOST_POINTS)
        if not trace:
            continue
        most_w = max([most_w, *(watts for _, watts in trace)])
        offset_s = (each.t_ns[0] - start_ns) / NS_PER_S
        end_s = (each.t_ns[-1] - start_ns) / NS_PER_S
        domain = each.domain
        # Without a baseline, which would draw each line down to 0 W at its ends: nobody read that.
        ax.stairs(
            [watts for _, watts in trace],
            [offset_s + at_s for at_s, _ in trace] + [end_s],
            label=f"{_literal(domain.name)} ({domain.provenance})",
            baseline=None,
        )
    for begin_ns, end_ns in spans_ns:
        begin_s, end_s = (begin_ns - start_ns) / NS_PER_S, (end_ns - start_ns) / NS_PER_S
        ax.axvspan(begin_s, end_s, alpha=0.15, color="grey", lw=0)
    ax.set(title=_literal(title), xlabel="seconds", ylabel="watts")
    ax.set_ylim(0, max(ax.get_ylim()[1], 1.3 * most_w))  # with room for the legend
    if ax.get_legend_handles_labels()[1]:
        ax.legend()
    return ax


def ratio_axes(
    ratios: Sequence[PlottedRatio], title: str, label: str, ax: Axes | None = None
) -> Axes:
    """Ratios with their 95 % intervals, one a line, on a logarithmic scale with a line at 1. A
    ratio without an interval is drawn as a hollow point.

    Raises:
        UsageError: matplotlib is not installed.
    """
    ax = _axes(ax, height=1.2 + 0.35 * len(ratios))
    for place, each in enumerate(ratios):
        ratio = each.ratio
        has_interval = ratio.low is not None and ratio.high is not None
        if ratio.low is not None and ratio.high is not None:
            ax.hlines(place, ratio.low, ratio.high, lw=3, alpha=0.5)
        ax.plot(ratio.value, place, "o", color="C0", fillstyle="full" if has_interval else "none")
    ax.axvline(1.0, color="grey", lw=1)
    # On which twice and half of the energy are equally far from 1.
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_yticks(range(len(ratios)), [_literal(each.name) for each in ratios])
    ax.invert_yaxis()
    ax.margins(y=0.3)
    ax.set(title=_literal(title), xlabel=label)
    return ax


def _axes(ax: Axes | None, *, height: float) -> Axes:
    if ax is not None:
        return ax
    with extra("plot", "a plot"):
        from matplotlib import pyplot
    drawn: Axes = pyplot.subplots(figsize=(7.0, height), layout="constrained")[1]
    return drawn


def _literal(text: str) -> str:
    """Untrusted text on one line, which matplotlib must not take for a formula."""
    return plain(text, limit=_MOST_CHARACTERS).replace("$", r"\$")
