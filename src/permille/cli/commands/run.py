"""``permille run STUDY``: measure a study, store every trial, print the table and the answer."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from permille.analysis.answer import answers
from permille.analysis.boundaries import within
from permille.analysis.cell_summary import Summary
from permille.analysis.results import Results, result_rows
from permille.analysis.summaries import summarise
from permille.carbon.settings import CarbonSettings
from permille.cli import sessions
from permille.cli.arguments import (
    add_reading,
    add_store,
    add_strictness,
    carbon_of,
)
from permille.cli.commands.results import show
from permille.cli.dry_run import DryRun, dry_run
from permille.cli.object_storage import measuring_store
from permille.cli.planning import add_allowances, add_planning, planned
from permille.cli.progress import View
from permille.cli.source import reference_sentences
from permille.cli.streams import Feed, deliver, drop_output, is_output_lost
from permille.cli.terminal import console, print_json, print_json_line
from permille.cli.trial_lines import TrialLine, line_of, line_of_not_run
from permille.errors import MeterError, StudyError
from permille.escaping import plain
from permille.interrupts import Interrupted, Interrupts
from permille.recorder.client import Recorder
from permille.records import Boundary, Provenance, Refused, Trial
from permille.store import Store
from permille.study.plan.execution import executions
from permille.study.plan.grid import Plan
from permille.study.plan.ownership import why_not_own
from permille.study.run.anew import measured_anew
from permille.study.run.attempt import Turn
from permille.study.run.runner import NotRun, Runner, RunTally
from permille.units import counted, format_energy_kwh, format_seconds, kwh_from_joules

EXAMPLES = """examples:
  permille run quickstart
  permille run study.toml --repeats 5 --region DEU
  permille run study.toml --precision 0.05 --require measured
  permille run study.toml --sessions 5 --every 12h
  permille run study.toml --dry-run
  permille run power-hungry-2023 --weights replica --tasks 'text-*' --shard 1/4
  permille run study.toml --store s3://bucket/prefix
"""


OUTPUTS = {"run": Results, "run --dry-run": DryRun, "run --json-lines": TrialLine}
"""What it prints with ``--json``."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``permille run``."""
    parser.epilog = EXAMPLES
    parser.add_argument("study_file", metavar="STUDY", help="a TOML file, or a preset's name")
    add_store(parser)
    add_planning(parser)
    sessions.add_sessions(parser)
    add_strictness(
        parser, quiet="treat a trial as invalid if other processes used over 5 %% of the CPU time"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan without measuring")
    parser.add_argument(
        "--json-lines", action="store_true", help="one JSON line per finished trial on stdout"
    )
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
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Run the study; return 0 if all is done, 1 if some cells failed."""
    carbon = carbon_of(args)
    plan = planned(args, fetch=not args.dry_run)
    sessions.check(plan, args)
    if args.dry_run:
        return dry_run(plan, args)
    _pickles(plan, allowed=args.allow_pickle)
    _commands(plan, args)
    _say_plan(plan, args)
    try:
        with measuring_store(args) as store:
            tally, recorder = _measure_sessions(plan, store, args)
            with Interrupts(recorder.token):
                _tell(plan, store, recorder, carbon, tally, args)
    except Interrupted as stop:
        return stop.code
    except OSError as error:
        if not is_output_lost(error):
            raise
        return _unheard(args)
    return 1 if tally.failed or tally.invalid or tally.given_up or tally.left_out else 0


def _unheard(args: argparse.Namespace) -> int:
    """Nobody reads the output any more: the run ends early and must not look successful."""
    drop_output()
    try:
        print(
            f"permille: cannot write the output; {_go_on('finished trials are', args)}",
            file=sys.stderr,
        )
        sys.stderr.flush()
    except OSError:  # standard error is the stream that cannot be written
        drop_output(sys.stderr)
    return 1


def _go_on(finished: str, args: argparse.Namespace) -> str:
    """Say where finished trials are and how to resume."""
    again = " without --fresh" if args.fresh else ""
    return plain(
        f"{finished} in {args.store_url or args.store}; run the same command again{again} to resume"
    )


def _tell(
    plan: Plan,
    store: Store,
    recorder: Recorder,
    carbon: CarbonSettings,
    tally: RunTally,
    args: argparse.Namespace,
) -> None:
    """The table and the answer, or the table as JSON."""
    if args.json_lines:
        return
    boundary: Boundary = args.boundary or "compute"
    protocols = {planned.cell.id: plan.protocol_of(planned) for planned in plan.cells}
    trials = (t for t in store.trials(study=plan.name) if protocols.get(t.cell.id) == t.protocol)
    # In the study's order: the order in which a block measures its models is drawn.
    places = {planned.cell.id: place for place, planned in enumerate(plan.cells)}
    summaries = summarise(trials, boundary, pool=args.pool)
    summaries.sort(key=lambda summary: places[summary.cell.id])
    rows = result_rows(summaries, carbon, net=args.net)
    reference = reference_sentences(store, plan.name)
    results = Results.of(rows, boundary, carbon, net=args.net, reference=reference)

    def tell() -> None:
        if args.json:
            print_json(results)
        else:
            show(results, summaries)
            _close(plan, summaries, tally, recorder, args)

    deliver(tell)


def _measure_sessions(
    plan: Plan, store: Store, args: argparse.Namespace
) -> tuple[RunTally, Recorder]:
    """Every session of the run, each with a recorder of its own: what rests is not polled, and the
    machine is free for another run. What all of them did, and the last recorder, which has
    ended."""
    runner: Runner | None = None
    for number in range(args.sessions):
        repeats = sessions.repeats_of(plan, number)
        begins = runner is not None and runner.is_untouched(repeats)
        if runner is not None and begins:
            sessions.rest(runner.rest_left(args.every), number, args.sessions)
        with Recorder(shared=args.shared) as recorder, Interrupts(recorder.token):
            if args.require:
                recorder.require_measured()
            tally = RunTally() if runner is None else runner.tally
            runner = Runner(
                plan,
                store,
                recorder,
                pool=args.pool,
                pass_env=args.pass_env,
                quiet=args.quiet_machine,
                tally=tally,
            )
            if number == 0:
                _say_elsewhere(runner, store, args)
                _say_anew(plan, runner, store)
                if args.fresh:
                    runner.start_over()
            if args.sessions > 1:
                print(f"session {number + 1} of {args.sessions}", file=sys.stderr, flush=True)
            _measure(plan, runner, repeats, args, new_session=begins)
        if number + 1 < args.sessions and runner.is_rerun_precise():
            precise = f"±{100 * (plan.settings.rerun_precision or 0):.3g} %"
            print(f"a rerun is within {precise}: no further session is needed", file=sys.stderr)
            break
    assert runner is not None
    return runner.tally, recorder


def _measure(
    plan: Plan, runner: Runner, repeats: range, args: argparse.Namespace, *, new_session: bool
) -> None:
    due = {
        planned.cell.id: sum(runner.is_due(planned, repeat) for repeat in repeats)
        for planned in plan.cells
    }
    with View(due, len(repeats) * args.sessions, quiet=args.json_lines) as view:
        not_run: dict[tuple[str, str], list[NotRun]] = {}
        feed = Feed()

        def tell(line: TrialLine) -> None:
            feed.put(lambda: print_json_line(msgspec.json.encode(line)))

        def watch(what: str, event: Turn | Trial | NotRun) -> None:
            view.watch(what, event)
            if isinstance(event, NotRun):
                not_run.setdefault((event.cell.cell.id, event.status), []).append(event)
                if args.json_lines:
                    tell(line_of_not_run(event, plan.name))
            if not isinstance(event, Trial):
                return
            if args.json_lines:
                tell(line_of(event))
            if args.require:
                _require_measured(event, args.boundary or "compute")

        runner.watch = watch
        try:
            runner.run(repeats, new_session=new_session)
        except KeyboardInterrupt:
            finished = counted(runner.finished(), "finished trial is", "finished trials are")
            print(f"permille: interrupted; {_go_on(finished, args)}", file=sys.stderr)
            raise
    for repeats_of_cell in not_run.values():
        print(plain(_summary(repeats_of_cell)), file=sys.stderr)


def _summary(not_run: list[NotRun]) -> str:
    """One line about the repeats of one cell that were not run."""
    first, count = not_run[0], len(not_run)
    what = "is not retried" if first.status == "given-up" else "is skipped in this run"
    if count > 1:
        what = what.replace("is", "are", 1)
    repeats = f"repeat {first.repeat + 1}" if count == 1 else f"{count} repeats"
    cell = first.cell.cell
    return f"permille: {cell.model} on {cell.dataset}: {repeats} {what}: {first.reason}"


def _require_measured(trial: Trial, boundary: Boundary) -> None:
    """Stop at the first trial whose energy is not entirely measured.

    Raises:
        MeterError: it is not; the trial is kept.
    """
    query = trial.phases.get("query")
    if query is None or trial.status != "done":
        return
    spent = within(query, boundary)
    if isinstance(spent, Refused) or spent.provenance is Provenance.MEASURED:
        return
    weak = [n for n, d in query.domains.items() if d.provenance is not Provenance.MEASURED]
    raise MeterError(
        f"the energy within {boundary} is {spent.provenance} ({', '.join(weak)}), and a"
        " measurement is required; see: permille meters"
    )


def _say_elsewhere(runner: Runner, store: Store, args: argparse.Namespace) -> None:
    """Note that trials of this study are from another machine, and how they are treated."""
    here = runner.environment.facts
    for fingerprint, count in runner.ledger.elsewhere.items():
        there = store.environment(fingerprint)
        facts = there.facts if there else {}
        finished = counted(count, "finished trial was", "finished trials were")
        differs = [
            f"{name} {facts.get(name, 'none')} → {here.get(name, 'none')}"
            for name in sorted(facts.keys() | here.keys())
            if facts.get(name) != here.get(name)
        ]
        what = (
            "they are included because of --pool"
            if args.pool
            else "they are not pooled with this machine's, and the results have a row for each;"
            " --pool counts them together"
        )
        print(
            plain(
                f"note: {finished} measured for this study on another machine or"
                f" other versions ({fingerprint}: {', '.join(differs)[:500]}); {what}"
            ),
            file=sys.stderr,
        )


def _say_anew(plan: Plan, runner: Runner, store: Store) -> None:
    """Note the cells that are measured again because something has changed."""
    tried = runner.ledger.cells
    new = [planned for planned in plan.cells if planned.cell.id not in tried]
    others = tried - {planned.cell.id for planned in plan.cells} if new else set()
    before = [t for cell in sorted(others) for t in store.trials(study=plan.name, cell=cell)]
    for sentence in measured_anew(new, before):
        print(plain(f"note: {sentence}"), file=sys.stderr)


def _pickles(plan: Plan, *, allowed: bool) -> None:
    """Check that the user allows pickles too. A study file may come from a stranger, so its own
    permission is not enough.

    Raises:
        StudyError: a model's weights would be read from a pickle without --allow-pickle.
    """
    models = {p.cell.model for p in plan.cells if p.model.settings.get("allow_pickle")}
    for model in sorted(models):
        if not allowed:
            raise StudyError(
                f"model {model!r}: the study file reads its weights from a pickle, which can"
                " run code: add --allow-pickle if you trust its author"
            )
        warning = f"WARNING: model {model!r} is read from a pickle, which can run code"
        print(plain(warning), file=sys.stderr)


def _commands(plan: Plan, args: argparse.Namespace) -> None:
    """Confirm the commands of a study file that others could have written.

    Raises:
        StudyError: it has commands, and the user has not allowed them.
    """
    commands = [e for e in executions(plan) if e.kind != "callable"]
    path = Path(args.study_file)
    reason = why_not_own(path) if path.exists() else None  # a preset ships with permille
    if args.allow_commands or not commands or reason is None:
        return
    shown = "; ".join(f"{e.model}: {e.what}" for e in commands)
    if sys.stdin.isatty() and sys.stderr.isatty():
        print(plain(f"{path} ({reason}) runs: {shown}"), file=sys.stderr)
        print("run this? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise StudyError(
        f"{path} runs commands, and {reason}: {shown}; read it, then add --allow-commands"
    )


def _say_plan(plan: Plan, args: argparse.Namespace) -> None:
    for note in plan.notes:
        print(plain(f"note: {note}"), file=sys.stderr)


def _close(
    plan: Plan,
    summaries: list[Summary],
    tally: RunTally,
    recorder: Recorder,
    args: argparse.Namespace,
) -> None:
    """Print the answer, failures, missing meters, the cost of the benchmark, and a next step."""
    from rich.text import Text

    out = console()

    def say(text: str, style: str = "") -> None:
        out.print(Text(plain(text), style=style), soft_wrap=True)

    out.print()
    for sentence in answers(summaries):
        say(sentence, "bold")
    if tally.given_up:
        given_up = counted(tally.given_up, "trial")
        say(
            f"{given_up} failed three times and will not be retried; once the cause is fixed,"
            " start over with --fresh",
            "red",
        )
    if tally.left_out:
        left_out = counted(tally.left_out, "trial was", "trials were")
        say(
            f"{left_out} skipped in this run: their models fail for the same reason each time",
            "red",
        )
    if tally.elsewhere:
        elsewhere = counted(tally.elsewhere, "trial was", "trials were")
        say(f"{elsewhere} made by another run of this study in the meantime")
    if tally.disturbed:
        made = counted(tally.done + tally.failed + tally.invalid, "trial")
        say(
            f"other processes disturbed {tally.disturbed} of this run's {made} (over 5 % of the"
            " CPU time): --quiet-machine makes such trials invalid"
        )
    for missing in recorder.missing:
        if missing.remedy:
            words = f"{missing.reason}; to unlock it: {missing.remedy}"
            say(f"not measured here: {missing.meter}: {words}", "dim")
    if tally.energy_j is not None:
        share = 100 * tally.recorder_cpu_s / tally.wall_s if tally.wall_s else 0.0
        say(
            f"this benchmark itself used {format_energy_kwh(kwh_from_joules(tally.energy_j))}"
            f" in {format_seconds(tally.wall_s)} (recorder: {share:.1f} % of one core)"
        )
    if tally.kept:
        say(f"{counted(tally.kept, 'trial was', 'trials were')} already finished")
    store = "" if str(args.store) == "permille.db" else f" --store {args.store}"
    models = list(dict.fromkeys(s.cell.model for s in summaries))
    if len(models) > 1:
        say(f"next: permille compare {models[-1]!r} {models[-2]!r} --region FRA{store}")
    else:
        say(f"next: permille results --region FRA{store}")
