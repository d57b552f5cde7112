"""``permille slo``: the cheapest load of a server that keeps a latency promise."""

from __future__ import annotations

import argparse

from permille.analysis.cell_summary import Summary
from permille.analysis.goodput import Goodput, goodput
from permille.analysis.operating_points import SloOutput, slo_output
from permille.analysis.slo import Limit, OperatingChoice, choose
from permille.cli.arguments import add_json, add_reading, add_store, carbon_of
from permille.cli.goodput import goodputs
from permille.cli.promise import add_promise, promise_of
from permille.cli.slo_text import show
from permille.cli.source import refuse_unmatched, say_damage, summaries_of
from permille.cli.terminal import print_json, say_last
from permille.store import Store

EXAMPLES = """examples:
  permille slo --ttft-p95 1s --tpot-p95 50ms --error-rate 1%
  permille slo --study server --model SmolLM2 --latency-p99 2s --region FRA --json
"""

NONE_KEEPS, CANNOT_TELL = 4, 5
"""Exit codes: no operating point keeps the promise; none is known to, but some may."""


OUTPUTS = {"slo": SloOutput}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille slo``."""
    parser.epilog = EXAMPLES
    add_promise(parser)
    parser.add_argument("--model", metavar="PART", help="only models whose name contains this")
    parser.add_argument("--task", help="only this task")
    parser.add_argument("--dataset", help="only this dataset")
    add_store(parser)
    add_reading(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the cheapest operating point that keeps the promise."""
    promise = promise_of(args)
    carbon = carbon_of(args)
    summaries, boundary, damage, notice, _ = summaries_of(args, program=args.json)
    # Above idle before the choice: the cheapest by net energy may be another load.
    selected = [
        s.above_idle() if args.net else s
        for s in summaries
        if args.task in (None, s.cell.task)
        and args.dataset in (None, s.cell.dataset)
        and (args.model is None or args.model.casefold() in s.cell.model.casefold())
    ]
    if summaries and not selected:
        _refuse_unmatched(args, summaries, damage)
    choice = choose(selected, promise)
    good = _goodputs(args, selected, promise, damage)
    output = slo_output(choice, promise, boundary, carbon, good, net=args.net, damage=damage)
    if args.json:
        print_json(output)
    else:
        show(output)
    say_last(notice)
    damaged = say_damage(damage)
    # The verdict first: a build decides by it, and damage is on standard error.
    return code_of(choice) or damaged


def _refuse_unmatched(
    args: argparse.Namespace, summaries: list[Summary], damage: list[str]
) -> None:
    """Refuse a task, dataset or model without results, and suggest what may have been meant.

    Raises:
        UsageError: there are none of the task, of the dataset of that task, or of the model.
    """
    left = summaries
    for option in ("task", "dataset"):
        wanted = getattr(args, option)
        if wanted is None:
            continue
        names = [getattr(s.cell, option) for s in left]
        if wanted not in names:
            refuse_unmatched(option, wanted, names, damage)
        left = [s for s in left if getattr(s.cell, option) == wanted]
    if args.model is not None:
        refuse_unmatched("model", args.model, [s.cell.model for s in left], damage)


def _goodputs(
    args: argparse.Namespace, selected: list[Summary], promise: list[Limit], damage: list[str]
) -> dict[str, Goodput]:
    """The goodput of each point; ``damage`` gets a line for each damaged item of the store."""
    if not args.store.exists():  # the figures are those of the shipped study, without its trials
        return {summary.cell.model: goodput([], {}, summary.boundary) for summary in selected}
    with Store(args.store, readonly=True, damage=damage) as store:
        return goodputs(store, selected, promise)


def code_of(choice: OperatingChoice) -> int:
    """The exit code of an answer."""
    if choice.best is not None:
        return 0
    return CANNOT_TELL if choice.undecided else NONE_KEEPS
