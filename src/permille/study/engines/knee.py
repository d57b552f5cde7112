"""Measure a server under one load after another, on this machine, until it breaks a promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from permille.analysis.knee import KneeStep, step
from permille.analysis.slo import PointCheck, is_overloaded
from permille.interrupts import Interrupts
from permille.recorder.client import Recorder
from permille.study.engines.local import watched
from permille.study.engines.protocol import RunOutcome, StudyRun
from permille.study.plan.entries import Settings
from permille.study.plan.grid import Plan
from permille.study.plan.loads import LoadAxis
from permille.study.run.runner import Runner
from permille.study.run.schedule import most_repeats


@dataclass(frozen=True)
class KneeQuestion:
    """What a search needs: the ``axis``; ``run_at``: the run of one load; ``check``: whether the
    load of a plan keeps the promise, by its trials of the machine with this fingerprint, None
    without trials; ``heard``: called with each load and its check."""

    axis: LoadAxis
    run_at: Callable[[float], StudyRun]
    check: Callable[[Plan, str], PointCheck | None]
    heard: Callable[[float, PointCheck | None], None]


@dataclass(frozen=True)
class KneeAnswer:
    """The end of a search, its loads in the order in which they were chosen, and the run."""

    end: KneeStep
    loads: tuple[float, ...]
    fingerprint: str
    outcome: RunOutcome


def find_knee(question: KneeQuestion) -> KneeAnswer:
    """Search until the end, with one recorder and, while no trial fails, one server. Loads that
    stored trials settle are not measured again.

    Raises:
        PermilleError: it cannot go on; finished trials are in the store.
        Interrupted: Ctrl-C, TERM or HUP; likewise.
    """
    axis = question.axis
    first = question.run_at(axis.start)
    options = first.options
    verdicts: dict[float, bool | None] = {}
    with Recorder(shared=options.shared) as recorder, Interrupts(recorder.token):
        if options.require:
            recorder.require_measured()
        runner = Runner(
            first.plan,
            first.store,
            recorder,
            pool=options.pool,
            pass_env=options.pass_env,
            quiet=options.quiet,
        )
        fingerprint = runner.environment.fingerprint
        try:
            while (now := step(verdicts, axis.start, whole=axis.whole)).load is not None:
                point = _settle(question, question.run_at(now.load), runner)
                verdicts[now.load] = None if point is None else point.meets
                question.heard(now.load, point)
        finally:
            runner.end()
    outcome = RunOutcome(runner.tally, recorder.missing)
    return KneeAnswer(now, tuple(verdicts), fingerprint, outcome)


def _settle(question: KneeQuestion, run: StudyRun, runner: Runner) -> PointCheck | None:
    """Measure one load until it is known whether it keeps the promise, or its repeats are used
    up."""
    fingerprint = runner.environment.fingerprint
    runner.take_up(run.plan)
    point = question.check(run.plan, fingerprint)
    if run.options.fresh:
        runner.schedule.start_over()
    elif point is not None and is_overloaded(point.summary):
        return point  # its failed trials would be tried again
    _measure(run, runner, run.plan.settings)
    point = question.check(run.plan, fingerprint)
    for settings in _more(run.plan.settings, point):
        # A promise that is clearly kept, or clearly broken, needs no more repeats.
        if point is None or not point.straddles:
            break
        runner.take_up(msgspec.structs.replace(run.plan, settings=settings))
        _measure(run, runner, settings)
        point = question.check(run.plan, fingerprint)
    return point


def _measure(run: StudyRun, runner: Runner, settings: Settings) -> None:
    repeats = range(most_repeats(settings))
    with watched(run, runner, repeats, len(repeats)):
        runner.measure(repeats)


def _more(settings: Settings, point: PointCheck | None) -> Iterator[Settings]:
    """Twice as many repeats each time, up to the most that a study with a precision may have; a
    study with a fixed number of repeats has no more."""
    repeats = 0 if point is None else point.summary.done
    while settings.precision and 0 < repeats < settings.max_repeats:
        repeats = min(2 * repeats, settings.max_repeats)
        # By number alone: the precision is that of the energy, and could be reached before it is
        # known whether the promise is kept.
        yield msgspec.structs.replace(settings, precision=None, repeats=repeats)
