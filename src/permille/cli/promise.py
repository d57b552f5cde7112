"""The limits of a promise on the command line: ``--ttft-p95 1s --error-rate 1%``."""

from __future__ import annotations

import argparse

from permille.analysis.slo import ERROR_RATE, LEAST_ANSWERS, TIMES, Limit
from permille.cli.arguments import duration, share
from permille.errors import UsageError

_MEANINGS = {
    "ttft": "time to the first token",
    "tpot": "time per output token after the first",
    "latency": "time of a whole answer",
}


def add_promise(parser: argparse.ArgumentParser) -> None:
    """Add an option for each limit."""
    for kind in TIMES:
        for percentile in LEAST_ANSWERS:
            parser.add_argument(
                f"--{kind}-{percentile}",
                type=duration,
                metavar="TIME",
                help=f"the limit on the {percentile} of the {_MEANINGS[kind]}: 50ms, 1s",
            )
    parser.add_argument(
        "--error-rate",
        type=share,
        metavar="SHARE",
        # %%: argparse formats a help text with % (docs.python.org/3/library/argparse.html#help).
        help="the limit on failed inferences: 1%% or 0.01",
    )


def promise_of(args: argparse.Namespace) -> list[Limit]:
    """The limits given on the command line.

    Raises:
        UsageError: there are none, or one is 0.
    """
    promise = _given(args)
    if not promise:
        raise UsageError("a promise needs a limit, such as --ttft-p95 1s; see: permille slo --help")
    # share and duration take a 0 for other options, such as gate --max-increase 0.
    for limit in promise:
        if limit.most <= 0:
            why = "no number of requests shows that none fails"
            if limit.name != ERROR_RATE:
                why = "no answer comes in no time"
            raise UsageError(f"{option_of(limit)} 0 cannot be kept: {why}; allow more")
    return promise


def refuse_promise(args: argparse.Namespace, unless: str) -> None:
    """Refuse limits that would have no effect without the option ``unless``.

    Raises:
        UsageError: there is one.
    """
    for limit in _given(args):
        raise UsageError(f"{option_of(limit)} is a limit for {unless}, which is not given")


def option_of(limit: Limit) -> str:
    """The option that gives the limit."""
    return f"--{limit.name.replace('_', '-')}"


def _given(args: argparse.Namespace) -> list[Limit]:
    given = vars(args)
    promise = [
        Limit(name=name, most=given[name].total_seconds())
        for kind in TIMES
        for percentile in LEAST_ANSWERS
        if given[name := f"{kind}_{percentile}"] is not None
    ]
    if args.error_rate is not None:
        promise.append(Limit(name=ERROR_RATE, most=args.error_rate))
    return promise
