"""``permille reproduce``: recompute the paper's tables from its data."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from permille.analysis.paper.claims import Claim
from permille.analysis.paper.reproduce import (
    TABLE_4_NOTE,
    Reproduction,
    Table2Row,
    Table3Row,
    Table5Row,
    reproduce,
)
from permille.cli.arguments import add_json
from permille.cli.study_source import add_from, published_study
from permille.cli.terminal import console, print_json

if TYPE_CHECKING:
    from rich.table import Table

TABLES = ("2", "3", "4", "5", "claims")
EXAMPLES = """examples:
  permille reproduce                  all tables, from the figures that ship with permille
  permille reproduce --table claims
  permille import power-hungry-2023 raw.tar.xz --store study.db
  permille reproduce --from study.db  the same from the runs themselves
"""


OUTPUTS = {"reproduce": Reproduction}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.epilog = EXAMPLES
    add_from(parser)
    parser.add_argument("--table", choices=TABLES, help="only this table")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the tables."""
    result = reproduce(published_study(args.from_store))
    wanted = [args.table] if args.table else list(TABLES)
    keys = [name if name == "claims" else f"table{name}" for name in wanted]
    if args.json:
        # The shape stays: the tables that were not asked for are null.
        every = {field for field in Reproduction.__struct_fields__ if field != "schema"}
        print_json(structs.replace(result, **dict.fromkeys(every - set(keys))))
        return 0
    out = console()
    for key in keys:
        # The one table without rows: there is nothing to compare.
        if key == "table4":
            out.print(f"Table 4: {TABLE_4_NOTE}\n")
            continue
        out.print(_SHOW[key](getattr(result, key)))
        out.print(_NOTES[key] + "\n")
    return 0


def _table(title: str, columns: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for i, column in enumerate(columns):
        number = i > 0 and column not in ("agrees", "note")
        table.add_column(column, justify="right" if number else "left")
    return table


def _table2(rows: Sequence[Table2Row]) -> Table:
    table = _table(
        "Table 2: kWh per 1,000 queries, task-specific models",
        ("task", "published", "found", "difference", "agrees", "sd", "found sd", "sd over models"),
    )
    for r in rows:
        table.add_row(
            r.task,
            f"{r.published_kwh:.3f}",
            _figure(r.kwh, "{:.5f}"),
            _figure(r.difference_kwh, "{:+.5f}"),
            _agrees(r.agreement),
            f"{r.published_sd:g}",
            f"{_figure(r.sd, '{:.4f}')} ({_agrees(r.sd_agreement)})",
            _figure(r.sd_over_models, "{:.4f}"),
        )
    return table


def _table3(rows: Sequence[Table3Row]) -> Table:
    table = _table(
        "Table 3: general-purpose models, per 1,000 queries",
        ("model", "kWh", "found", "difference", "agrees", "gCO2e", "found g", "agrees"),
    )
    for r in rows:
        table.add_row(
            r.published_name,
            f"{r.published_kwh:.3f}",
            _figure(r.kwh, "{:.5f}"),
            _figure(r.difference_kwh, "{:+.5f}"),
            _agrees(r.agreement),
            f"{r.published_co2e_g:g}",
            _figure(r.co2e_g, "{:.3f}"),
            _agrees(r.co2e_agreement),
        )
    return table


def _table5(rows: Sequence[Table5Row]) -> Table:
    table = _table(
        "Table 5: inferences to parity with training and fine-tuning",
        ("model", "published", "from rounded", "agrees", "from the data", "note"),
    )
    for r in rows:
        table.add_row(
            r.model,
            f"{r.published:,}",
            f"{r.from_rounded:,.0f}",
            _agrees(r.agreement),
            _figure(r.from_data, "{:,.0f}"),
            "" if r.matches else r.note,
        )
    return table


def _claims(rows: Sequence[Claim]) -> Table:
    table = _table("In the text", ("claim", "published", "found", "agrees", "note"))
    for r in rows:
        how = "not in the data" if r.found is None else _agrees(r.agreement)
        table.add_row(r.claim, f"{r.published:g}", _figure(r.found, "{:.6g}"), how, r.note)
    return table


def _agrees(how: str | None) -> str:
    return how or "no"


def _figure(value: float | None, shape: str) -> str:
    return "-" if value is None else shape.format(value)


# Callable[..., Table]: each takes the rows of its own table.
_SHOW: dict[str, Callable[..., Table]] = {
    "table2": _table2,
    "table3": _table3,
    "table5": _table5,
    "claims": _claims,
}
_NOTES = {
    "table2": "Reading: the whole node (CPU, RAM, eight GPUs), query phase, pooled over the runs"
    " of the paper's set;\nsd over runs (n - 1). Printed figures are rounded or cut off: both"
    " occur in the paper.",
    "table3": "The same reading, over three tasks; grams by the 138.75 g/kWh of the logs.",
    "table5": "From rounded: by the energy per query as printed. From the data: by its unrounded"
    " mean.",
    "claims": "The note names the subset of the data that a figure follows from.",
}
