"""Rows of CodeCarbon's files as runs: streamed; each error names its line.

The columns, according to the tool's releases: ``duration`` seconds, ``*_energy`` kWh,
``emissions`` kg. 2.0.0 has no ``codecarbon_version``; by 2.3.1 there are ``pue`` and task files
with ``task_name``, by 2.8.3 ``experiment_id``, by 3.1.0 ``water_consumed`` and ``wue``, by 3.3.2
the ``*_utilization_percent`` columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from permille.errors import ImportDataError
from permille.importers import Tally
from permille.importers import trials as build
from permille.importers.plausible import disagreement, emissions_fault, power_fault
from permille.importers.reading.files import Member
from permille.importers.reading.rows import BadValue, not_negative, number, positive, rows, text
from permille.records import Record
from permille.records.recording import DomainKind
from permille.units import joules_from_kwh

REQUIRED = ("run_id", "timestamp", "project_name", "duration", "energy_consumed")

MAX_TASKS = 1000
OPEN_RUNS = 1000
"""The most runs of one file that may still get another row: trackers writing to it concurrently."""
# A run of a task file holds up to MAX_TASKS lines: OPEN_RUNS alone would let a file hold a million.
_MOST_LINES = 10_000
_SUM_TOLERANCE = 0.01
_ROUNDING = 1e-6
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
    """One row: a run, or one task of a run. Energies in kWh, None where the file has none.
    ``doubts``: why a component's energy is implausible. ``rows``: the number of rows of the run so
    far; ``twins``: the number of identical rows; ``fault``: why the rows cannot be one run."""

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
    doubts: dict[str, str] = {}
    rows: int = 1
    twins: int = 0
    fault: str | None = None


def runs(member: Member, tally: Tally, *, tasks: bool) -> Iterator[list[Line]]:
    """The runs of a file with one row per task, or one row per run; files of the other kind are
    skipped. Bad rows are skipped and named."""
    lines = _lines(member, tally, tasks)
    for run in _by_run(lines, _with_task if tasks else _with_total):
        fault = f"more than {MAX_TASKS} tasks in {run[0].run_id}" if len(run) > MAX_TASKS else None
        if fault := fault or run[0].fault:
            tally.leave_out(member.name, run[0].line, fault)
            continue
        for _ in range(1 + run[0].twins):
            yield run


def _by_run(
    lines: Iterator[Line], join: Callable[[list[Line], Line], list[Line]]
) -> Iterator[list[Line]]:
    """The lines of each run, which may be interleaved, because several trackers can write to one
    file. Once too many runs are open, the one with the oldest last row is treated as complete. Runs
    before an error are yielded before it is raised."""
    runs: dict[str, list[Line]] = {}
    held = 0
    broken: ImportDataError | None = None
    try:
        for line in lines:
            # Put in again as the last below: a dict keeps its order, and the first is the oldest.
            before = runs.pop(line.run_id, [])
            held -= len(before)
            runs[line.run_id] = join(before, line)
            held += len(runs[line.run_id])
            while len(runs) > OPEN_RUNS or (held > _MOST_LINES and len(runs) > 1):
                done = runs.pop(next(iter(runs)))
                held -= len(done)
                yield done
    except ImportDataError as error:
        broken = error
    yield from runs.values()
    if broken is not None:
        raise broken


def _with_task(before: list[Line], line: Line) -> list[Line]:
    # One more than the maximum is kept, which shows that there were too many.
    if len(before) <= MAX_TASKS:
        before.append(line)
    return before


def _with_total(before: list[Line], line: Line) -> list[Line]:
    """The newest row of a run: each flush of a tracker appends a row with the run's total so far.
    An identical row is yielded again, to be counted as known."""
    if not before:
        return [line]
    (known,) = before
    alike = (line.project, line.machine) == (known.project, known.machine)
    if alike and (line.seconds, line.energy_kwh) == (known.seconds, known.energy_kwh):
        return [msgspec.structs.replace(known, twins=known.twins + 1)]
    # The id stands for two runs: a further row could belong to either.
    if known.fault is not None:
        return before
    kept, fault = line, None
    if not alike:
        fault = "they belong to two projects or machines"
    elif not _grown(known, line):
        if line.started < known.started and _grown(line, known):
            kept = known  # an earlier row that comes later, as in concatenated files
        else:
            fault = "their totals decrease, but those of one run only grow"
    if fault is not None:
        fault = f"lines {known.line} and {line.line} both belong to run {line.run_id}, but {fault}"
    return [
        msgspec.structs.replace(kept, rows=known.rows + 1, twins=known.twins, fault=fault),
    ]


def _grown(before: Line, after: Line) -> bool:
    """Whether the second row can be a later total of the first one's run."""
    totals = [(before.seconds, after.seconds)] + [
        (kwh, after.energy_kwh.get(part))
        for part, kwh in before.energy_kwh.items()
        if kwh is not None
    ]
    return all(now is not None and now >= then * (1 - _ROUNDING) for then, now in totals)


def _lines(member: Member, tally: Tally, tasks: bool) -> Iterator[Line]:
    def wanted(header: Sequence[str]) -> bool:
        return ("task_name" in header) == tasks

    for at, row in rows(member, tally, REQUIRED, wanted=wanted, older=_version_1):
        try:
            yield _line(at, row)
        except BadValue as error:
            tally.leave_out(member.name, at, str(error))


def _version_1(header: Sequence[str]) -> str | None:
    if "run_id" in header or not {"project_name", "duration", "emissions"} <= set(header):
        return None
    return (
        "CodeCarbon 1.x wrote this: it has neither a run id nor the energy of CPU, RAM and GPU,"
        " and cannot be imported; measure again with CodeCarbon 2 or later"
    )


def _line(at: int, row: dict[str, str]) -> Line:
    run_id = text(row, "run_id")
    if run_id is None:
        raise BadValue("run_id is missing")
    energy_kwh = {part: not_negative(row, f"{part}_energy") for part in ("cpu", "ram", "gpu")}
    total = not_negative(row, "energy_consumed")
    _check_sum(energy_kwh, total)
    co2e_kg = not_negative(row, "emissions")
    seconds = positive(row, "duration")
    if co2e_kg and total and (fault := emissions_fault(co2e_kg, total)):
        raise BadValue(fault)
    if not (number(row, "gpu_count") or text(row, "gpu_model") or energy_kwh["gpu"]):
        del energy_kwh["gpu"]  # the machine has no GPU, rather than a GPU that used nothing
    # Task files and older releases have no such column; 1 is the setting's default.
    pue = number(row, "pue") or 1.0
    if pue < 1:
        raise BadValue(f"pue must be at least 1, not {pue:g}")
    return Line(
        line=at,
        run_id=run_id[: build.MAX_NAME],
        project=_name(row, "project_name") or build.UNKNOWN,
        task=_name(row, "task_name"),
        started=_name(row, "timestamp") or "",
        seconds=seconds,
        energy_kwh=energy_kwh,
        co2e_kg=co2e_kg,
        pue=pue,
        machine={name: _name(row, name) for name in _MACHINE},
        doubts=_doubts(row, energy_kwh, seconds, pue),
    )


def _name(row: dict[str, str], column: str) -> str | None:
    # Cut at once: _MOST_LINES rows are held, and each may have a line of a MiB.
    known = text(row, column)
    return known and known[: build.MAX_NAME]


def _doubts(
    row: dict[str, str], energy_kwh: dict[str, float | None], seconds: float, pue: float
) -> dict[str, str]:
    """Why a component's energy is implausible, from its mean power or the row's own watts."""
    doubts: dict[str, str] = {}
    kinds: dict[str, DomainKind] = {"cpu": "cpu", "ram": "dram", "gpu": "gpu"}
    shared = (text(row, "tracking_mode") or "").lower() == "process"  # one process's share is small
    for part, kwh in energy_kwh.items():
        power_w = not_negative(row, f"{part}_power")
        if not kwh:
            continue
        # Without the PUE: the tool applies it to energies but not to powers.
        energy_j = joules_from_kwh(kwh) / pue
        fault = power_fault("other" if shared else kinds[part], energy_j, seconds)
        if fault is None and power_w:
            product = f"{part}_power x duration"
            fault = disagreement(f"{part}_energy (J)", energy_j, product, power_w * seconds)
        if fault is not None:
            doubts[part] = fault
    return doubts


def _check_sum(energy_kwh: dict[str, float | None], total: float | None) -> None:
    """Check that the components add up to the total."""
    parts = sum(value for value in energy_kwh.values() if value is not None)
    if total is not None and abs(parts - total) > _SUM_TOLERANCE * max(parts, total):
        raise BadValue(f"energy_consumed is {total:g} kWh, but its parts add up to {parts:g}")
