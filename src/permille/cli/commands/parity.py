"""``permille parity``: the number of inferences that use as much energy as training."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from permille.analysis import parity
from permille.analysis.compare import find_model
from permille.analysis.paper.printed import TABLE_5
from permille.analysis.parity import ParityRow
from permille.cli.arguments import add_json, positive_float, pue, refuse_given
from permille.cli.study_source import add_from, any_study
from permille.cli.terminal import console, print_json
from permille.errors import UsageError
from permille.records import JsonOutput
from permille.records.energy import BOUNDARIES, Boundary, Estimate
from permille.units import format_number

if TYPE_CHECKING:
    from rich.table import Table

EXAMPLES = """examples:
  permille parity                                the study's four BLOOMz models
  permille parity --per-day 1000000              and in days
  permille parity --training-kwh 10505 --inference-kwh 5.4e-5
  permille parity --model MiniLM --training-kwh 12 --from permille.db --study quickstart
"""


class ParityOutput(JsonOutput):
    """What ``permille parity --json`` prints. ``boundary``: null where the energy per inference
    was given."""

    boundary: Boundary | None
    per_day: float | None
    rows: tuple[ParityRow, ...]
    note: str


OUTPUTS = {"parity": ParityOutput}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="a model of the study or store: its id, or a part that no other model's id contains",
    )
    parser.add_argument(
        "--training-kwh", metavar="X", type=positive_float, help="kWh of training the model"
    )
    parser.add_argument(
        "--finetuning-kwh", metavar="X", type=positive_float, help="kWh of fine-tuning it"
    )
    parser.add_argument(
        "--inference-kwh", metavar="Y", type=positive_float, help="kWh of one inference"
    )
    parser.add_argument(
        "--per-day", metavar="N", type=positive_float, help="inferences per day: parity in days"
    )
    parser.add_argument(
        # Not compute, as elsewhere: the published figures are those of the whole node.
        "--boundary",
        choices=BOUNDARIES,
        default="node",
        help="which devices count",
    )
    parser.add_argument(
        "--pue",
        type=pue,
        default=1.0,
        help="power usage effectiveness for the facility boundary (default: 1)",
    )
    parser.add_argument("--study", metavar="NAME", help="the study to use")
    add_from(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    rows = _rows(args)
    output = ParityOutput(
        boundary=None if args.inference_kwh else args.boundary,
        per_day=args.per_day,
        rows=tuple(rows),
        note="parity = (training + fine-tuning) / energy per inference; the interval is of the"
        " energy per inference, with the meter's uncertainty",
    )
    if args.json:
        print_json(output)
    else:
        out = console()
        out.print(_table(rows, args.per_day))
        out.print(output.note)
    return 0


def _rows(args: argparse.Namespace) -> list[ParityRow]:
    if args.inference_kwh is not None:
        refuse_given(
            args,
            ("--from", "--study", "--boundary", "--pue"),
            "for the energy of stored inferences, which --inference-kwh replaces",
        )
        if args.training_kwh is None:
            raise UsageError("--inference-kwh goes with --training-kwh")
        return [
            parity.row(
                args.model,
                training_kwh=args.training_kwh,
                finetuning_kwh=args.finetuning_kwh,
                # The uncertainty of a given figure is unknown: no interval, and not ±0.
                per_inference=Estimate(value=args.inference_kwh, low=None, high=None),
                per_day=args.per_day,
            )
        ]
    # Alone, it would pass for the energy of the whole training.
    if args.training_kwh is None and args.finetuning_kwh is not None:
        raise UsageError("--finetuning-kwh goes with --training-kwh")
    cells = any_study(args.from_store, args.study).cells
    models = {cell.summary.cell.model for cell in cells}
    model = None if args.model is None else find_model(sorted(models), args.model)
    if args.training_kwh is None:
        if model is None and not TABLE_5.keys() & models:
            raise UsageError(
                f"{args.from_store} has none of the published study's models, whose training energy"
                " is known: add --model NAME --training-kwh X"
            )
        return parity.study_rows(cells, args.boundary, args.pue, args.per_day, model)
    if model is None:
        raise UsageError("--training-kwh goes with --inference-kwh or --model")
    return [
        parity.row(
            model,
            training_kwh=args.training_kwh,
            finetuning_kwh=args.finetuning_kwh,
            per_inference=parity.kwh_per_inference(cells, model, args.boundary, args.pue),
            per_day=args.per_day,
        )
    ]


def _table(rows: list[ParityRow], per_day: float | None) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from permille.escaping import plain

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("model", "training kWh", "fine-tuning kWh", "kWh per inference", "parity"):
        table.add_column(name, justify="left" if name == "model" else "right")
    table.add_column("95 % interval", justify="right")
    if per_day is not None:
        table.add_column(f"days at {per_day:,.0f} a day", justify="right")
    for row in rows:
        inferences = row.inferences
        cells: list[Text | str] = [
            Text(plain(row.model or "-")),
            format_number(row.training_kwh, 6),
            "not counted" if row.finetuning_kwh is None else format_number(row.finetuning_kwh, 6),
            # Not scaled to Wh, as other tables do: it stands beside two columns of kWh.
            f"{row.kwh_per_inference:.3g}",
            f"{inferences.value:,.0f}",
            "-"
            if inferences.low is None
            else f"{inferences.low:,.0f} to {_or_more(inferences.high)}",
        ]
        if row.days is not None:
            cells.append(f"{row.days.value:,.1f}")
        table.add_row(*cells)
    return table


def _or_more(high: float | None) -> str:
    return "no bound" if high is None else f"{high:,.0f}"
