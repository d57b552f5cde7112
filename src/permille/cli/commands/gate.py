"""``permille gate -- BASE --- HEAD``: fails if HEAD needs more energy, by the ratio's interval.

``gate STUDY --against STORE`` judges a study (:mod:`permille.cli.gate_study`).
"""

from __future__ import annotations

import argparse
import datetime
import shlex
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from permille.analysis.commands import Figure, figure, ratio
from permille.analysis.estimates import Interval
from permille.analysis.gate import Verdict, judged
from permille.cli.arguments import (
    add_json,
    add_store,
    duration,
    positive_int,
    refuse_given,
    share,
    whole_number,
)
from permille.cli.gate_looks import DEFAULT_ROUNDS, DEFAULT_S, batches, confidence
from permille.cli.gate_study import StudyGateOutput, gate_study
from permille.cli.gate_verdict import GateOutput, markdown, sentence
from permille.cli.planning import add_allowances
from permille.cli.run_progress import RunProgress
from permille.cli.streams import deliver
from permille.cli.terminal import print_json
from permille.errors import UsageError
from permille.escaping import plain
from permille.interrupts import Interrupted, Interrupts
from permille.measure.command import Run, check, input_file
from permille.measure.commands import CommandLine, expand, split
from permille.measure.figure import ended_badly, phases_of, require_measured
from permille.measure.rounds import RunProtocol, rounds
from permille.output import check_writable, write_whole
from permille.recorder.client import Recorder
from permille.records.energy import BOUNDARIES, Estimate

EXAMPLES = """examples:
  permille gate -- ./old --- ./new
  permille gate --max-increase 3% --rounds 20 -- python old.py --- python new.py
  permille gate --until-told --at-most 10m -- ./old --- ./new
  permille gate study.toml --against base.db
"""

DEFAULT_WARMUP = 1
DEFAULT_AT_MOST = datetime.timedelta(minutes=10)
FAILS, CANNOT_TELL = 4, 5
"""Exit codes."""
_CODES: dict[Verdict, int] = {"pass": 0, "fail": FAILS, "cannot-tell": CANNOT_TELL}


OUTPUTS = {"gate": GateOutput, "gate --against": StudyGateOutput}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille gate``."""
    parser.usage = (
        "permille gate [options] -- BASE [ARG …] --- HEAD [ARG …]\n"
        "       permille gate STUDY --against STORE [options]"
    )
    parser.epilog = EXAMPLES
    _add_study(parser)
    add_store(parser)
    add_allowances(parser)
    parser.add_argument(
        "--max-increase",
        type=share,
        default=0.05,
        metavar="SHARE",
        help="how much more energy HEAD may need: 5%% or 0.05 (default: 5%%)",
    )
    _add_rounds(parser)
    _add_commands(parser)
    parser.add_argument("--boundary", choices=BOUNDARIES, default="compute", help="what counts")
    parser.add_argument(
        "--require", choices=["measured"], help="exit 3 if only an estimate is available"
    )
    parser.add_argument(
        "--shared", action="store_true", help="allow other measurements on this machine meanwhile"
    )
    add_json(parser)


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "study_file",
        nargs="?",
        metavar="STUDY",
        help="with --against: a study file or preset, already run",
    )
    parser.add_argument(
        "--against",
        metavar="STORE",
        help="the store of the baseline, from this machine: a file or URL, as for --store",
    )


def _add_rounds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rounds",
        type=positive_int,
        metavar="N",
        help=f"in each, both run once (default: {DEFAULT_ROUNDS}; if they cannot tell, more until"
        f" each command has taken {DEFAULT_S:.0f} s)",
    )
    parser.add_argument(
        "--warmup",
        type=whole_number,
        metavar="N",
        help=f"uncounted runs first (default: {DEFAULT_WARMUP})",
    )
    parser.add_argument(
        "--until-told",
        action="store_true",
        help="go on until the verdict is clear, with intervals that allow for looking repeatedly",
    )
    parser.add_argument(
        "--at-most",
        type=duration,
        metavar="TIME",
        help="with --until-told: no new rounds after this time (default: 10m)",
    )


def _add_commands(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--command-name",
        action="append",
        default=[],
        metavar="NAME",
        help="a name for BASE and, given again, one for HEAD",
    )
    parser.add_argument(
        "--export-markdown", type=Path, metavar="FILE", help="write the verdict as Markdown"
    )
    parser.add_argument("--input", metavar="FILE", help="what every run reads on standard input")
    parser.add_argument("--prepare", metavar="LINE", help="run by the shell before each run")
    parser.add_argument("--shell", metavar="SHELL", help="run the commands by this shell")


def run(args: argparse.Namespace) -> int:
    """Measure both, and judge; or judge a study against its baseline."""
    if args.study_file is not None or args.against is not None:
        return _study(args)
    refuse_given(args, _FOR_STUDIES, "for a study only, with --against; commands have no store")
    commands = _commands(args)
    # Before the rounds: a verdict of minutes must not end in a page that cannot be written.
    if args.export_markdown is not None:
        check_writable(args.export_markdown)
    token = uuid.uuid4().hex
    # With --until-told, --rounds is only where the looks begin.
    progress = RunProgress(commands, None if args.until_told else args.rounds)
    try:
        with Recorder(shared=args.shared) as recorder, Interrupts(token):
            if args.require:
                recorder.require_measured()
            output = _gate(recorder, commands, token, args, progress)
    except Interrupted as stop:
        print(plain(f"permille: interrupted by {stop}: no verdict"), file=sys.stderr)
        return stop.code
    finally:
        progress.close()
    deliver(lambda: print_json(output) if args.json else print(plain(sentence(output))))
    if args.export_markdown is not None:
        write_whole(args.export_markdown, markdown(output).encode())
    # A failed command: exit 1, and not "cannot tell", which more rounds could settle.
    return 1 if output.reason else _CODES[output.verdict]


def _commands(args: argparse.Namespace) -> list[CommandLine]:
    """The two commands, which can be started.

    Raises:
        UsageError: they are not two, one cannot be started, or an option goes without another.
    """
    # hyperfine's word, so that its command lines work here.
    shell = "/bin/sh" if args.shell == "default" else args.shell
    lines = split(args.command) if args.command else []
    if len(lines) != 2:
        raise UsageError("a gate compares two commands: permille gate -- ./old --- ./new")
    if args.at_most is not None and not args.until_told:
        # Silently, a gate would take as long as its 12 rounds do.
        raise UsageError("--at-most goes with --until-told, which is not given")
    commands = expand(lines, (), names=args.command_name, shell=shell)
    for command in commands:
        check(command.words, prepared=args.prepare is not None)
    return commands


_FOR_COMMANDS = (
    "--rounds", "--warmup", "--until-told", "--at-most", "--command-name", "--export-markdown",
    "--input", "--prepare", "--shell", "--shared",
)  # fmt: skip
_FOR_STUDIES = ("--store", "--allow-path", "--allow-module")


def _study(args: argparse.Namespace) -> int:
    """Judge a study against a stored baseline.

    Raises:
        UsageError: the study, the baseline or the place of a command is wrong.
    """
    if args.against is None:
        line = shlex.join(["permille", "gate", "--", *args.words])
        raise UsageError(f"a command goes after --: {line}; a study needs --against STORE")
    if args.study_file is None or args.command:
        raise UsageError("--against takes a study and no command: gate study.toml --against STORE")
    refuse_given(
        args, _FOR_COMMANDS, "for commands only; a study's trials are measured by permille run"
    )
    output = gate_study(args)
    return 1 if any(cell.reason for cell in output.cells) else _CODES[output.verdict]


def _gate(
    recorder: Recorder,
    commands: Sequence[CommandLine],
    token: str,
    args: argparse.Namespace,
    progress: RunProgress,
) -> GateOutput:
    """Rounds until the verdict is clear, or there is no time for more."""
    warmup = DEFAULT_WARMUP if args.warmup is None else args.warmup
    at_most = DEFAULT_AT_MOST if args.at_most is None else args.at_most
    # Monotonic: a clock that is set meanwhile must not end the gate, or keep it going.
    ends_s = time.monotonic() + at_most.total_seconds() if args.until_told else None
    found: tuple[list[Run], list[Run]] = ([], [])
    output: GateOutput | None = None

    def before(number: int, round_number: int, runs: Sequence[Sequence[Run]]) -> None:
        # Each batch numbers its rounds from 0, and the line of progress all of them together.
        progress.before(number, len(found[0]) + round_number, runs)

    for look, batch in enumerate(batches(args, found), 1):
        protocol = RunProtocol(
            repeats=None,
            min_repeats=batch.least,
            max_repeats=batch.most,
            least_s=batch.seconds,
            warmup=warmup if look == 1 else 0,
            # No baseline: the ratio is that of the whole energies.
            idle_s=0.0,
            # Inherited, the first run would read all of it, and the others none.
            stdin=input_file(args.input or "null"),
            ignore_failure=False,
            prepare=args.prepare,
            ends_s=ends_s,
        )
        made = rounds(
            recorder,
            commands,
            protocol,
            token=token,
            # With --json, standard output is for the verdict alone.
            stdout=sys.stderr.buffer if args.json else None,
            before=before,
        )
        for all_runs, new in zip(found, made, strict=True):
            all_runs += new
        output = _judged(commands, found, confidence(args, look, found), args)
        # Without a figure, more rounds would not help.
        told = output.verdict != "cannot-tell" or output.reason is not None
        if told or (ends_s is not None and time.monotonic() >= ends_s):
            break
    assert output is not None
    return output


def _judged(
    commands: Sequence[CommandLine],
    found: tuple[Sequence[Run], Sequence[Run]],
    sure: float,
    args: argparse.Namespace,
) -> GateOutput:
    """The verdict on the rounds so far.

    Raises:
        MeterError: a measurement is required, and a figure rests on more.
    """
    figures = [
        figure([r.phase for r in runs], [r.idle for r in runs], args.boundary) for runs in found
    ]
    if args.require:
        require_measured(figures, args.boundary)
    reason = next((why for why in map(_why, commands, found, figures) if why), None)
    base, head = found
    # A command that failed has fewer runs; a round counts where both ran.
    blocks = min(len(base), len(head))
    times: Estimate | None = None
    if reason is None:
        times = ratio(phases_of(head), phases_of(base), args.boundary, confidence=sure)
        if times is None:
            reason = "an energy is not above 0: measure something that takes longer"
    judgement = judged(times, blocks, args.max_increase)
    known = [one.provenance for one in figures if one.provenance is not None]
    return GateOutput(
        verdict=judgement.verdict,
        max_increase=args.max_increase,
        ratio=Interval.of(times),
        confidence=sure,
        blocks=blocks,
        more_blocks_needed=judgement.more_rounds,
        base=commands[0].name,
        head=commands[1].name,
        boundary=args.boundary,
        # A ratio is worth what the weaker of its sides is.
        provenance=max(known, key=lambda p: p.weakness, default=None),
        reason=reason,
    )


def _why(command: CommandLine, runs: Sequence[Run], one: Figure) -> str | None:
    """Why there is no figure of a command; None if there is one."""
    reason = ended_badly(runs, len(runs)) or one.reason
    return reason and f"{command.name}: {reason}"
