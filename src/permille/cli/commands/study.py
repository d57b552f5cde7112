"""``permille study check FILE``: check everything that can be checked without measuring."""

from __future__ import annotations

import argparse
from typing import Literal

from permille.cli.arguments import add_json
from permille.cli.planning import add_allowances, load
from permille.cli.terminal import print_json
from permille.escaping import plain
from permille.records import JsonOutput, Record
from permille.study.plan.execution import executions
from permille.study.run.schedule import most_repeats
from permille.units import counted

EXAMPLES = """examples:
  permille study check study.toml
  permille study check quickstart --json
"""


_KINDS = {"callable": "your code", "command": "a command", "code": "someone else's code"}


class PlannedRow(Record):
    """A cell of the study."""

    id: str
    task: str
    dataset: str
    model: str


class Executed(Record):
    """A command or code that a run of the study executes."""

    model: str
    kind: str
    what: str


class StudyCheck(JsonOutput, kw_only=True):
    """What ``permille study check --json`` prints of a study that is right."""

    # Never false: of a wrong study, the first error is printed, and the exit code is 2.
    ok: Literal[True] = True
    cells: tuple[PlannedRow, ...]
    executes: tuple[Executed, ...]
    notes: tuple[str, ...]


OUTPUTS = {"study check": StudyCheck}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille study``."""
    parser.epilog = EXAMPLES
    parser.add_argument("action", choices=["check"], help="check a study file")
    parser.add_argument("study_file", metavar="FILE", help="a TOML file, or a preset's name")
    add_allowances(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Report that the file is valid, or fail with the first error."""
    # With models of the Hub fetched, as in a run: without their files, cells have other ids.
    plan = load(args.study_file, args.allow_path, modules=args.allow_module)
    runs = executions(plan)
    settings = plan.settings
    cells = tuple(
        PlannedRow(id=c.cell.id, task=c.cell.task, dataset=c.cell.dataset, model=c.cell.model)
        for c in plan.cells
    )
    if args.json:
        executes = tuple(Executed(model=e.model, kind=e.kind, what=e.what) for e in runs)
        print_json(StudyCheck(cells=cells, executes=executes, notes=plan.notes))
        return 0
    often = counted(most_repeats(settings), "repeat")
    # With a precision, repeats end as soon as it is reached.
    if settings.precision:
        often = f"up to {often} (precision ±{settings.precision:g})"
    print(
        f"{plain(args.study_file)} is valid: {counted(len(cells), 'cell')}, {often},"
        f" {counted(settings.inferences, 'inference')} per trial"
    )
    for cell in cells:
        print(plain(f"  {cell.task} / {cell.dataset} / {cell.model}"))
    for each in runs:
        print(plain(f"it runs {_KINDS[each.kind]}: {each.what} (model {each.model})"))
    for note in plan.notes:
        print(plain(f"note: {note}"))
    return 0
