"""Rows of CodeCarbon's files as runs: streamed, each fault named by its line.

What the columns mean, by the tool's own releases: ``duration`` seconds, ``*_energy`` kWh,
``emissions`` kg. 2.0.0 has no ``codecarbon_version``; by 2.3.1 there are ``pue`` and task files
with ``task_name``, by 2.8.3 ``experiment_id``, by 3.1.0 ``water_consumed`` and ``wue``, by 3.3.2
the ``*_utilization_percent`` columns.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import msgspec

from permille.errors import ImportDataError
from permille.importers import Tally
from permille.importers import trials as build
from permille.importers.files import Member
from permille.importers.rows import BadValue, not_negative, number, positive, rows, text
from permille.records import Record

REQUIRED = ("run_id", "timestamp", "project_name", "duration", "energy_consumed")

MAX_TASKS = 1000
OPEN_RUNS = 1000
"""Runs of one file that may have another row yet: so many trackers may write to it at once."""
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
    """One row: a run, or one task of a run. Energies in kWh, None where the file has none.
    ``rows``: how many of the run so far it stands for; ``twins``: how many say just the same."""

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
    twins: int = 0


def runs(member: Member, tally: Tally, *, tasks: bool) -> Iterator[list[Line]]:
    """The runs of a file that has a row a task, or a row a run: the other kind is passed over.
    Bad rows are left out and named."""
    lines = _lines(member, tally, tasks)
    if not tasks:
        for line in _last_rows(lines):
            yield [line]
        return
    for run_id, group in itertools.groupby(lines, key=lambda line: line.run_id):
        run = list(itertools.islice(group, MAX_TASKS + 1))
        if len(run) > MAX_TASKS:
            tally.leave_out(member.name, run[0].line, f"more than {MAX_TASKS} tasks in {run_id}")
        else:
            yield run


def _last_rows(lines: Iterator[Line]) -> Iterator[Line]:
    """Of each run the row of the longest time: a tracker that is flushed appends a row each time,
    each with the run's total so far, and several trackers may take turns in one file. A row that
    says the same again comes again, to be counted as known. What was read before an error comes
    before the error."""
    last: dict[str, Line] = {}
    broken: ImportDataError | None = None
    try:
        for line in lines:
            before = last.pop(line.run_id, None)
            last[line.run_id] = line if before is None else _longer(before, line)
            if len(last) > OPEN_RUNS:
                yield from _with_twins(last.pop(next(iter(last))))
    except ImportDataError as error:
        broken = error
    for line in last.values():
        yield from _with_twins(line)
    if broken is not None:
        raise broken


def _longer(before: Line, line: Line) -> Line:
    if (line.seconds, line.energy_kwh) == (before.seconds, before.energy_kwh):
        return msgspec.structs.replace(before, twins=before.twins + 1)
    kept = line if line.seconds >= before.seconds else before
    return msgspec.structs.replace(kept, rows=before.rows + 1, twins=before.twins)


def _with_twins(line: Line) -> Iterator[Line]:
    return itertools.repeat(line, 1 + line.twins)


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
