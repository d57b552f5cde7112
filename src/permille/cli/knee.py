"""``permille run STUDY --find-knee``: a server under rising load, until a promise breaks."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import structs

from permille.analysis import slo
from permille.analysis.cell_summary import Summary
from permille.analysis.operating_points import KneeFound, KneeOutput, slo_output
from permille.analysis.slo import ERROR_RATE, Limit, PointCheck, choose, least_answers
from permille.analysis.summaries import summarise
from permille.carbon.settings import CarbonSettings
from permille.cli.arguments import carbon_of
from permille.cli.commands.slo import code_of
from permille.cli.engines import DEFAULT, engine_of, run_options
from permille.cli.goodput import goodputs
from permille.cli.object_storage import measuring_store, origin_of
from permille.cli.permissions import check_commands, check_pickles
from permille.cli.planning import plan_of, selected
from permille.cli.promise import option_of, promise_of
from permille.cli.run_report import RunReport
from permille.cli.slo_text import show, verdict_text
from permille.cli.streams import deliver
from permille.cli.terminal import console, print_json
from permille.errors import UsageError
from permille.escaping import plain
from permille.interrupts import Interrupts
from permille.records.energy import Boundary
from permille.store import Store
from permille.study.engines.knee import KneeAnswer, KneeQuestion, find_knee
from permille.study.engines.protocol import StudyRun
from permille.study.plan.entries import StudyFile
from permille.study.plan.grid import Plan
from permille.study.plan.loads import LoadAxis, axis_of, under_loads
from permille.study.run.schedule import most_repeats


def run_knee(args: argparse.Namespace) -> int:
    """Search, print the answer of ``permille slo``, and return its exit code."""
    promise = promise_of(args)
    _refuse(args)
    # What needs no measuring is refused before hours of it.
    carbon = carbon_of(args)
    study = selected(args)
    axis = axis_of(study)
    _check_can_tell(study, axis, promise)
    first = plan_of(under_loads(study, axis, [axis.start]), args, fetch=True)
    # Once is enough: every load of a search has the same models and commands.
    check_pickles(first, allowed=args.allow_pickle)
    check_commands(first, args)
    with measuring_store(args) as store:
        search = _Search(args, study, axis, promise, store)
        for note in first.notes:
            search.note(note)
        answer = find_knee(
            KneeQuestion(axis=axis, run_at=search.run_at, check=search.check, heard=search.heard)
        )
        with Interrupts(os.urandom(16).hex()):  # no worker is left to end
            return search.show(answer, carbon)


def _refuse(args: argparse.Namespace) -> None:
    """Refuse options that do not go with a search.

    Raises:
        UsageError: there is one.
    """
    for given, option in (
        (args.dry_run, "--dry-run"),
        (args.engine != DEFAULT, "--engine"),
        (args.sessions > 1, "--sessions"),
        (args.every is not None, "--every"),
        (args.rerun_precision is not None, "--rerun-precision"),
        (args.shard is not None, "--shard"),
    ):
        if given:
            raise UsageError(
                f"{option} does not go with --find-knee, which chooses each load by the trials"
                " before, on this machine"
            )
    # By now, the engine is the local one: this refuses the options of the others.
    engine_of(args)


def _check_can_tell(study: StudyFile, axis: LoadAxis, promise: Iterable[Limit]) -> None:
    """Check that the study can settle the promise at all.

    Raises:
        UsageError: no number of its trials could.
    """
    settings = study.settings
    # A single trial has no interval, and a promise is kept only by a whole interval.
    if most_repeats(settings) < 2:
        raise UsageError(f"{study.where}: a promise needs two repeats or more: add --repeats 3")
    for limit in promise:
        # A share has an interval over any number of requests; a percentile needs its answers.
        if limit.name == ERROR_RATE:
            continue
        least = least_answers(limit.name, arrivals=axis.key == "rate_per_s")
        if settings.inferences < least:
            raise UsageError(
                f"{study.where}: {option_of(limit)} over {axis.key} needs inferences = {least} or"
                f" more, not {settings.inferences}: add --inferences {least}"
            )
        if not limit.name.startswith("latency") and not study.models[0].own.get("stream"):
            raise UsageError(f"{study.where}: {option_of(limit)} needs stream = true in the model")


@dataclass(frozen=True)
class _Search:
    """The study under one load after another, and its trials."""

    args: argparse.Namespace
    study: StudyFile
    axis: LoadAxis
    promise: list[Limit]
    store: Store
    plans: dict[float, Plan] = field(default_factory=dict)

    def plan_at(self, load: float) -> Plan:
        """The plan of one load."""
        # Making a plan hashes the files that the models name; the search comes back to its loads.
        if load not in self.plans:
            study = under_loads(self.study, self.axis, [load])
            self.plans[load] = plan_of(study, self.args, fetch=True)
        return self.plans[load]

    def run_at(self, load: float) -> StudyRun:
        """The run of one load."""
        plan = self.plan_at(load)
        report = RunReport(plan, self.store, self.args)
        return StudyRun(
            plan, self.store, run_options(self.args), report, origin=origin_of(self.args)
        )

    def check(self, plan: Plan, fingerprint: str) -> PointCheck | None:
        """Whether the load of a plan keeps the promise, as ``permille slo`` decides it."""
        # Trials of one cell and one machine, or pooled, have one summary.
        summaries = self._summaries(plan, fingerprint)
        return slo.check(summaries[0], self.promise) if summaries else None

    def _summaries(self, plan: Plan, fingerprint: str) -> list[Summary]:
        trials = [
            trial
            for cell, protocol in plan.protocols.items()
            for trial in self.store.trials(study=plan.name, cell=cell, source="permille")
            if trial.protocol == protocol
        ]
        args = self.args
        return [
            summary.above_idle() if args.net else summary
            for summary in summarise(trials, args.boundary or "compute", pool=args.pool)
            # The same server on another machine breaks the promise at another load.
            if args.pool or summary.fingerprint == fingerprint
        ]

    def note(self, text: str) -> None:
        """Print a note while it runs."""
        print(plain(f"note: {text}"), file=sys.stderr, flush=True)

    def heard(self, load: float, point: PointCheck | None) -> None:
        """Print the verdict on a load."""
        line = f"{self._name(load)}: {verdict_text(point)}"
        print(plain(line), file=sys.stderr, flush=True)

    def show(self, answer: KneeAnswer, carbon: CarbonSettings) -> int:
        """Print the answer; return the exit code."""
        summaries = [
            summary
            for load in answer.loads
            for summary in self._summaries(self.plan_at(load), answer.fingerprint)
        ]
        choice = choose(summaries, self.promise)
        args = self.args
        boundary: Boundary = args.boundary or "compute"
        good = goodputs(self.store, summaries, self.promise)
        output = slo_output(choice, self.promise, boundary, carbon, good, net=args.net)
        # Standard output has one line of JSON for each trial, and nothing else.
        if not args.json_lines:
            # By deliver(): a search of hours cannot be repeated for a closed pipe.
            deliver(
                lambda: self._print(KneeOutput(**structs.asdict(output), knee=self._of(answer)))
            )
        return code_of(choice)

    def _of(self, answer: KneeAnswer) -> KneeFound:
        end = answer.end
        # A search stops at the step that has no further load, and so a reason for its end.
        assert end.end is not None
        return KneeFound(
            setting=self.axis.key,
            kept=end.kept,
            beyond=end.beyond,
            end=end.end,
            loads=answer.loads,
        )

    def _print(self, output: KneeOutput) -> None:
        if self.args.json:
            print_json(output)
            return
        show(output)
        from rich.text import Text

        console().print(Text(plain(self._sentence(output.knee)), style="bold"), soft_wrap=True)

    def _sentence(self, knee: KneeFound) -> str:
        """Where the promise breaks."""
        if knee.kept is None:
            # Not "no load keeps it": those below the lowest were not tried.
            lowest = self._name(min(knee.loads))
            return f"no load down to {lowest} is known to keep the promise"
        kept = self._name(knee.kept)
        if knee.beyond is None:
            return f"the promise is still kept at {kept}, the highest load of a search"
        beyond = self._name(knee.beyond)
        if knee.end == "resolved":
            return f"the promise breaks between {kept} and {beyond}"
        return f"the promise is kept at {kept}; the trials cannot tell whether {beyond} keeps it"

    def _name(self, load: float) -> str:
        return f"{self.axis.key} = {self.axis.written(load):g}"
