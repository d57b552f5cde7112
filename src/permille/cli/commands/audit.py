"""``permille audit``: what a study's numbers rest on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from permille.analysis.audit import Audit, GeneralToSpecific, TaskEnergy, audit
from permille.analysis.regression import EqualSize
from permille.analysis.study_cells import OTHER, REST
from permille.cli.arguments import add_json, pue
from permille.cli.study_source import add_from, any_study
from permille.cli.terminal import console, print_json
from permille.units import counted, format_share

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

EXAMPLES = """examples:
  permille audit                            the published study, from the shipped figures
  permille audit --from permille.db --study quickstart
  permille audit --pue 1.2 --json
"""
_PARTS = {
    "cpu": "CPU",
    "ram": "RAM",
    "idle_gpus": "idle GPUs",
    "active_gpu": "GPUs in use",
    OTHER: "other components",
    REST: "rest of the machine",
}


OUTPUTS = {"audit": Audit}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.epilog = EXAMPLES
    add_from(parser)
    parser.add_argument("--study", metavar="NAME", help="the study to audit")
    parser.add_argument(
        "--pue",
        type=pue,
        # Not the PUE of a typical data centre: until one is given, the facility equals the node.
        default=1.0,
        help="power usage effectiveness for the facility boundary (default: %(default)s)",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the audit."""
    result = audit(any_study(args.from_store, args.study).cells, args.pue)
    if args.json:
        print_json(result)
    else:
        _page(console(), result)
    return 0


def _page(out: Console, result: Audit) -> None:
    from permille.escaping import plain

    names = ", ".join(result.studies) or "nothing"
    # markup=False, here and below: names and notes come from a store.
    out.print(
        plain(
            f"What {names} rests on: {counted(result.cells, 'cell')}, {counted(result.runs, 'run')}"
        ),
        markup=False,
    )
    out.print("\n1. Where the energy goes", style="bold")
    out.print(_shares(result.shares))
    for note in result.notes:
        out.print(f"  {plain(note)}", markup=False)
    out.print("\n2. Energy and duration", style="bold")
    out.print(_time(result))
    out.print("\n3. Other boundaries", style="bold")
    out.print(_tasks(result))
    for tau in result.kendall_tau:
        shown = "unknown" if tau.tau is None else f"{tau.tau:.3f}"
        out.print(
            f"  ranking of {counted(tau.tasks, 'task')}, {tau.a} against {tau.b}:"
            f" Kendall tau {shown} (1: the same order)"
        )
    if not result.general_to_specific:
        out.print("\nNo task has models of both categories.")
        return
    out.print("\n4. General-purpose over task-specific", style="bold")
    out.print(_ratios(result.general_to_specific))
    out.print(result.method, markup=False)
    # A warning that a task has in several boundaries is printed once.
    warnings = dict.fromkeys(
        (r.task, r.at_equal_size.overlap_warning)
        for r in result.general_to_specific
        if r.at_equal_size.overlap_warning
    )
    for task, warning in warnings:
        out.print(plain(f"  warning, {task}: {warning}"), markup=False)


def _shares(shares: dict[str, float | None]) -> Table:
    table = _plain_table("component", "share of the node's energy")
    for part, share in shares.items():
        table.add_row(_PARTS.get(part, part), "-" if share is None else format_share(share, 1))
    return table


def _time(result: Audit) -> str:
    r, power = result.duration_correlation, result.mean_power_w
    if r is None or power is None:
        return "  too few cells with both energy and duration"
    verdict = (
        "energy is nearly proportional to duration"
        if r > 0.99
        else "energy is not just proportional to duration"
    )
    return (
        f"  correlation of energy and duration over the cells: {r:.5f};"
        f" mean power {power:,.1f} W: {verdict}"
    )


def _tasks(result: Audit) -> Table:
    from rich.text import Text

    from permille.escaping import plain
    from permille.records.energy import BOUNDARIES

    table = _plain_table(
        "kWh per 1,000",
        *(f"{b} (PUE {result.pue:g})" if b == "facility" else b for b in BOUNDARIES),
        "models",
    )
    by_task: dict[str, dict[str, TaskEnergy]] = {}
    for row in result.tasks:
        by_task.setdefault(row.task, {})[row.boundary] = row
    for task, rows in by_task.items():
        figures = [rows[b].kwh_per_1000 for b in BOUNDARIES]
        table.add_row(
            Text(plain(task)),
            *("-" if kwh is None else f"{kwh:.4g}" for kwh in figures),
            rows["node"].models,
        )
    return table


def _ratios(rows: Sequence[GeneralToSpecific]) -> Table:
    from rich.text import Text

    from permille.escaping import plain

    table = _plain_table("task", "boundary", "ratio", "at equal size", "95 % interval")
    for row in rows:
        equal = row.at_equal_size
        known = equal.value is not None
        table.add_row(
            Text(plain(row.task)),
            row.boundary,
            "-" if row.ratio is None else f"{row.ratio:.1f}",
            f"{equal.value:.1f}" if known else "-",
            _interval(equal) if known else equal.reason,
        )
    return table


def _interval(equal: EqualSize) -> str:
    # None: the upper end is beyond the largest float (EqualSize), and not unknown.
    high = "no bound" if equal.high is None else f"{equal.high:.1f}"
    return f"{equal.low:.1f} to {high}"


def _plain_table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    return table
