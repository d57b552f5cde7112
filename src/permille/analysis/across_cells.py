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
ratio that is paired in one session only (A in s1 and s2, B in s1) is one of these. Their intervals
hold for that session. Beside cells whose intervals are over several, one session may shift them by
as much as it does these, all cells of it alike: without that, three cells of one session beside one
of four sessions hold the truth in 40 % of cases where a session shifts the ratio by 10 %.

Half-widths are added where cells share sessions and no mean over these can be taken, as if the
errors of the cells were one and the same, for which the interval is widest. That is done

- for ratios that are not paired (a stopping rule, or A and B measured at different times) and whose
  sides were measured in the same sessions, of which one side at least has several;
- between groups of cells of which one shares a session with the next. Other groups stay independent
  of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
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


class GroupHalf(NamedTuple):
    """Cells of the same sessions: their ``names``, and the half-width of the sum of the cells.
    ``scale``: what a change of all of them by 100 % adds to the sum; of logarithms, their number.
    ``draws``: the number of sessions or machines that it is over; None: it is not over several."""

    names: frozenset[str]
    half: float
    scale: float
    draws: int | None = None

    @property
    def of_one_session(self) -> float:
        """How far one session may shift a cell, relative; 0 if that is unknown."""
        # A mean over draws varies less than each of these does.
        return self.half / self.scale * math.sqrt(self.draws) if self.draws else 0.0


class CellInMean(NamedTuple):
    """One cell's ratio with its interval, and what this is made of, on the logarithmic scale.

    ``shared``: what the meters add below and above; ``edge``: the edges of both sides.
    ``sessions``: of the paired blocks, whose interval over sessions was ``widened`` by a factor;
    empty where the ratio is not paired. ``names``: the ids of these or, of a ratio that is not
    paired, of the sessions of its sides; empty if each side has one, and not the same.
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


def half_of_sum(groups: Sequence[GroupHalf]) -> float:
    """The half-width of a sum over groups of cells. Those of groups that share a session, directly
    or through other groups, are added; the sums are independent and combine in quadrature."""
    shift = max((group.of_one_session for group in groups), default=0.0)
    independent: list[float] = []
    shared: list[tuple[list[str], float]] = []
    for group in groups:
        if len(group.names) > 1:
            shared.append((sorted(group.names), group.half))
            continue
        independent.append(group.half)
        if group.names:
            # One shift of all of its cells, which their blocks do not show.
            shared.append((sorted(group.names), group.scale * shift))
    linked: dict[str, list[float]] = {}
    parents: dict[str, str] = {}
    for (first, *others), _ in shared:
        for name in others:
            parents[_root(parents, name)] = _root(parents, first)
    for (first, *_), half in shared:
        linked.setdefault(_root(parents, first), []).append(half)
    return math.hypot(*independent, *map(math.fsum, linked.values()))


def draws_of(sessions: Iterable[tuple[str, str]]) -> int | None:
    """The machines or, of one machine, the sessions that an interval over these (each with its
    machine) is over; None if there are no two of them."""
    found = set(sessions)
    machines = {machine for _, machine in found}
    n = len(machines) if len(machines) > 1 else len(found)
    return n if n > 1 else None


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
    halves = [
        GroupHalf(
            names=group[0].names,
            half=_half_of_group(group),
            scale=len(group),
            draws=draws_of((mean.session, mean.machine) for mean in group[0].sessions),
        )
        for group in groups
    ]
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
