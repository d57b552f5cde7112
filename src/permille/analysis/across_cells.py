"""The ratio of two models over several cells: the geometric mean of the cells' ratios. Pure.

What a session changes (temperature, clocks, a neighbour) it may change in every cell that was
measured in it. Cells of the same sessions therefore have no independent ratios, and their number
does not narrow the interval as that of sessions does: in each session the mean over the cells is
one value, and Student's t is over these (:mod:`.rerun`). Of four cells in four sessions of two
blocks each, an interval that takes the cells for independent holds the truth in 80 % of cases where
a session shifts the ratio by 10 % and a block by 3 %, and this one in 95 %, as where sessions shift
nothing (simulated in tests/analysis/test_across_cells.py).

What the meters add is one error of all cells, and is averaged. Cells of different sessions or of
unknown ones are independent. So are cells of one session alone, whose intervals are over blocks: a
ratio that is paired in one session only (A in s1 and s2, B in s1) is one of these.

Half-widths are added where cells share sessions and no mean over these can be taken, as if the
errors of the cells were one and the same, for which the interval is widest. That is done

- for ratios that are not paired (a stopping rule, or A and B measured at different times) and whose
  sides were measured in the same sessions, of which one side at least has several. The interval of
  each is over trials and can be too narrow where sessions differ, and so can that of their mean;
- between groups of cells of which one shares a session with the next. Other groups stay independent
  of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import NamedTuple, TypeVar

import msgspec

from permille.analysis import intervals
from permille.analysis.rerun import Rerun, SessionMean, rerun
from permille.analysis.rerun import over_cells as means_over_cells
from permille.records.energy import Estimate

Cell = TypeVar("Cell")


class Basis(NamedTuple):
    """The sessions that a cell was measured in, and whether its interval is ``over`` these."""

    names: frozenset[str]
    over: bool


class CellInMean(NamedTuple):
    """One cell's ratio with its interval, and what this is made of, on the logarithmic scale.

    ``shared``: what the meters add below and above; ``edge``: the edges of both sides.
    ``sessions``: of the paired blocks, whose interval over sessions was ``widened`` by a factor;
    empty where the ratio is not paired. ``names``: the ids of these or, of a ratio that is not
    paired, of the sessions that its sides were measured in, if one of them has several.
    """

    ratio: Estimate
    shared: tuple[float, float]
    edge: float
    sessions: tuple[SessionMean, ...]
    widened: float
    names: frozenset[str]

    @property
    def basis(self) -> Basis:
        """The sessions that it shares with other cells."""
        return Basis(self.names, bool(self.sessions))


def mean_of(cells: Sequence[CellInMean]) -> Estimate:
    """The geometric mean of the cells' ratios, or the one ratio as it is.

    Raises:
        ValueError: there are none, or a ratio is not positive.
    """
    groups = by_sessions(cells, attrgetter("basis"))
    mean = intervals.geometric_mean(
        [cell.ratio for cell in cells], [cell.shared for cell in cells], _own_half(groups)
    )
    if len(cells) == 1 or len(groups) > 1 or not cells[0].sessions:
        return mean
    # Of one session, too: there is no rerun interval, but a reader should know that it is one.
    return with_rerun(mean, _together(cells))


def with_rerun(plain: Estimate, over: Rerun) -> Estimate:
    """A ratio with what it is over, and where one more session's would lie. What the meters add is
    the same error in each session, so that it is no part of what a rerun on this machine finds."""
    low, high = over.rerun_around(plain.value)
    return msgspec.structs.replace(
        plain,
        sessions=over.sessions,
        machines=over.machines,
        rerun_low=low,
        rerun_high=high,
    )


def by_sessions(cells: Sequence[Cell], basis: Callable[[Cell], Basis]) -> list[list[Cell]]:
    """The cells by their sessions; one whose sessions are unknown is by itself."""
    groups: dict[object, list[Cell]] = {}
    for number, cell in enumerate(cells):
        found = basis(cell)
        groups.setdefault(found if found.names else number, []).append(cell)
    return list(groups.values())


def half_of_sum(groups: Sequence[tuple[frozenset[str], float]]) -> float:
    """The half-width of a sum over groups of cells, from each group's sessions and half-width.
    Those of groups that share a session, directly or through other groups, are added; the sums are
    independent and combine in quadrature."""
    independent = [half for sessions, half in groups if len(sessions) < 2]
    linked: dict[str, list[float]] = {}
    parents: dict[str, str] = {}
    several = [(sorted(sessions), half) for sessions, half in groups if len(sessions) > 1]
    for (first, *others), _ in several:
        for name in others:
            parents[_root(parents, name)] = _root(parents, first)
    for (first, *_), half in several:
        linked.setdefault(_root(parents, first), []).append(half)
    return math.hypot(*independent, *map(math.fsum, linked.values()))


def _root(parents: dict[str, str], name: str) -> str:
    """The session that stands for all those linked with this one."""
    while parents.setdefault(name, name) != name:
        # Halves the path, or a long chain of groups would take quadratic time.
        parents[name] = parents[parents[name]]
        name = parents[name]
    return name


def _together(group: Sequence[CellInMean]) -> Rerun:
    """The mean of cells of the same sessions, over these."""
    over = rerun(means_over_cells([cell.sessions for cell in group]))
    return over.widened(max(cell.widened for cell in group))


def _own_half(groups: Sequence[Sequence[CellInMean]]) -> float | None:
    """The half-width of the mean from what is not one error of all cells; None if a cell has no
    interval."""
    if any(cell.ratio.low is None for group in groups for cell in group):
        return None
    halves = [(group[0].names, _half_of_group(group)) for group in groups]
    return half_of_sum(halves) / sum(map(len, groups))


def _half_of_group(group: Sequence[CellInMean]) -> float:
    """The half-width of the sum of the logarithms of cells of the same sessions."""
    several = len(group) > 1 and len(group[0].names) > 1
    if several and group[0].sessions:
        half = _together(group).half
        assert half is not None
        return math.hypot(len(group) * half, *(cell.edge for cell in group))
    # The wider side: they only differ where the range of a float has cut off an end.
    halves = [max(intervals.own_halves(cell.ratio, cell.shared)) for cell in group]
    return math.fsum(halves) if several else math.hypot(*halves)
