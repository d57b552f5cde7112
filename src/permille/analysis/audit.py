"""The basis of a study's numbers: where the energy goes, and the effect of the boundary."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from permille.analysis.cell_summary import Summary
from permille.analysis.regression import EqualSize, Point, at_equal_size
from permille.analysis.study_cells import METERED, PARTS, StudyCell, pooled_mean
from permille.analysis.trial_sums import Sums
from permille.carbon.footprint import energy_overhead
from permille.records import JsonOutput, Record
from permille.records.cell import CellCategory
from permille.records.energy import BOUNDARIES, Boundary
from permille.units import kwh_from_joules

METHOD = (
    "ratio: mean over the runs of general-purpose models over that of task-specific ones."
    " At equal size: least squares of log energy on log parameters and category, one point a"
    " model (its mean over the datasets), 95 % interval by HC3 and Student's t."
)


class TaskEnergy(Record):
    """Mean kWh per 1,000 of a task's models in a boundary; null if a cell has none."""

    task: str
    boundary: Boundary
    kwh_per_1000: float | None
    models: Literal["task-specific", "all"]


class RankCorrelation(Record):
    """Kendall's tau (b) of the tasks' ranking between two boundaries."""

    a: Boundary
    b: Boundary
    tau: float | None
    tasks: int


class GeneralToSpecific(Record):
    """Energy of general-purpose models divided by that of task-specific ones."""

    task: str
    boundary: Boundary
    ratio: float | None
    at_equal_size: EqualSize


class Audit(JsonOutput):
    """What ``permille audit --json`` prints. ``shares`` are of the node's energy, by component;
    the correlations are Pearson's r of energy and duration over the cells' means, linear and
    logarithmic. Unknown values are null, with a note."""

    studies: tuple[str, ...]
    cells: int
    runs: int
    pue: float
    shares: dict[str, float | None]
    duration_correlation: float | None
    duration_correlation_log: float | None
    mean_power_w: float | None
    tasks: tuple[TaskEnergy, ...]
    kendall_tau: tuple[RankCorrelation, ...]
    general_to_specific: tuple[GeneralToSpecific, ...]
    method: str
    notes: tuple[str, ...]


FEWEST_TO_CORRELATE = 3


def audit(cells: Sequence[StudyCell], pue: float) -> Audit:
    """Audit a study's numbers."""
    summaries = [cell.summary for cell in cells]
    measured = [cell for cell, s in zip(cells, summaries, strict=True) if s.energy is not None]
    energies = [(s.energy, s.seconds) for s in summaries if s.energy is not None]
    total_j = math.fsum([_total(energy) for energy, _ in energies])
    shares, notes = _shares(measured, total_j)
    notes += _without_figure(summaries)
    timed = [(seconds, energy) for energy, seconds in energies if seconds is not None]
    r, r_log = _correlations(timed)
    if r is None:
        reason = (
            "energy or duration is the same in all cells"
            if len(timed) >= FEWEST_TO_CORRELATE
            else f"fewer than {FEWEST_TO_CORRELATE} cells with energy and duration"
        )
        notes.append(f"{reason}: no correlation")
    by_task = _by_task(cells)
    tasks = _tasks(by_task, pue)
    return Audit(
        studies=tuple(sorted({summary.study for summary in summaries})),
        cells=len(cells),
        runs=sum([summary.done for summary in summaries]),
        pue=pue,
        shares=shares,
        duration_correlation=r,
        duration_correlation_log=r_log,
        mean_power_w=_mean_power_w(total_j, timed),
        tasks=tuple(tasks),
        kendall_tau=tuple(_taus(tasks)),
        general_to_specific=tuple(_general_to_specific(by_task)),
        method=METHOD,
        notes=tuple(notes),
    )


def _without_figure(summaries: Sequence[Summary]) -> list[str]:
    """Why cells have no energy of the node, and how many."""
    reasons = [s.problem or "no energy" for s in summaries if s.energy is None]
    return [
        f"{reasons.count(reason)} of {len(summaries)} cells have no energy of the node: {reason}"
        for reason in dict.fromkeys(reasons)
    ]


# --- where the energy goes -------------------------------------------------------------------


def _shares(
    cells: Sequence[StudyCell], total_j: float
) -> tuple[dict[str, float | None], list[str]]:
    """Each component's share of the node's energy, over all runs; None if it was not metered."""
    notes: list[str] = []
    shares: dict[str, float | None] = {}
    others = {part for cell in cells for part in cell.parts} - set(PARTS)
    for part in (*PARTS, *sorted(others)):
        with_part = [cell for cell in cells if part in cell.parts]
        # None, not 0: a component without a meter may use anything.
        if not with_part or total_j <= 0:
            shares[part] = None
            if cells:
                notes.append(f"{part.replace('_', ' ')}: not metered here")
            continue
        if len(with_part) < len(cells):
            notes.append(
                f"{part.replace('_', ' ')}: metered in {len(with_part)} of {len(cells)} cells"
            )
        shares[part] = math.fsum([_total(cell.parts[part]) for cell in with_part]) / total_j
    return shares, notes


def _total(sums: Sums) -> float:
    return sums.n * sums.mean


def _mean_power_w(total_j: float, timed: Sequence[tuple[Sums, Sums]]) -> float | None:
    """Energy over time, over all runs of the node."""
    seconds = math.fsum([_total(seconds) for seconds, _ in timed])
    return total_j / seconds if seconds > 0 else None


def _correlations(timed: Sequence[tuple[Sums, Sums]]) -> tuple[float | None, float | None]:
    """Pearson's r of duration and energy over the cells' means, linear and logarithmic."""
    pairs = [(seconds.mean, energy.mean) for seconds, energy in timed]
    logs = [(math.log(s), math.log(e)) for s, e in pairs if s > 0 and e > 0]
    return pearson(pairs), pearson(logs)


def pearson(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Pearson's r; None for too few pairs or if one side does not vary."""
    n = len(pairs)
    if n < FEWEST_TO_CORRELATE:
        return None
    mean_x = math.fsum([x for x, _ in pairs]) / n
    mean_y = math.fsum([y for _, y in pairs]) / n
    xx = math.fsum([(x - mean_x) ** 2 for x, _ in pairs])
    yy = math.fsum([(y - mean_y) ** 2 for _, y in pairs])
    xy = math.fsum([(x - mean_x) * (y - mean_y) for x, y in pairs])
    # The product of the roots, because that of the sums may leave the range of a float.
    scale = math.sqrt(xx) * math.sqrt(yy)
    # Rounding may carry it just beyond 1.
    return max(-1.0, min(1.0, xy / scale)) if scale > 0 else None


# --- other boundaries ------------------------------------------------------------------------


def _tasks(by_task: _ByTask, pue: float) -> list[TaskEnergy]:
    """kWh per 1,000 by task and boundary, for the task-specific models if there are any."""
    rows: list[TaskEnergy] = []
    for task, of_task in by_task.items():
        specific = of_task.get("task-specific")
        # The paper ranks tasks by task-specific models (table 2), since it ran others on three
        # tasks alone.
        counted = specific or [cell for cells in of_task.values() for cell in cells]
        kwh = {boundary: _mean_kwh(counted, boundary) for boundary in METERED}
        kwh["facility"] = (
            None if kwh["node"] is None else kwh["node"] * energy_overhead(pue, "facility")
        )
        rows += [
            TaskEnergy(
                task=task,
                boundary=boundary,
                kwh_per_1000=kwh[boundary],
                models="task-specific" if specific else "all",
            )
            for boundary in BOUNDARIES
        ]
    return rows


_ByTask = dict[str, dict[CellCategory, list[StudyCell]]]


def _by_task(cells: Sequence[StudyCell]) -> _ByTask:
    """The cells by task, then by category."""
    by_task: _ByTask = {}
    for cell in cells:
        measured = cell.summary.cell
        by_task.setdefault(measured.task, {}).setdefault(measured.category, []).append(cell)
    return by_task


def _mean_kwh(cells: Sequence[StudyCell], boundary: Boundary) -> float | None:
    """Mean over runs within a metered boundary; None if a cell has no figure, because the rest is
    not the whole."""
    energies = [cell.summaries[boundary].energy for cell in cells]
    known = [sums for sums in energies if sums is not None]
    if not known or len(known) < len(energies):
        return None
    return kwh_from_joules(pooled_mean(known)[1])


def _taus(tasks: Sequence[TaskEnergy]) -> list[RankCorrelation]:
    """Kendall's tau (b) of the tasks' ranking between each pair of metered boundaries."""
    # Not facility: one factor times the node's energy ranks the tasks as that does.
    by_boundary = {b: {t.task: t.kwh_per_1000 for t in tasks if t.boundary == b} for b in METERED}
    rows = []
    for i, a in enumerate(METERED):
        for b in METERED[i + 1 :]:
            both = [(kwh, by_boundary[b][task]) for task, kwh in by_boundary[a].items()]
            shared = [(x, y) for x, y in both if x is not None and y is not None]
            rows.append(RankCorrelation(a=a, b=b, tau=_tau(shared), tasks=len(shared)))
    return rows


def _tau(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Kendall's tau-b (Kendall 1945): concordant less discordant pairs, over those without a tie on
    one side and on the other. None if there are none."""
    total = _pairs(len(pairs))
    ties_x, ties_y, ties = (
        sum(_pairs(count) for count in Counter(values).values())
        for values in ((x for x, _ in pairs), (y for _, y in pairs), pairs)
    )
    if total in (ties_x, ties_y):
        return None
    # Of pairs ordered by both, the discordant ones have a greater y before them.
    discordant, before = 0, list[float]()
    for _, y in sorted(pairs):
        place = bisect_right(before, y)
        discordant += len(before) - place
        before.insert(place, y)
    difference = total - ties_x - ties_y + ties - 2 * discordant
    # Rounded, so that 0.9999999999999999 is 1.
    return round(difference / math.sqrt(total - ties_x) / math.sqrt(total - ties_y), 12)


def _pairs(count: int) -> int:
    return count * (count - 1) // 2


# --- general-purpose against task-specific ---------------------------------------------------


def _general_to_specific(by_task: _ByTask) -> list[GeneralToSpecific]:
    rows = []
    for task, of_task in by_task.items():
        general, specific = of_task.get("general-purpose"), of_task.get("task-specific")
        if general is None or specific is None:
            continue
        for boundary in METERED:
            of_general = _mean_kwh(general, boundary)
            of_specific = _mean_kwh(specific, boundary)
            ratio = None if not of_general or not of_specific else of_general / of_specific
            equal = at_equal_size(_points([*general, *specific], boundary))
            rows.append(
                GeneralToSpecific(task=task, boundary=boundary, ratio=ratio, at_equal_size=equal)
            )
    return rows


def _points(cells: Sequence[StudyCell], boundary: Boundary) -> list[Point]:
    """One point per model with a known size and an energy above 0."""
    models: dict[str, list[StudyCell]] = {}
    for cell in cells:
        models.setdefault(cell.summary.cell.model, []).append(cell)
    points = []
    for model, group in models.items():
        energies = [s.mean for cell in group if (s := cell.energy(boundary)) is not None]
        params = group[0].summary.params
        # A mean over some of a model's datasets would compare it with others on easier or harder
        # ones.
        if not params or len(energies) < len(group) or min(energies) <= 0:
            continue
        points.append(
            Point(
                model=model,
                params=params,
                log_energy=math.fsum(map(math.log, energies)) / len(energies),
                general=group[0].summary.cell.category == "general-purpose",
            )
        )
    return points
