"""``permille run --sessions N --every TIME``: the study N times, with rests between."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time

from permille.analysis.rerun import FEWEST_SESSIONS
from permille.analysis.sessions import BREAK
from permille.cli.arguments import duration, integer
from permille.errors import UsageError
from permille.interrupts import Interrupts
from permille.study.plan.grid import Plan
from permille.units import format_seconds

_LOOK_S = 10.0
"""Between two looks at the clock, which may be set and goes on while a machine is suspended."""


def add_sessions(parser: argparse.ArgumentParser) -> None:
    """The arguments that repeat a study as sessions."""
    parser.add_argument(
        "--sessions",
        type=_sessions,
        default=1,
        metavar="N",
        help="measure every repeat N times, in sessions of their own: what a rerun would find",
    )
    parser.add_argument(
        "--every",
        type=duration,
        metavar="TIME",
        help="the rest between two sessions: 30m, 12h, 1d (default: 30m)",
    )


def rest_of(args: argparse.Namespace) -> datetime.timedelta:
    """The rest between two sessions."""
    every: datetime.timedelta | None = args.every
    # Compared with None, because --every 0s is a valid rest, and false.
    return BREAK if every is None else every


def check(plan: Plan, args: argparse.Namespace) -> None:
    """Refuse what has no meaning; say where sessions will not differ as reruns do.

    Raises:
        UsageError: the number of repeats is not fixed, too few sessions for a rerun's precision, or
            a rest between sessions of which there is one.
    """
    if plan.settings.rerun_precision is not None and args.sessions < FEWEST_SESSIONS:
        raise UsageError(
            "a precision of the rerun interval needs several sessions: add --sessions N, the most"
            f" to measure, {FEWEST_SESSIONS} or more"
        )
    if args.sessions == 1:
        if args.every is not None:
            raise UsageError("--every is the rest between two sessions: add --sessions N")
        return
    if plan.settings.precision is not None:
        raise UsageError(
            "--sessions measures a fixed number of repeats in each session, and the study asks for"
            " a precision: add --repeats N"
        )
    between = rest_of(args)
    # A note and no refusal: requested sessions count as sessions, however short the rest.
    if between < BREAK:
        rest, least = (format_seconds(t.total_seconds()) for t in (between, BREAK))
        print(
            f"note: with a rest of {rest} the sessions share more of the machine's state than"
            f" reruns do; {least} or more is better, and another day is best",
            file=sys.stderr,
        )


def rest(left: datetime.timedelta, session: int, sessions: int) -> None:
    """Wait until a session may begin, and say until when.

    Raises:
        Interrupted: Ctrl-C, TERM or HUP.
    """
    if left <= datetime.timedelta():
        return
    until = datetime.datetime.now(datetime.UTC) + left
    # Local time: it is read by a person at this machine, or in the log of its job.
    clock = until.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    # Before the message: who reads it may press Ctrl-C at once.
    with Interrupts(os.urandom(16).hex()):  # there is no worker to end
        print(
            f"session {session + 1} of {sessions} begins at {clock}, in"
            f" {format_seconds(left.total_seconds())}; all that was measured is kept, and the same"
            " command goes on from here if it is interrupted",
            file=sys.stderr,
            flush=True,
        )
        while (left := until - datetime.datetime.now(datetime.UTC)) > datetime.timedelta():
            time.sleep(min(left.total_seconds(), _LOOK_S))


def _sessions(text: str) -> int:
    value = integer(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of sessions from 1 to 1000")
    return value
