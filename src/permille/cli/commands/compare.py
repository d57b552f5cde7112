"""``permille compare A B``: the ratio of two models, with its interval."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from permille.analysis.answer import energy_words, short, times_text
from permille.analysis.cell_summary import Summary
from permille.analysis.comparable import called
from permille.analysis.compare import compare
from permille.analysis.comparison import CellRatio, Comparison
from permille.analysis.estimates import SessionInterval
from permille.analysis.evidence_words import over_sessions
from permille.analysis.quality import Level, Test, compared, verdict_text
from permille.analysis.rows import CellRow, row
from permille.carbon.settings import CarbonSettings
from permille.cli.arguments import add_json, add_reading, add_store, carbon_of
from permille.cli.source import say_damage, summaries_of
from permille.cli.terminal import console, print_json, say_last
from permille.collector import without_collector
from permille.escaping import plain
from permille.records import JsonOutput, Record
from permille.records.energy import Boundary
from permille.units import counted

EXAMPLES = """examples:
  permille compare SmolLM2 MiniLM
  permille compare google/flan-t5-base distilbert --boundary accelerator --json
"""


class QualityVerdict(Record):
    """Whether the quality of A is better or worse than that of B, and the test used."""

    a_is: Level
    test: Test
    p: float | None
    samples: int | None


class ComparedCell(Record):
    """Energy of A over B's on one task and dataset."""

    task: str
    dataset: str
    study: str
    ratio: SessionInterval
    quality: QualityVerdict
    a: CellRow
    b: CellRow
    warnings: tuple[str, ...]


class ComparisonOutput(JsonOutput):
    """What ``permille compare --json`` prints. ``ratio`` is over all cells."""

    a: str
    b: str
    boundary: Boundary
    net: bool
    carbon: CarbonSettings
    ratio: SessionInterval
    cells: tuple[ComparedCell, ...]
    damage: tuple[str, ...]


OUTPUTS = {"compare": ComparisonOutput}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille compare``."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "a", metavar="A", help="a model's id, or a part of it that no other model's id contains"
    )
    parser.add_argument("b", metavar="B", help="the model to compare it with")
    add_store(parser)
    add_reading(parser)
    add_json(parser)


@without_collector()
def run(args: argparse.Namespace) -> int:
    """Print the ratio A / B."""
    carbon = carbon_of(args)
    # The boundary is that of the compared cells; the sessions' reference is for results.
    summaries, _, damage, notice, _ = summaries_of(args, program=args.json)
    comparison = compare(summaries, args.a, args.b, net=args.net)
    if args.json:
        print_json(comparison_json(comparison, carbon, net=args.net, damage=damage))
    else:
        _show(comparison)
    say_last(notice)
    return say_damage(damage)


def comparison_json(
    comparison: Comparison, carbon: CarbonSettings, *, net: bool, damage: Sequence[str] = ()
) -> ComparisonOutput:
    """The comparison as it is printed."""

    def side(summary: Summary) -> CellRow:
        grams = carbon.intensity_g_per_kwh
        return row(summary, intensity_g_per_kwh=grams, pue=carbon.pue, net=net)

    return ComparisonOutput(
        a=comparison.a,
        b=comparison.b,
        # Every summary was read within the same one.
        boundary=comparison.cells[0].a.boundary,
        net=net,
        carbon=carbon,
        ratio=SessionInterval.of(comparison.ratio),
        cells=tuple(
            ComparedCell(
                task=cell.a.cell.task,
                dataset=cell.a.cell.dataset,
                study=cell.a.study,
                ratio=SessionInterval.of(cell.ratio),
                quality=_verdict(cell),
                a=side(cell.a),
                b=side(cell.b),
                warnings=tuple(cell.warnings),
            )
            for cell in comparison.cells
        ),
        damage=tuple(damage),
    )


def _verdict(cell: CellRatio) -> QualityVerdict:
    verdict = compared(cell.a.quality, cell.b.quality)
    return QualityVerdict(
        a_is=verdict.level, test=verdict.test, p=verdict.p, samples=verdict.samples
    )


def _show(comparison: Comparison) -> None:
    from rich.text import Text

    out = console()
    for cell in comparison.cells:
        line = (
            f"{cell.a.cell.task} on {cell.a.cell.dataset}: {called(cell.a.cell)} needs"
            f" {times_text(cell.ratio)} the {energy_words(net=comparison.net)} of"
            f" {called(cell.b.cell)}"
        )
        a, b = cell.a.quality, cell.b.quality
        # Different metrics do not show which model is better; --json has both.
        if a and b and a.metric == b.metric:
            line += f", {verdict_text(a, b)}"
        out.print(Text(plain(line)), soft_wrap=True)
        # A line of its own: the interval above is of these sessions, this one of another.
        over = over_sessions(cell.ratio, short)
        if over is not None:
            out.print(f"  {over}", soft_wrap=True)
        for warning in cell.warnings:
            out.print(Text(plain(f"  note: {warning}")), soft_wrap=True)
    if len(comparison.cells) > 1:
        cells = counted(len(comparison.cells), "cell")
        out.print(Text(plain(f"over {cells}: {times_text(comparison.ratio)}")))
        over = over_sessions(comparison.ratio, short)
        if over is not None:
            out.print(f"  {over}", soft_wrap=True)
