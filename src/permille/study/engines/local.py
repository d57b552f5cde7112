"""The default engine: this machine, one trial at a time, in sessions if there are several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from permille.interrupts import Interrupts
from permille.records.trial import Trial
from permille.study.engines.protocol import EngineOption, RunOutcome, StudyRun
from permille.study.run.attempt import Turn
from permille.study.run.required import require_measured
from permille.study.run.runner import Runner
from permille.study.run.schedule import NotRun, most_repeats
from permille.study.run.stations import recorders
from permille.study.run.tally import RunTally


class LocalEngine:
    """Measures here."""

    options: frozenset[EngineOption] = frozenset({"fresh", "sessions", "shard"})

    def check(self, run: StudyRun) -> None:
        """Nothing is needed."""

    def run(self, run: StudyRun) -> RunOutcome:
        """Every session of the run, each with a recorder of its own: during a rest nothing is
        polled, and the machine is free for another run."""
        runner: Runner | None = None
        options, each = run.options, most_repeats(run.plan.settings)
        for number in range(options.sessions):
            repeats = range(number * each, (number + 1) * each)
            # Not for the first: a session goes on over several runs (docs/sessions.md).
            begins = runner is not None and runner.schedule.is_untouched(repeats)
            if runner is not None and begins:
                run.listener.rest(runner.rest_left(options.every), number)
            with (
                recorders(run.plan, shared=options.shared) as running,
                Interrupts(running.token),
            ):
                if options.require:
                    running.require_measured()
                # A runner has its recorder for its life; what the run did is of all sessions.
                tally = RunTally() if runner is None else runner.tally
                runner = Runner(
                    run.plan,
                    run.store,
                    running.here,
                    agents=running.agents,
                    pool=options.pool,
                    pass_env=options.pass_env,
                    quiet=options.quiet,
                    tally=tally,
                )
                # For the first alone: a later session would discard what those before it measured.
                if number == 0:
                    run.listener.ready(runner.schedule)
                    if options.fresh:
                        runner.schedule.start_over()
                if options.sessions > 1:
                    run.listener.session(number)
                _measure(run, runner, repeats, new_session=begins)
            if number + 1 < options.sessions and runner.schedule.is_rerun_precise():
                precise = f"±{100 * (run.plan.settings.rerun_precision or 0):.3g} %"
                run.listener.note(f"a rerun is within {precise}: no further session is needed")
                break
        assert runner is not None
        return RunOutcome(runner.tally, running.missing)


def _measure(run: StudyRun, runner: Runner, repeats: range, *, new_session: bool) -> None:
    total = len(repeats) * run.options.sessions
    with watched(run, runner, repeats, total):
        runner.run(repeats, new_session=new_session)


@contextmanager
def watched(run: StudyRun, runner: Runner, repeats: range, total: int) -> Iterator[None]:
    """Report what the runner does while the context lasts, as far as these ``repeats`` are due, of
    ``total`` ones of each cell."""
    due = runner.schedule.due(repeats)
    with run.listener.measuring(due, total, runner.tally) as show:

        def watch(what: str, event: Turn | Trial | NotRun) -> None:
            show(event)
            if run.options.require and isinstance(event, Trial):
                require_measured(event, run.options.require)

        runner.watch = watch
        yield


engine = LocalEngine()
