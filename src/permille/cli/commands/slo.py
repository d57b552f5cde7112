"""``permille slo``: the cheapest load of a server that keeps a latency promise."""

from __future__ import annotations

import argparse

from msgspec import structs

from permille.analysis.compare import find_model
from permille.analysis.operating_points import SloOutput, slo_output
from permille.analysis.slo import ERROR_RATE, LEAST_ANSWERS, TIMES, Limit, choose
from permille.cli.arguments import add_json, add_reading, add_store, carbon_of, duration, share
from permille.cli.slo_text import show
from permille.cli.source import say_damage, summaries_of
from permille.cli.terminal import print_json, say_last
from permille.errors import UsageError

EXAMPLES = """examples:
  permille slo --ttft-p95 1s --tpot-p95 50ms --error-rate 1%
  permille slo --study server --model SmolLM2 --latency-p99 2s --region FRA --json
"""

NONE_KEEPS, CANNOT_TELL = 4, 5
"""Exit codes: no operating point keeps the promise; none is known to, but some may."""
_MEANINGS = {
    "ttft": "of the time to the first token",
    "tpot": "of the time per output token after the first",
    "latency": "of the time of a whole answer",
}


OUTPUTS = {"slo": SloOutput}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille slo``."""
    parser.epilog = EXAMPLES
    for kind in TIMES:
        for percentile in LEAST_ANSWERS:
            parser.add_argument(
                f"--{kind}-{percentile}",
                type=duration,
                metavar="TIME",
                help=f"most {percentile} {_MEANINGS[kind]}: 50ms, 1s",
            )
    parser.add_argument(
        "--error-rate", type=share, metavar="SHARE", help="most failed inferences: 1%% or 0.01"
    )
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
    selected = [
        structs.replace(s, energy=s.net) if args.net else s
        for s in summaries
        if args.task in (None, s.cell.task)
        and args.dataset in (None, s.cell.dataset)
        and (args.model is None or args.model.casefold() in s.cell.model.casefold())
    ]
    if args.model is not None and not selected:
        find_model([s.cell.model for s in summaries], args.model)  # raises with a suggestion
    choice = choose(selected, promise)
    output = slo_output(choice, promise, boundary, carbon, net=args.net, damage=damage)
    if args.json:
        print_json(output)
    else:
        show(output)
    say_last(notice)
    damaged = say_damage(damage)
    if choice.best is not None:
        return damaged
    return CANNOT_TELL if choice.undecided else NONE_KEEPS


def promise_of(args: argparse.Namespace) -> list[Limit]:
    """The limits given on the command line.

    Raises:
        UsageError: there are none, or one is 0.
    """
    given = vars(args)
    promise = [
        Limit(name=name, most=given[name].total_seconds())
        for kind in TIMES
        for percentile in LEAST_ANSWERS
        if given[name := f"{kind}_{percentile}"] is not None
    ]
    if args.error_rate is not None:
        promise.append(Limit(name=ERROR_RATE, most=args.error_rate))
    if not promise:
        raise UsageError("a promise needs a limit, such as --ttft-p95 1s; see: permille slo --help")
    for limit in promise:
        if limit.most <= 0:
            option = limit.name.replace("_", "-")
            raise UsageError(f"--{option} 0 cannot be shown by any number of requests: allow more")
    return promise
