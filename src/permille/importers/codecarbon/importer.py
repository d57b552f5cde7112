"""CodeCarbon output, 2.0 to 3.x: ``emissions.csv`` (one row per run) and task files (one row per
task).

The tool has multiplied every energy in the file by its PUE setting, which is divided out here,
because permille applies PUE when reading. Task files do not record it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from permille.importers import Options, Tally
from permille.importers import trials as build
from permille.importers.again import KIND
from permille.importers.codecarbon.rows import Line, runs
from permille.importers.reading.files import Source
from permille.importers.reading.rows import BadValue
from permille.records.energy import DomainEnergy, Phase, Problem
from permille.records.recording import DomainKind, Provenance
from permille.records.trial import Protocol, Trial
from permille.units import joules_from_kwh

SOURCE = "codecarbon"
LOAD_TASK = "load model"
_NO_PROJECT = ("codecarbon", build.UNKNOWN)
"""The names of runs without a name of their own: the tool's default, or nothing."""

GPU_ACCURACY = (0.05, 0.05)
"""NVML power of data-centre GPUs: +-5 % (Yang, Adamek, Armour, SC24, arXiv 2312.02741)."""
CPU_ACCURACY = (0.9, 1.0)
"""Without RAPL the tool uses half the CPU's TDP, or load times TDP: the truth is between
near idle (a tenth of that) and the TDP (twice that)."""
RAM_ACCURACY = (0.9, 1.0)
"""A rule of thumb by size (3 W per 8 GB) or by slot (3.x), independent of the load. No bound is
published; codecarbon issues 523 and 629 report it as far too high on large machines."""


class CodeCarbonImporter:
    """The ``codecarbon`` format."""

    name = SOURCE

    def trials(self, source: Source, tally: Tally, options: Options) -> Iterator[Trial]:
        """One trial per run, yielded while the files are read.

        Task files are read first, because they have more detail about a run that is in both: the
        store keeps the first trial of a run_id.
        """
        for tasks in (True, False):
            # The second time, what is refused has been reported.
            for member in source.members(tally.leave_out if tasks else lambda *_: None):
                if not member.is_of(".csv", ".tsv", ".txt"):
                    continue
                for run in runs(member, tally, tasks=tasks):
                    try:
                        tally.place(member.name, run[0].line)
                        yield _trial(run, options)
                    except BadValue as error:
                        tally.leave_out(member.name, run[0].line, str(error))


importer = CodeCarbonImporter()


def _trial(run: list[Line], options: Options) -> Trial:
    first = run[0]
    notes = []
    # The cell and the machine are taken from the first task alone.
    if any((line.project, line.machine) != (first.project, first.machine) for line in run):
        raise BadValue(f"the tasks of run {first.run_id} belong to two projects or machines")
    if first.task is None:
        phases, kind = {"query": phase(first, options.inferences)}, "run"
    else:
        phases, kind, notes_of_tasks = _task_phases(run, options)
        notes += notes_of_tasks
    if first.rows > 1:
        notes.append(f"{first.rows} cumulative rows of one run; the latest is used")
    if "gpu" in first.energy_kwh:
        notes.append("the GPU figure covers every GPU that CodeCarbon tracked, idle ones too")
    notes.append(
        "CPU energy counts as estimated: CodeCarbon's file does not say if it was measured"
    )
    return Trial(
        uid=f"{SOURCE}:{first.run_id}",
        study=options.study or SOURCE,
        cell=build.cell(
            SOURCE,
            task=build.UNKNOWN,
            dataset=build.UNKNOWN,
            model=_model(first),
            category="unknown",
            backend=build.UNKNOWN,
            # A run's whole energy and that of one of its tasks are different quantities.
            settings={} if kind == "run" else {"query": kind},
        ),
        repeat=0,
        status="done",
        reason=None,
        started=first.started,
        protocol=Protocol(inferences=options.inferences or 0, name=SOURCE),
        environment=build.environment(first.machine, {**logged_grid(run), KIND: kind}),
        source=SOURCE,
        device=first.machine["gpu_model"] or first.machine["cpu_model"],
        phases=phases,
        notes=tuple(notes),
    )


def _model(line: Line) -> str:
    """The project name of the run. The tool's default name says nothing about what ran, so each run
    with it stands alone."""
    if line.project not in _NO_PROJECT:
        return line.project
    return f"{line.project} run {line.run_id}"


def _task_phases(run: list[Line], options: Options) -> tuple[dict[str, Phase], str, list[str]]:
    """The phases by task, a description of the query, and notes. The only task of a run is its
    query. If none of several tasks is named as the query, all of them are, unless one of them is
    the loading or the number of inferences was given: then the task must be named.

    Raises:
        BadValue: a task occurs twice, or it is not known which has the inferences.
    """
    names = {LOAD_TASK: "load", options.query_task: "query"}
    tasks = [line.task or "" for line in run]
    notes: list[str] = []
    if len(run) == 1 and tasks[0] not in names:
        names = {tasks[0]: "query"}
        notes.append(f"the query is the run's only task, {_shown(tasks)}")
    kind = "all tasks"
    phases: dict[str, Phase] = {}
    for line, task in zip(run, tasks, strict=True):
        name = names.get(task, task[: build.MAX_NAME])
        if name in phases:
            raise BadValue(f"task {task!r} occurs twice in run {line.run_id}")
        of_query = name == "query"
        # By the phase, not by the option: a task may itself be called "query".
        kind = f"task {task}" if of_query else kind
        phases[name] = phase(line, options.inferences if of_query else None, needed=of_query)
    if "query" not in phases:
        if options.inferences is not None or LOAD_TASK in tasks:
            raise BadValue(
                f"no task {options.query_task!r} in run {run[0].run_id} (there is"
                f" {_shown(tasks)}); name the one that holds the inferences with --query-task"
            )
        phases["query"] = phase(_together(run), None)
        notes.append(
            f"the energy is the sum over all {len(run)} tasks together ({_shown(tasks)});"
            " name the one that holds the inferences with --query-task"
        )
    return phases, kind[: build.MAX_NAME], notes


def _together(run: list[Line]) -> Line:
    """The tasks of a run as one row; a component missing in one of them is missing."""
    energy_kwh: dict[str, float | None] = {}
    # Of all rows: a row has a GPU only if it logged one. With the components of the first alone,
    # the energy of a GPU in a later one would be dropped silently.
    for part in dict.fromkeys(part for line in run for part in line.energy_kwh):
        values = [line.energy_kwh.get(part) for line in run]
        known = [value for value in values if value]
        lacking = None if None in values else 0.0  # nothing or 0 was logged
        energy_kwh[part] = sum(known) if len(known) == len(values) else lacking
    seconds = sum(line.seconds for line in run)
    doubts = {part: reason for line in run for part, reason in line.doubts.items()}
    return msgspec.structs.replace(run[0], seconds=seconds, energy_kwh=energy_kwh, doubts=doubts)


def _shown(tasks: list[str]) -> str:
    shown = ", ".join(repr(task[:40]) for task in tasks[:5])
    return shown + (", …" if len(tasks) > 5 else "")


def phase(line: Line, inferences: int | None, *, needed: bool = True) -> Phase:
    """A row's components as domains. Components without a figure become problems, never 0.

    Raises:
        BadValue: no component has a figure, unless none is ``needed`` and the reason is known.
    """
    # CodeCarbon logs a GPU only as its driver measures it, the CPU by a counter or by its TDP (the
    # file does not say which), and memory always by a rule of thumb.
    known: tuple[tuple[str, str, DomainKind, Provenance, tuple[float, float]], ...] = (
        ("cpu", "cpu:0", "cpu", Provenance.ESTIMATED, CPU_ACCURACY),
        ("ram", "dram:0", "dram", Provenance.ESTIMATED, RAM_ACCURACY),
        ("gpu", "gpu", "gpu", Provenance.MEASURED, GPU_ACCURACY),
    )
    domains: dict[str, DomainEnergy] = {}
    problems: dict[str, Problem] = {}
    for part, name, kind, provenance, accuracy in known:
        if part not in line.energy_kwh:
            continue  # the machine has none: nothing is missing
        kwh = line.energy_kwh[part]
        if part in line.doubts:
            problems[name] = Problem(reason=line.doubts[part], kind=kind)
        elif kwh is None:
            problems[name] = Problem(reason="CodeCarbon logged no figure", kind=kind)
        elif kwh == 0:
            problems[name] = Problem(reason="CodeCarbon logged 0: it was not metered", kind=kind)
        else:
            # The tracker multiplies each reading by the PUE before it adds it to its component
            # (mlco2/codecarbon, emissions_tracker.py: energy *= self._pue).
            joules = joules_from_kwh(kwh) / line.pue
            domains[name] = build.domain(joules, kind, SOURCE, provenance, accuracy)
    if not domains and (needed or not line.doubts):
        reasons = "".join(f"; {reason}" for reason in line.doubts.values())
        raise BadValue(f"no component has an energy above 0 that can be true{reasons}")
    return Phase(seconds=line.seconds, domains=domains, problems=problems, inferences=inferences)


def logged_grid(run: list[Line]) -> dict[str, str]:
    """The grid factor that the tool applied to a run: recorded as a fact, never used for carbon."""
    total = sum(kwh for line in run for kwh in line.energy_kwh.values() if kwh is not None)
    logged = [line.co2e_kg for line in run if line.co2e_kg is not None]
    if len(logged) < len(run) or total <= 0:
        return {}
    return {"logged_g_per_kwh": f"{sum(logged) * 1000 / total:.9g}"}
