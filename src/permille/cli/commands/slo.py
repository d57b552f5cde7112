"""``permille slo``: the cheapest operating point that keeps a promise."""

from __future__ import annotations

import argparse
import re

from permille.analysis.rows import CellRow, Interval, SessionInterval, row_at
from permille.analysis.slo import BestLoad, Held, Limit, Quantity, Verdict, answers
from permille.carbon.settings import CarbonSettings
from permille.cli.arguments import add_json, add_reading, add_store, carbon_of, share
from permille.cli.slo_text import show
from permille.cli.source import say_damage, summaries_of
from permille.cli.terminal import print_json, say_last
from permille.errors import UsageError
from permille.records import Boundary, JsonOutput, Record

EXAMPLES = """examples:
  permille slo --ttft-p95 1s --tpot-p95 50ms
  permille slo --study server --latency-p99 3s --error-rate 1% --region FRA
"""

NONE_KEEPS, CANNOT_TELL = 4, 5
"""Exit codes."""
_CODES: dict[Verdict, int] = {"keeps": 0, "breaks": NONE_KEEPS, "cannot-tell": CANNOT_TELL}
_TIMES: dict[Quantity, str] = {
    "ttft": "time to the first token",
    "tpot": "time per output token after the first",
    "latency": "time of a whole answer",
}


class HeldLimit(Record):
    """One limit of the promise, held against an operating point. ``headroom`` is the share of the
    limit that is left, negative beyond it; ``reason`` says why it cannot be told."""

    limit: str
    most: float
    value: float | None
    low: float | None
    high: float | None
    headroom: float | None
    verdict: Verdict
    reason: str | None


class OperatingPoint(Record):
    """A model under one load, and the limits held against it."""

    verdict: Verdict
    limits: tuple[HeldLimit, ...]
    figures: CellRow


class SloAnswer(Record):
    """The operating points of one task, dataset, study and machine, cheapest first.

    ``best``: the model of the cheapest point that keeps the promise; ``cheapest``: that of the
    cheapest of all; ``cost``: the energy of the first over that of the second; ``nearest``: where
    none keeps it, the model of the point that comes nearest.
    """

    task: str
    dataset: str
    study: str
    verdict: Verdict
    best: str | None
    cheapest: str | None
    cost: SessionInterval
    nearest: str | None
    points: tuple[OperatingPoint, ...]


class SloOutput(JsonOutput):
    """What ``permille slo --json`` prints. Limits are in seconds, the error rate is a share."""

    promise: dict[str, float]
    boundary: Boundary
    net: bool
    carbon: CarbonSettings
    answers: tuple[SloAnswer, ...]
    damage: tuple[str, ...]


OUTPUTS = {"slo": SloOutput}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille slo``."""
    parser.epilog = EXAMPLES
    for quantity, words in _TIMES.items():
        for percentile in ("p50", "p95", "p99"):
            parser.add_argument(
                f"--{quantity}-{percentile}",
                type=time_s,
                metavar="TIME",
                help=f"the {percentile} of the {words} is at most this: 1s or 50ms",
            )
    parser.add_argument(
        "--error-rate",
        type=share,
        metavar="SHARE",
        help="at most this share of the inferences fails: 1%% or 0.01",
    )
    add_store(parser)
    add_reading(parser)
    add_json(parser)


def time_s(text: str) -> float:
    """Seconds from a time such as 1s or 50ms, for argparse."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)\s*(ms|s)", text.strip())
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 1s or 50ms")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def run(args: argparse.Namespace) -> int:
    """Print the answer; 0 if a point keeps the promise, otherwise 4 or 5."""
    promise = _promise(args)
    carbon = carbon_of(args)
    read = summaries_of(args, program=args.json)
    found = answers(read.summaries, promise, net=args.net)
    if not found:
        raise UsageError(
            f"no trials of an operating point in {args.store}; docs/llm-server.md shows a sweep"
        )
    if args.json:
        print_json(
            SloOutput(
                promise={limit.name: limit.most for limit in promise},
                boundary=read.boundary,
                net=args.net,
                carbon=carbon,
                answers=tuple(_answer_json(one, carbon, net=args.net) for one in found),
                damage=tuple(read.damage),
            )
        )
    else:
        show(found, carbon, net=args.net)
    say_last(read.notice)
    return say_damage(read.damage) or max(_CODES[one.verdict] for one in found)


def _promise(args: argparse.Namespace) -> tuple[Limit, ...]:
    limits = [
        Limit(quantity=quantity, percentile=percentile, most=most)
        for quantity in _TIMES
        for percentile in ("p50", "p95", "p99")
        if (most := getattr(args, f"{quantity}_{percentile}")) is not None
    ]
    if args.error_rate is not None:
        limits.append(Limit(quantity="error-rate", percentile=None, most=args.error_rate))
    if not limits:
        raise UsageError("a promise has at least one limit, such as --ttft-p95 1s")
    return tuple(limits)


def _answer_json(answer: BestLoad, carbon: CarbonSettings, *, net: bool) -> SloAnswer:
    first = answer.points[0].summary
    best, cheapest, nearest = (
        None if point is None else point.summary.cell.model
        for point in (answer.best, answer.cheapest, answer.nearest)
    )
    return SloAnswer(
        task=first.cell.task,
        dataset=first.cell.dataset,
        study=first.study,
        verdict=answer.verdict,
        best=best,
        cheapest=cheapest,
        cost=SessionInterval.of(answer.cost),
        nearest=nearest,
        points=tuple(
            OperatingPoint(
                verdict=point.verdict,
                limits=tuple(map(_held_json, point.held)),
                figures=row_at(point.summary, carbon, net=net),
            )
            for point in answer.points
        ),
    )


def _held_json(held: Held) -> HeldLimit:
    figure = Interval.of(held.figure)
    return HeldLimit(
        limit=held.limit.name,
        most=held.limit.most,
        value=figure.value,
        low=figure.low,
        high=figure.high,
        headroom=None if held.used is None else 1 - held.used,
        verdict=held.verdict,
        reason=held.reason,
    )
