"""``permille run STUDY``: measure a study, store every trial, print the table and the answer."""

from __future__ import annotations

import argparse
import os

from permille.analysis.operating_points import KneeOutput
from permille.analysis.results import Results
from permille.cli import sessions
from permille.cli.arguments import add_reading, add_store, add_strictness, carbon_of
from permille.cli.dry_run import DryRun, dry_run
from permille.cli.engines import add_engine, as_run, check_agents, engine_of, run_options
from permille.cli.object_storage import measuring_store, origin_of
from permille.cli.permissions import check_commands, check_pickles
from permille.cli.planning import add_allowances, add_planning, planned
from permille.cli.promise import add_promise, refuse_promise
from permille.cli.run_end import show_results
from permille.cli.run_report import RunReport, go_on
from permille.cli.streams import OutputLostError, drop_output, tell
from permille.cli.trial_lines import TrialLine
from permille.errors import UsageError
from permille.interrupts import Interrupted, Interrupts
from permille.study.engines.protocol import StudyRun

EXAMPLES = """examples:
  permille run quickstart
  permille run study.toml --repeats 5 --region DEU
  permille run study.toml --precision 0.05 --require measured
  permille run study.toml --sessions 5 --every 12h
  permille run study.toml --dry-run
  permille run server.toml --find-knee --ttft-p95 1s
  permille run power-hungry-2023 --weights replica --tasks 'text-*' --shard 1/4
  permille run study.toml --store s3://bucket/prefix
  permille run study.toml --engine ray --machines 8
  permille run study.toml --engine ray --replicas-of-block 3
  permille run study.toml --engine slurm --partition gpu --time 12h
"""


OUTPUTS = {
    "run": Results,
    "run --dry-run": DryRun,
    "run --json-lines": TrialLine,
    "run --find-knee": KneeOutput,
}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille run``."""
    parser.epilog = EXAMPLES
    parser.add_argument("study_file", metavar="STUDY", help="a TOML file, or a preset's name")
    add_store(parser)
    add_planning(parser)
    sessions.add_sessions(parser)
    add_engine(parser)
    add_strictness(
        parser, quiet="treat a trial as invalid if other processes used over 5 %% of the CPU time"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan without measuring")
    parser.add_argument(
        "--json-lines", action="store_true", help="one JSON line per finished trial on stdout"
    )
    # Not add_json(): with --dry-run it is another document.
    parser.add_argument(
        "--json",
        action="store_true",
        help="print JSON: the plan with --dry-run, else the results at the end",
    )
    add_allowances(parser)
    parser.add_argument(
        "--fresh", action="store_true", help="start a new round; earlier trials stay in the store"
    )
    parser.add_argument(
        "--pass-env",
        action="append",
        default=[],
        metavar="NAME",
        help="also pass this environment variable to workers",
    )
    parser.add_argument(
        "--allow-commands",
        action="store_true",
        help="run the commands of a study file that others could have written (see SECURITY.md)",
    )
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        help="read weights from pickles, which can run code, if the study file also allows it",
    )
    parser.add_argument(
        "--find-knee",
        action="store_true",
        help="for a server: raise its load until a promise breaks, given by the limits below",
    )
    add_promise(parser)
    add_reading(parser, market=True, study=False)


def run(args: argparse.Namespace) -> int:
    """Run the study; return 0 if all is done, 1 if some cells failed."""
    try:
        return _run(args)
    except Interrupted as stop:
        return stop.code
    except OutputLostError as error:
        return _unheard(args, error)


def _run(args: argparse.Namespace) -> int:
    if args.json and args.json_lines:
        raise UsageError(
            "--json and --json-lines both print to standard output: leave one out (permille results"
            " --json prints the results afterwards)"
        )
    if args.find_knee:
        from permille.cli.knee import run_knee

        return run_knee(args)
    refuse_promise(args, unless="--find-knee")
    # A wrong grid or engine is said before the plan, which may download models.
    carbon = carbon_of(args)
    engine = engine_of(args)
    # A dry run downloads nothing; it prints how much a run would download.
    plan = as_run(planned(args, fetch=not args.dry_run), args)
    sessions.check(plan, args)
    check_agents(plan, args.engine)
    if args.dry_run:
        return dry_run(plan, args)
    check_pickles(plan, allowed=args.allow_pickle)
    check_commands(plan, args)
    with measuring_store(args) as store:
        report = RunReport(plan, store, args)
        study = StudyRun(plan, store, run_options(args), report, tuple(args.words), origin_of(args))
        # Nodes that would not measure the same are refused before anything is measured.
        engine.check(study)
        for note in plan.notes:
            report.note(note)
        outcome = engine.run(study)
        with Interrupts(os.urandom(16).hex()):  # no worker is left to end
            show_results(plan, store, carbon, outcome, args)
    # Also 1 where trials are only left out: a script must not take a part for the whole.
    return 0 if outcome.tally.complete else 1


def _unheard(args: argparse.Namespace, error: OutputLostError) -> int:
    """Nobody reads the output any more: the run ends early and must not look successful."""
    drop_output()
    tell(
        f"permille: cannot write the output: {error.strerror}; {go_on('finished trials are', args)}"
    )
    return 1
