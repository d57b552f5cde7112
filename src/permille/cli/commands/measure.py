"""``permille measure -- CMD``: energy of any command, like hyperfine for joules."""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Sequence
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
from permille.cli.measure_text import csv_rows, markdown, show, show_missing, show_ratios
from permille.cli.missing_meters import notable
from permille.cli.run_progress import RunProgress
from permille.cli.streams import deliver
from permille.cli.terminal import print_json
from permille.errors import UsageError
from permille.escaping import plain
from permille.interrupts import Interrupted, Interrupts
from permille.measure.command import Run, check, input_file
from permille.measure.commands import CommandLine, check_beside, expand, scan, split, values_of
from permille.measure.comparing import CHEAPEST, MeasuredCommands, check_reference, compared
from permille.measure.figure import (
    FigureRequest,
    MeasuredCommand,
    command_json,
    require_measured,
    without_others,
)
from permille.measure.rounds import LEAST_S, RunProtocol, clean_up, rounds, without_input
from permille.output import check_writable, json_text, write_whole
from permille.recorder.client import Recorder
from permille.recorder.wire import Missing
from permille.records.energy import BOUNDARIES
from permille.tabular import as_csv

EXAMPLES = """examples:
  permille measure -- sleep 1
  permille measure --repeats 5 --warmup 1 -n 1000 -- python classify.py reviews.csv
  permille measure --repeats 5 -- ./old --- ./new        two commands, and their ratio
  permille measure -r 5 -L threads 1,2,4 -- ./serve --threads {threads}
  permille measure --json --idle 2 -- ./serve-once       idle power first, for the net energy
"""

HABITS = {"--command-names": "--command-name", "--net": "--idle"}
"""What people may call an option by."""
DEFAULT_MIN, DEFAULT_MAX = 10, 1000
"""Of the repeats, where --min-repeats or --max-repeats says that their number is not fixed."""

_BESIDE = {
    "setup": ("-s", "before all runs of each command"),
    "prepare": ("-p", "before each run"),
    "conclude": ("-C", "after each run"),
    "cleanup": ("-c", "after all runs of each command"),
}
"""Options of lines that the shell runs, unmeasured, beside the commands."""

OUTPUTS = {"measure": MeasuredCommand, "measure, several commands": MeasuredCommands}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille measure``. What hyperfine has too has its name there as well."""
    parser.usage = "permille measure [options] -- COMMAND [ARG …] [--- COMMAND [ARG …]]…"
    parser.epilog = EXAMPLES
    _add_repeats(parser)
    parser.add_argument(
        "-n", "--inferences", type=_inferences, metavar="N", help="inferences in one run"
    )
    parser.add_argument(
        "--idle", type=seconds, default=0.0, metavar="S", help="idle seconds before each run"
    )
    _add_commands(parser)
    _add_around(parser)
    parser.add_argument("--boundary", choices=BOUNDARIES, default="compute", help="what counts")
    add_carbon(parser, market=True)
    add_strictness(parser, quiet="no figure where other processes used over 5 %% of the CPU time")
    parser.add_argument(
        "--without-others",
        action="store_true",
        help="for estimates: leave out the work of other processes",
    )
    parser.add_argument(
        "-i",
        "--ignore-failure",
        action="store_true",
        help="accept a command that exits with an error",
    )
    parser.add_argument("--explain", action="store_true", help="show what the interval is made of")
    for form in ("markdown", "csv", "json"):
        parser.add_argument(
            f"--export-{form}", type=Path, metavar="FILE", help=f"write the result as {form} too"
        )
    add_json(parser)


def _inferences(text: str) -> int:
    try:
        return positive_int(text)
    except argparse.ArgumentTypeError as error:
        # hyperfine's -n is a name.
        raise argparse.ArgumentTypeError(f"{error} (a name: --command-name)") from error


def _add_repeats(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        # --runs, --min-runs and --max-runs are hyperfine's names for these.
        "-r",
        "--repeats",
        "--runs",
        type=positive_int,
        metavar="N",
        help="runs (default: 1)",
    )
    parser.add_argument(
        "-m",
        "--min-repeats",
        "--min-runs",
        type=positive_int,
        metavar="N",
        help=f"instead: run for {LEAST_S:g} s in all, at least N times (default: {DEFAULT_MIN})",
    )
    parser.add_argument(
        "-M",
        "--max-repeats",
        "--max-runs",
        type=positive_int,
        metavar="N",
        help=f"and at most N times (default: {DEFAULT_MAX})",
    )
    parser.add_argument(
        "-w", "--warmup", type=whole_number, default=0, metavar="N", help="uncounted runs first"
    )


def _add_commands(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--command-name", action="append", default=[], metavar="NAME", help="name of a command"
    )
    parser.add_argument(
        "--reference",
        metavar="NAME",
        help=f"what the others are compared with: a command's name, or {CHEAPEST} (default: the"
        " second of two, the first of more)",
    )
    parser.add_argument(
        "-L",
        "--parameter-list",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUES"),
        help="run the commands with each of these values (1,2,4) for {NAME}",
    )
    parser.add_argument(
        "-P",
        "--parameter-scan",
        nargs=3,
        action="append",
        default=[],
        metavar=("NAME", "MIN", "MAX"),
        help="run the commands with each number from MIN to MAX for {NAME}",
    )
    parser.add_argument(
        "-D", "--parameter-step-size", metavar="STEP", help="of --parameter-scan (default: 1)"
    )
    shells = parser.add_mutually_exclusive_group()
    shells.add_argument("-S", "--shell", metavar="SHELL", help="run the commands by this shell")
    shells.add_argument(
        "-N", "--no-shell", action="store_true", help="run them without a shell (the default)"
    )


def _add_around(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--input",
        metavar="FILE",
        help="what every run reads on standard input; null: nothing (default for several runs)",
    )
    for name, (short, when) in _BESIDE.items():
        parser.add_argument(
            short, f"--{name}", metavar="LINE", help=f"run this by the shell, unmeasured, {when}"
        )


def run(args: argparse.Namespace) -> int:
    """Measure one command, or several and their ratios."""
    commands = _commands(args)
    for command in commands:
        # A program that does not exist yet may be built by --setup or --prepare.
        check(command.words, prepared=bool(args.setup or args.prepare))
    check_reference(commands, args.reference)
    carbon_of(args)  # a wrong region or PUE is an error before anything is measured
    # Hours of runs must not end in a table that cannot be written.
    _check_files(args)
    protocol, notes = _protocol(args, len(commands))
    token = uuid.uuid4().hex
    progress = RunProgress(commands, protocol.repeats)
    try:
        with Recorder(shared=args.shared) as recorder, Interrupts(token):
            if args.require:
                recorder.require_measured()
            # With --json standard output is for the result alone; the commands' own goes to stderr.
            stdout = sys.stderr.buffer if args.json else None
            measured = rounds(
                recorder, commands, protocol, token=token, stdout=stdout, before=progress.before
            )
            # Within the context, so that a signal stops this, too.
            unclean = clean_up(commands, protocol, token=token)
            missing = notable(recorder.missing)
    except Interrupted as stop:
        print(plain(f"permille: {progress.interrupted(stop)}"), file=sys.stderr)
        return stop.code
    finally:
        progress.close()
    figures, ratios = _figures(args, commands, measured, protocol, missing, notes)
    output = ratios or figures[0]

    def tell() -> None:
        if args.json:
            print_json(output)
            return
        for one in figures if ratios is None else ratios.commands:
            show(one, explain=args.explain)
        if ratios is not None:
            show_ratios(ratios)
        show_missing(figures, missing)

    # The result first: a file that cannot be written takes nothing from it.
    deliver(tell)
    _export(args, figures, ratios)
    for problem in unclean:
        print(plain(f"permille: {problem}; the result holds"), file=sys.stderr)
    return 0 if output.valid and not unclean else 1


def _check_files(args: argparse.Namespace) -> None:
    given = (args.export_markdown, args.export_csv, args.export_json)
    files = [file for file in given if file is not None]
    for file in files:
        check_writable(file)
    # The second would replace the first.
    if len({file.parent.resolve() / file.name for file in files}) < len(files):
        raise UsageError("two exports name the same file: give each one of its own")


def _figures(
    args: argparse.Namespace,
    commands: Sequence[CommandLine],
    measured: Sequence[Sequence[Run]],
    protocol: RunProtocol,
    missing: Sequence[Missing],
    notes: Sequence[str],
) -> tuple[list[MeasuredCommand], MeasuredCommands | None]:
    """The figure of each command and, of several, how they compare.

    Raises:
        MeterError: a measurement is required, and a figure rests on more.
    """
    # Before the figures, and so from every one of them: no ratio of two kinds.
    if args.without_others:
        measured = [without_others(runs) for runs in measured]
    question = FigureRequest(
        boundary=args.boundary,
        inferences=args.inferences,
        # Where their number was not fixed, as many as were made: none of them is missing.
        repeats=protocol.repeats or max(map(len, measured)),
        ignore_failure=args.ignore_failure,
        quiet_machine=args.quiet_machine,
        carbon=carbon_of(args),
    )
    figures = [
        command_json(command, found, question, missing, notes)
        for command, found in zip(commands, measured, strict=True)
    ]
    if args.require:
        require_measured(figures, args.boundary)
    if len(commands) == 1:
        return figures, None
    return figures, compared(commands, figures, measured, args.boundary, args.reference)


def _export(
    args: argparse.Namespace, figures: Sequence[MeasuredCommand], ratios: MeasuredCommands | None
) -> None:
    commands = figures if ratios is None else ratios.commands
    if args.export_markdown is not None:
        _write(args.export_markdown, markdown(commands, ratios))
    if args.export_csv is not None:
        _write(args.export_csv, as_csv(csv_rows(commands)))
    if args.export_json is not None:
        _write(args.export_json, json_text(ratios or figures[0]) + "\n")


def _write(path: Path, text: str) -> None:
    # A command line that is not UTF-8 has surrogates, which so become escapes, as JSON spells them.
    write_whole(path, text.encode("utf-8", "backslashreplace"))


def _commands(args: argparse.Namespace) -> list[CommandLine]:
    parameters = [values_of(key, values) for key, values in args.parameter_list]
    if args.parameter_step_size is not None and not args.parameter_scan:
        raise UsageError("--parameter-step-size goes with --parameter-scan")
    parameters += [
        scan(key, low, high, args.parameter_step_size) for key, low, high in args.parameter_scan
    ]
    # hyperfine's word, so that its command lines work here.
    shell = "/bin/sh" if args.shell == "default" else args.shell
    commands = expand(split(args.command), parameters, names=args.command_name, shell=shell)
    check_beside(commands, {f"--{name}": getattr(args, name) for name in _BESIDE})
    return commands


def _protocol(args: argparse.Namespace, commands: int) -> tuple[RunProtocol, list[str]]:
    """How the commands are run, and what is to be noted of it."""
    bounds = (args.min_repeats, args.max_repeats)
    if args.repeats is not None and bounds != (None, None):
        raise UsageError("--repeats fixes the number of runs: no --min-repeats, no --max-repeats")
    fixed = (args.repeats or 1) if bounds == (None, None) else None
    # Where a bound that is given contradicts the default of the other, that default gives way.
    most = args.max_repeats or max(DEFAULT_MAX, args.min_repeats or 0)
    least = min(args.min_repeats or DEFAULT_MIN, most)
    if args.min_repeats and args.min_repeats > most:
        raise UsageError("--min-repeats is more than --max-repeats")
    stdin, note = None, None
    if args.input is not None:
        stdin = input_file(args.input)
    elif commands * (fixed or least) + args.warmup > 1:
        # Inherited, the first run would read all of it, and the others none.
        stdin, note = input_file("null"), without_input(0)
    protocol = RunProtocol(
        repeats=fixed,
        min_repeats=least,
        max_repeats=most,
        warmup=args.warmup,
        idle_s=args.idle,
        stdin=stdin,
        ignore_failure=args.ignore_failure,
        setup=args.setup,
        prepare=args.prepare,
        conclude=args.conclude,
        cleanup=args.cleanup,
    )
    return protocol, [note] if note else []
