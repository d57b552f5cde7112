"""``permille measure -- CMD``: energy of any command, like hyperfine for joules."""

from __future__ import annotations

import argparse
import sys
import uuid
from pathlib import Path

from permille.cli.arguments import (
    add_carbon,
    add_json,
    add_strictness,
    carbon_of,
    positive_int,
    seconds,
    whole_number,
)
from permille.cli.measure_text import markdown, show, show_missing, show_ratio
from permille.cli.streams import deliver
from permille.cli.terminal import print_json
from permille.errors import UsageError
from permille.escaping import plain
from permille.interrupts import Interrupted, Interrupts
from permille.measure.command import Run, check, input_file
from permille.measure.figure import (
    FigureRequest,
    MeasuredCommand,
    MeasuredPair,
    command_json,
    pair_json,
    require_measured,
)
from permille.measure.runs import RunProtocol, runs, without_input
from permille.recorder.client import Recorder
from permille.records import BOUNDARIES
from permille.units import format_seconds

EXAMPLES = """examples:
  permille measure -- sleep 1
  permille measure --repeats 5 --warmup 1 -n 1000 -- python classify.py reviews.csv
  permille measure --repeats 5 -- ./old --- ./new        two commands, and their ratio
  permille measure --json --idle 2 -- ./serve-once       idle power first, for the net energy
"""

HABITS = {"-r": "--repeats", "--runs": "--repeats", "-w": "--warmup"}
"""Options of hyperfine, which does for time what this command does for energy."""


OUTPUTS = {"measure": MeasuredCommand, "measure, two commands": MeasuredPair}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille measure``."""
    parser.usage = "permille measure [options] -- COMMAND [ARG …] [--- COMMAND [ARG …]]"
    parser.epilog = EXAMPLES
    parser.add_argument("--repeats", type=positive_int, default=1, metavar="N", help="runs")
    parser.add_argument(
        "--warmup", type=whole_number, default=0, metavar="N", help="uncounted runs first"
    )
    parser.add_argument(
        "-n", "--inferences", type=positive_int, metavar="N", help="inferences in one run"
    )
    parser.add_argument(
        "--idle", type=seconds, default=0.0, metavar="S", help="idle seconds before each run"
    )
    parser.add_argument(
        "--input",
        metavar="FILE",
        help="what every run reads on standard input; null: nothing (default for several runs)",
    )
    parser.add_argument("--boundary", choices=BOUNDARIES, default="compute", help="what counts")
    add_carbon(parser)
    add_strictness(parser, quiet="no figure where other processes used over 5 %% of the CPU time")
    parser.add_argument(
        "-i",
        "--ignore-failure",
        action="store_true",
        help="accept a command that exits with an error",
    )
    parser.add_argument("--explain", action="store_true", help="show what the interval is made of")
    parser.add_argument("--export-markdown", type=Path, metavar="FILE", help="write a table too")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measure one command, or two and their ratio."""
    commands = _commands(args.command)
    for command in commands:
        check(command)
    carbon = carbon_of(args)
    if args.export_markdown and not args.export_markdown.absolute().parent.is_dir():
        raise UsageError(f"cannot write {args.export_markdown}: there is no such folder")
    protocol, notes = _protocol(args, several=len(commands) * args.repeats + args.warmup > 1)
    measured: list[list[Run]] = []
    token = uuid.uuid4().hex
    try:
        with Recorder(shared=args.shared) as recorder, Interrupts(token):
            if args.require:
                recorder.require_measured()
            measured.extend(_runs(recorder, each, protocol, token, args) for each in commands)
            missing = [meter for meter in recorder.missing if meter.present]
    except Interrupted as stop:
        print(plain(f"permille: {_interrupted(stop, len(measured), commands)}"), file=sys.stderr)
        return stop.code
    question = FigureRequest(
        boundary=args.boundary,
        inferences=args.inferences,
        repeats=args.repeats,
        ignore_failure=args.ignore_failure,
        quiet_machine=args.quiet_machine,
        carbon=carbon,
    )
    payloads = [
        command_json(command, found, question, missing, notes)
        for command, found in zip(commands, measured, strict=True)
    ]
    pair = pair_json(payloads, measured, args.boundary) if len(payloads) == 2 else None
    output = pair or payloads[0]
    if args.require:
        require_measured(payloads)
    if args.export_markdown:
        _write(args.export_markdown, markdown(payloads))

    def tell() -> None:
        if args.json:
            print_json(output)
            return
        for one in payloads:
            show(one, explain=args.explain)
        if pair:
            show_ratio(pair.ratio)
            if not args.idle and any(p.provenance == "estimated" for p in payloads):
                print("  (of estimates; --idle 1 tells time from work and narrows it)")
        show_missing(payloads, missing)

    deliver(tell)
    return 0 if output.valid else 1


def _write(path: Path, text: str) -> None:
    """Raises UsageError: it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _commands(words: list[str]) -> list[list[str]]:
    commands: list[list[str]] = [[]]
    for word in words:
        if word == "---":
            commands.append([])
        else:
            commands[-1].append(word)
    if not all(commands) or len(commands) > 2:
        raise UsageError(
            "give one command after --, or two with --- between, as in:"
            " permille measure -- sleep 1 --- sleep 2"
        )
    return commands


def _protocol(args: argparse.Namespace, *, several: bool) -> tuple[RunProtocol, list[str]]:
    """How the commands are run, and what is to be noted of it."""
    stdin, note = None, None
    if args.input is not None:
        stdin = input_file(args.input)
    elif several:
        stdin, note = input_file("null"), without_input(0)
    protocol = RunProtocol(
        repeats=args.repeats,
        warmup=args.warmup,
        idle_s=args.idle,
        stdin=stdin,
        ignore_failure=args.ignore_failure,
    )
    return protocol, [note] if note else []


def _runs(
    recorder: Recorder,
    command: list[str],
    protocol: RunProtocol,
    token: str,
    args: argparse.Namespace,
) -> list[Run]:
    shown = args.repeats > 1 and sys.stderr.isatty()

    def before(found: list[Run]) -> None:
        if shown:
            took = f", {format_seconds(found[-1].phase.seconds)} each" if found else ""
            line = f"\rrun {len(found) + 1} of {args.repeats}{took} "
            print(line, end="", file=sys.stderr, flush=True)

    # With --json standard output is for the result alone; the command's own goes to stderr.
    stdout = sys.stderr.buffer if args.json else None
    found = runs(recorder, command, protocol, token=token, stdout=stdout, before=before)
    if shown:
        print(file=sys.stderr)
    return found


def _interrupted(stop: Interrupted, finished: int, commands: list[list[str]]) -> str:
    which = f"command {finished + 1} of {len(commands)}" if len(commands) > 1 else "the command"
    return f"interrupted by {stop}: {which} was stopped too; no result is kept"
