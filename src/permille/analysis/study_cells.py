"""A study as cells with energy by boundary and by component, duration, size and quality, from
trials or from the shipped table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

from permille.analysis import intervals
from permille.analysis.boundaries import members_of
from permille.analysis.cell_summary import Summary
from permille.analysis.summaries import by_boundary, grouped
from permille.analysis.trial_sums import Sums
from permille.records import Record
from permille.records.energy import Boundary, DomainEnergy, Phase, Refused
from permille.records.trial import Trial
from permille.units import kwh_from_joules, per_1000

METERED: tuple[Boundary, ...] = ("accelerator", "compute", "node")
"""The boundaries that differ in joules; ``facility`` is the node's times a PUE."""
PARTS = ("cpu", "ram", "active_gpu", "idle_gpus")
OTHER = "other"
"""Domains of no kind in :data:`PARTS`, such as a neural engine."""
REST = "rest_of_node"
"""What a meter of the whole node reads beyond the domains in it that have meters of their own."""


class StudyCell(Record, array_like=True):
    """One cell of a study.

    ``summaries`` are by boundary (:data:`METERED`); ``parts`` is what the node's energy is made of,
    in joules per 1,000 inferences by component (:data:`PARTS`, :data:`OTHER`, :data:`REST`), for
    components that every trial with a figure of the node has. Lengths are per inference, in the
    study's unit. ``logged_g_per_kwh`` is the grid factor of the logs, ``most_j`` the largest energy
    of one run, including loading (joules, whole node).
    """

    summaries: dict[str, Summary]
    parts: dict[str, Sums]
    architecture: str | None = None
    input_length: float | None = None
    output_length: float | None = None
    logged_g_per_kwh: float | None = None
    most_j: float | None = None

    @property
    def summary(self) -> Summary:
        """The summary in the node boundary, for facts that do not depend on the boundary."""
        return self.summaries["node"]

    def energy(self, boundary: Boundary) -> Sums | None:
        """Joules per 1,000 inferences; ``facility`` is the node's here, without a PUE."""
        return self.summaries["node" if boundary == "facility" else boundary].energy


class Archive(Record):
    """Sums over every logged run of the study's data, including loading: kWh, and grams with the
    logs' grid factor."""

    runs: int
    cpu_kwh: float
    ram_kwh: float
    gpu_kwh: float
    co2e_g: float


class StudyCells(Record):
    """Cells; the median of runs by task (task-specific models, node, kWh per 1,000); and, for
    the published study, the sums over its whole archive."""

    cells: tuple[StudyCell, ...]
    median_kwh: dict[str, float]
    archive: Archive | None = None


def from_trials(trials: Iterable[Trial], archive: Archive | None = None) -> StudyCells:
    """The study of these trials; those of different machines or sources are different cells."""
    cells = tuple(_cell(group) for group in grouped(trials))
    return StudyCells(cells=cells, median_kwh=_medians(cells), archive=archive)


def archive_of(trials: Iterable[Trial]) -> Archive | None:
    """Sums over all phases of all trials; None if one has no logged grid factor or no GPU."""
    kwh = {"cpu": 0.0, "dram": 0.0, "gpu": 0.0}
    runs, co2e_g = 0, 0.0
    for trial in trials:
        logged = trial.environment.facts.get("logged_g_per_kwh")
        if logged is None:
            return None
        runs += 1
        for phase in trial.phases.values():
            for domain in phase.domains.values():
                # It would be in none of the three columns, and their sum less than the whole.
                if domain.kind not in kwh:
                    return None
                energy_kwh = kwh_from_joules(domain.energy_j)
                kwh[domain.kind] += energy_kwh
                co2e_g += energy_kwh * float(logged)
    if not runs:
        return None
    return Archive(
        runs=runs, cpu_kwh=kwh["cpu"], ram_kwh=kwh["dram"], gpu_kwh=kwh["gpu"], co2e_g=co2e_g
    )


def cell_of(trials: Sequence[Trial]) -> StudyCell:
    """The cell of these trials.

    Raises:
        ValueError: they may not be pooled.
    """
    first = trials[0]
    for trial in trials:
        # What pooled_by compares, in a tenth of the time.
        if (
            trial.protocol != first.protocol
            or trial.cell.id != first.cell.id
            or trial.environment.fingerprint != first.environment.fingerprint
            or (trial.study, trial.source) != (first.study, first.source)
        ):
            raise ValueError("trials of different experiments are not one cell")
    return _cell(trials)


def _cell(trials: Sequence[Trial]) -> StudyCell:
    done = [t for t in trials if t.status == "done" and "query" in t.phases]
    first = done[0] if done else trials[0]
    return StudyCell(
        summaries=by_boundary(trials, METERED),
        parts=_parts(done),
        architecture=first.facts.architecture,
        input_length=_length(first, "input_length"),
        output_length=_length(first, "output_length"),
        logged_g_per_kwh=_logged(done),
        most_j=max((_all_j(t) for t in done), default=None),
    )


def _part(domain: DomainEnergy) -> str:
    if domain.kind == "gpu":
        return "active_gpu" if domain.in_use else "idle_gpus"
    return {"cpu": "cpu", "dram": "ram"}.get(domain.kind, OTHER)


def _by_part(phase: Phase) -> dict[str, float]:
    """Joules by part, whose sum is the node's energy; empty if that is unknown."""
    members = members_of(phase, "node")
    if isinstance(members, Refused):
        return {}
    whole = [d for n in members.domains if (d := phase.domains[n]).kind == "node"]
    inside = whole[0].covers if whole else ()
    parts: dict[str, float] = {}
    for name, domain in phase.domains.items():
        if domain.kind != "node" and (domain.kind in inside or name in members.domains):
            part = _part(domain)
            parts[part] = parts.get(part, 0.0) + domain.energy_j
    if whole:
        # Not below 0: a meter that reads less than what it covers is not used.
        parts[REST] = math.fsum(d.energy_j for d in whole) - math.fsum(
            d.energy_j for d in phase.domains.values() if d.kind in inside
        )
    return parts


def _parts(done: Sequence[Trial]) -> dict[str, Sums]:
    """Joules per 1,000 inferences by part; a part missing in a trial is left out, not 0."""
    values: dict[str, list[float]] = {}
    counted = 0
    for trial in done:
        query = trial.phases["query"]
        inferences = query.inferences or trial.protocol.inferences
        parts = _by_part(query)
        if not inferences or not parts:
            continue
        counted += 1
        for part, energy_j in parts.items():
            values.setdefault(part, []).append(per_1000(energy_j, inferences))
    # A mean over the trials that have a part would not add up with the others to the node's.
    return {part: sums(found) for part, found in values.items() if len(found) == counted}


def sums(values: Sequence[float]) -> Sums:
    """Values as sums, without a systematic uncertainty."""
    n, mean, sd = intervals.summary(values)
    return Sums(n=n, mean=mean, sd=sd, low=0.0, high=0.0)


def _length(trial: Trial, count: str) -> float | None:
    total = trial.counts.get(count)
    inferences = trial.phases["query"].inferences if "query" in trial.phases else None
    return None if total is None or not inferences else total / inferences


def _logged(done: Sequence[Trial]) -> float | None:
    """The logs' grid factor over the trials: grams divided by kWh."""
    kwh, grams = 0.0, 0.0
    for trial in done:
        logged = trial.environment.facts.get("logged_g_per_kwh")
        if logged is None:
            return None
        energy_kwh = kwh_from_joules(
            math.fsum(d.energy_j for d in trial.phases["query"].domains.values())
        )
        kwh += energy_kwh
        grams += energy_kwh * float(logged)
    return grams / kwh if kwh else None


def _all_j(trial: Trial) -> float:
    return math.fsum(d.energy_j for p in trial.phases.values() for d in p.domains.values())


def _medians(cells: Sequence[StudyCell]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for cell in cells:
        energy = cell.energy("node")
        # The paper's medians are of these; values are only known of trials, not of a table of sums.
        if energy is not None and cell.summary.cell.category == "task-specific":
            values.setdefault(cell.summary.cell.task, []).extend(energy.values)
    return {
        task: kwh_from_joules(statistics.median(energies))
        for task, energies in values.items()
        if energies
    }


def pooled_mean(cells: Sequence[Sums]) -> tuple[int, float]:
    """The number of the runs of several cells, and their mean.

    Raises:
        ValueError: there are none.
    """
    n = sum([s.n for s in cells])
    if not n:
        raise ValueError("there is nothing to pool")
    return n, math.fsum([s.n * s.mean for s in cells]) / n


def pooled(cells: Sequence[Sums]) -> Sums:
    """The runs of several cells as one sample: its exact n, mean and sd.

    Raises:
        ValueError: there are none.
    """
    n, mean = pooled_mean(cells)
    if n == 1:
        return Sums(n=1, mean=mean, sd=None, low=0.0, high=0.0)
    within = math.fsum((s.n - 1) * (s.sd or 0.0) ** 2 for s in cells)
    between = math.fsum(s.n * (s.mean - mean) ** 2 for s in cells)
    total = math.fsum(s.n * s.mean for s in cells)
    return Sums(
        n=n,
        mean=mean,
        sd=math.sqrt((within + between) / (n - 1)),
        # The meters' error is the same in all runs: relative to their sum, it is the mean weighted
        # by energy.
        low=math.fsum(s.n * s.mean * s.low for s in cells) / total if total else 0.0,
        high=math.fsum(s.n * s.mean * s.high for s in cells) / total if total else 0.0,
    )
