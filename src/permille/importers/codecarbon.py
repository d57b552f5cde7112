"""CodeCarbon output, 2.0 to 3.x: ``emissions.csv`` (a row a run) and task files (a row a task).

What the columns mean, by the tool's own releases: ``duration`` seconds, ``*_energy`` kWh,
``emissions`` kg. 2.0.0 has no ``codecarbon_version``; by 2.3.1 there are ``pue`` and task files
with ``task_name``, by 2.8.3 ``experiment_id``, by 3.1.0 ``water_consumed`` and ``wue``, by 3.3.2
the ``*_utilization_percent`` columns.

Every energy of the file has been multiplied by the PUE that the tool was given; it is divided
out here, since a PUE belongs to a question. Task files do not carry it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import msgspec

from permille.importers import Options, Tally
from permille.importers import trials as build
from permille.importers.files import Member, Source
from permille.importers.rows import BadValue, not_negative, number, positive, rows, text
from permille.records import (
    DomainEnergy,
    DomainKind,
    Phase,
    Problem,
    Protocol,
    Provenance,
    Record,
    Trial,
)
from permille.units import joules_from_kwh

SOURCE = "codecarbon"
REQUIRED = ("run_id", "timestamp", "project_name", "duration", "energy_consumed")

GPU_ACCURACY = (0.05, 0.05)
"""NVML power of data-centre GPUs: +-5 % (Yang, Adamek, Armour, SC24, arXiv 2312.02741)."""
CPU_ACCURACY = (0.9, 1.0)
"""Without RAPL the tool takes half the CPU's TDP, or load times TDP: the truth lies between
near idle (a tenth of that) and the TDP (twice that)."""
RAM_ACCURACY = (0.9, 1.0)
"""A rule of thumb by size (3 W per 8 GB) or by slot (3.x), whatever the memory does. No bound is
published; codecarbon issues 523 and 629 report it far above the truth on large machines."""

MAX_TASKS = 1000
_SUM_TOLERANCE = 0.01
_MACHINE = (
    "os",
    "python_version",
    "codecarbon_version",
    "cpu_count",
    "cpu_model",
    "gpu_count",
    "gpu_model",
    "ram_total_size",
    "tracking_mode",
)


class Line(Record):
    """One row: a run, or one task of a run. Energies in kWh, None where the file has none."""

    line: int
    run_id: str
    project: str
    task: str | None
    started: str
    seconds: float
    energy_kwh: dict[str, float | None]
    co2e_kg: float | None
    pue: float
    machine: dict[str, str | None]
    rows: int = 1


class Importer:
    """The ``codecarbon`` format."""

    name = SOURCE

    def trials(self, source: Source, tally: Tally, options: Options) -> Iterator[Trial]:
        """One trial a run, as the files are read.

        Task files come before the others, since a run that is in both is known better by its
        tasks: the store keeps the first that it meets of a run_id.
        """
        for tasks in (True, False):
            for member in source.members(tally.leave_out if tasks else lambda *_: None):
                if not member.name.lower().endswith((".csv", ".tsv", ".txt")):
                    continue
                for run in runs(member, tally, tasks=tasks):
                    try:
                        yield _trial(run, options)
                    except BadValue as error:
                        tally.leave_out(member.name, run[0].line, str(error))


importer = Importer()


def runs(member: Member, tally: Tally, *, tasks: bool) -> Iterator[list[Line]]:
    """Rows of the same run that follow each other, of a file that has a row a task, or a row a
    run: the other kind is passed over. Bad rows are left out and named."""
    lines = _lines(member, tally, tasks)
    for run_id, group in itertools.groupby(lines, key=lambda line: line.run_id):
        if not tasks:
            yield [_last(group)]
            continue
        run = list(itertools.islice(group, MAX_TASKS + 1))
        if len(run) > MAX_TASKS:
            tally.leave_out(member.name, run[0].line, f"more than {MAX_TASKS} tasks in {run_id}")
        else:
            yield run


def _last(group: Iterator[Line]) -> Line:
    """The row of the longest time: a tracker that is flushed appends a row each time, each with
    the run's total so far."""
    last = next(group)
    count = 1
    for line in group:
        count += 1
        if line.seconds >= last.seconds:
            last = line
    return msgspec.structs.replace(last, rows=count)


def _lines(member: Member, tally: Tally, tasks: bool) -> Iterator[Line]:
    def wanted(header: Sequence[str]) -> bool:
        return ("task_name" in header) == tasks

    for at, row in rows(member, tally, REQUIRED, wanted=wanted):
        try:
            yield _line(at, row)
        except BadValue as error:
            tally.leave_out(member.name, at, str(error))


def _line(at: int, row: dict[str, str]) -> Line:
    run_id = text(row, "run_id")
    if run_id is None:
        raise BadValue("run_id is missing")
    energy_kwh = {part: not_negative(row, f"{part}_energy") for part in ("cpu", "ram", "gpu")}
    _check_sum(energy_kwh, not_negative(row, "energy_consumed"))
    if not (number(row, "gpu_count") or text(row, "gpu_model") or energy_kwh["gpu"]):
        del energy_kwh["gpu"]  # a machine without a GPU, not a GPU that used nothing
    pue = number(row, "pue") or 1.0
    if pue < 1:
        raise BadValue(f"pue must be at least 1, not {pue:g}")
    return Line(
        line=at,
        run_id=run_id[: build.MAX_NAME],
        project=text(row, "project_name") or build.UNKNOWN,
        task=text(row, "task_name"),
        started=text(row, "timestamp") or "",
        seconds=positive(row, "duration"),
        energy_kwh=energy_kwh,
        co2e_kg=not_negative(row, "emissions"),
        pue=pue,
        machine={name: text(row, name) for name in _MACHINE},
    )


def _check_sum(energy_kwh: dict[str, float | None], total: float | None) -> None:
    """The components add up to the total, or one of the two is wrong."""
    parts = sum(value for value in energy_kwh.values() if value is not None)
    if total is not None and abs(parts - total) > _SUM_TOLERANCE * max(parts, total):
        raise BadValue(f"energy_consumed is {total:g} kWh, but its parts add up to {parts:g}")


def _trial(run: list[Line], options: Options) -> Trial:
    first = run[0]
    notes = []
    if first.task is None:
        phases = {"query": phase(first, options.inferences)}
    else:
        phases = _task_phases(run, options)
    if first.rows > 1:
        notes.append(f"{first.rows} cumulative rows of one run: the last is taken")
    if "gpu" in first.energy_kwh:
        notes.append("the GPU figure covers every GPU that CodeCarbon tracked, idle ones too")
    notes.append("CPU is taken as estimated: CodeCarbon's file does not say if it was measured")
    return Trial(
        uid=f"{SOURCE}:{first.run_id}",
        study=options.study or SOURCE,
        cell=build.cell(
            SOURCE,
            task=build.UNKNOWN,
            dataset=build.UNKNOWN,
            model=first.project,
            category="unknown",
            backend=build.UNKNOWN,
        ),
        repeat=0,
        status="done",
        reason=None,
        started=first.started,
        protocol=Protocol(inferences=options.inferences or 0, name=SOURCE),
        environment=build.environment(first.machine, logged_grid(run)),
        source=SOURCE,
        device=first.machine["gpu_model"] or first.machine["cpu_model"],
        phases=phases,
        notes=tuple(notes),
    )


def _task_phases(run: list[Line], options: Options) -> dict[str, Phase]:
    names = {"load model": "load", options.query_task: "query"}
    phases: dict[str, Phase] = {}
    for line in run:
        task = line.task or ""
        name = names.get(task, task[: build.MAX_NAME])
        if name in phases:
            raise BadValue(f"task {task!r} comes twice in run {line.run_id}")
        phases[name] = phase(line, options.inferences if name == "query" else None)
    if "query" not in phases:
        there = ", ".join(repr(name) for name in list(phases)[:5])
        raise BadValue(
            f"no task {options.query_task!r} in run {run[0].run_id} (there is {there});"
            " name the one that holds the inferences with --query-task"
        )
    return phases


def phase(line: Line, inferences: int | None) -> Phase:
    """A row's components as domains; those without a figure are problems, never 0.

    Raises:
        BadValue: no component has a figure.
    """
    known: tuple[tuple[str, str, DomainKind, Provenance, tuple[float, float]], ...] = (
        ("cpu", "cpu:0", "cpu", Provenance.ESTIMATED, CPU_ACCURACY),
        ("ram", "dram:0", "dram", Provenance.ESTIMATED, RAM_ACCURACY),
        ("gpu", "gpu", "gpu", Provenance.MEASURED, GPU_ACCURACY),
    )
    domains: dict[str, DomainEnergy] = {}
    problems: dict[str, Problem] = {}
    for part, name, kind, provenance, accuracy in known:
        if part not in line.energy_kwh:
            continue
        kwh = line.energy_kwh[part]
        if kwh is None:
            problems[name] = Problem(reason="CodeCarbon logged no figure", kind=kind)
        elif kwh == 0:
            problems[name] = Problem(reason="CodeCarbon logged 0: it was not metered", kind=kind)
        else:
            joules = joules_from_kwh(kwh) / line.pue
            domains[name] = build.domain(joules, kind, SOURCE, provenance, accuracy)
    if not domains:
        raise BadValue("no component has an energy above 0")
    return Phase(seconds=line.seconds, domains=domains, problems=problems, inferences=inferences)


def logged_grid(run: list[Line]) -> dict[str, str]:
    """The grid factor that the tool applied over a run: a fact beside it, never its carbon."""
    total = sum(kwh for line in run for kwh in line.energy_kwh.values() if kwh is not None)
    logged = [line.co2e_kg for line in run if line.co2e_kg is not None]
    if len(logged) < len(run) or total <= 0:
        return {}
    return {"logged_g_per_kwh": f"{sum(logged) * 1000 / total:.9g}"}
