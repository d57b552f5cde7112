"""What ``permille run`` prints while it runs."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from permille.cli import sessions
from permille.cli.object_storage import called_store
from permille.cli.progress import View
from permille.cli.streams import Feed
from permille.cli.terminal import print_json_line
from permille.cli.trial_lines import TrialLine, line_of, line_of_not_run
from permille.escaping import plain
from permille.records.trial import Trial
from permille.store import Store
from permille.study.engines.protocol import NodeRests, Watch
from permille.study.plan.grid import Plan
from permille.study.run.anew import measured_anew
from permille.study.run.attempt import Turn
from permille.study.run.schedule import NotRun, Schedule, finished
from permille.study.run.tally import RunTally
from permille.units import counted


class RunReport:
    """Prints what a run does (:class:`permille.study.engines.protocol.Listener`)."""

    def __init__(self, plan: Plan, store: Store, args: argparse.Namespace) -> None:
        self._plan = plan
        self._store = store
        self._args = args

    def ready(self, schedule: Schedule) -> None:
        """Note which trials of other machines there are, and which cells are measured anew."""
        _say_elsewhere(schedule, self._store, pool=self._args.pool)
        _say_anew(self._plan, schedule, self._store)

    def note(self, text: str) -> None:
        """Print a note."""
        print(plain(f"note: {text}"), file=sys.stderr, flush=True)

    def session(self, number: int) -> None:
        """Print which session begins."""
        text = f"session {number + 1} of {self._args.sessions}"
        print(text, file=sys.stderr, flush=True)

    def rest(self, left: datetime.timedelta, session: int) -> None:
        """Wait until a session may begin."""
        sessions.rest(left, session, self._args.sessions)

    @contextmanager
    def measuring(
        self,
        due: Mapping[str, int],
        repeats: int,
        tally: RunTally,
        machines: Sequence[str] = (),
        at_once: int | None = None,
    ) -> Iterator[Watch]:
        """Show the progress; at the end, the repeats that were not run."""
        lines = self._args.json_lines
        with View(dict(due), repeats, quiet=lines, machines=machines, at_once=at_once) as view:
            # By cell: a model that fails leaves out all repeats of its cells.
            not_run: dict[tuple[str, str], list[NotRun]] = {}
            # A reader that goes away must not end the run in mid-study.
            feed = Feed()

            def tell(line: TrialLine) -> None:
                feed.put(lambda: print_json_line(msgspec.json.encode(line)))

            def watch(event: Turn | Trial | NotRun | NodeRests, machine: str = "") -> None:
                view.watch(event, machine)
                if isinstance(event, NotRun):
                    not_run.setdefault((event.cell.cell.id, event.status), []).append(event)
                    if lines:
                        tell(line_of_not_run(event, self._plan.name))
                elif isinstance(event, Trial) and lines:
                    tell(line_of(event))

            try:
                yield watch
            except KeyboardInterrupt:
                # Of the store: a trial may be stored and not yet counted when the signal comes.
                count = finished(self._plan, self._store)
                kept = counted(count, "finished trial is", "finished trials are")
                print(f"permille: interrupted; {go_on(kept, self._args)}", file=sys.stderr)
                raise
        for repeats_of_cell in not_run.values():
            print(plain(_summary(repeats_of_cell)), file=sys.stderr)


def go_on(finished: str, args: argparse.Namespace) -> str:
    """Say where finished trials are and how to resume."""
    # With --fresh, the same command would begin yet another round.
    again = " without --fresh" if args.fresh else ""
    return plain(f"{finished} in {called_store(args)}; run the same command again{again} to resume")


def _summary(not_run: list[NotRun]) -> str:
    """One line about the repeats of one cell that were not run."""
    first, count = not_run[0], len(not_run)
    what = "is not retried" if first.status == "given-up" else "is skipped in this run"
    if count > 1:
        what = what.replace("is", "are", 1)
    repeats = f"repeat {first.repeat + 1}" if count == 1 else f"{count} repeats"
    cell = first.cell.cell
    return f"permille: {cell.model} on {cell.dataset}: {repeats} {what}: {first.reason}"


def _say_elsewhere(schedule: Schedule, store: Store, *, pool: bool) -> None:
    """Note that trials of this study are from another machine, and how they are treated."""
    # The facts that differ explain why trials do not count; a fingerprint alone does not.
    here = schedule.environment.facts
    for fingerprint, count in schedule.ledger.elsewhere.items():
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
            if pool
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


def _say_anew(plan: Plan, schedule: Schedule, store: Store) -> None:
    """Note the cells that are measured again because something has changed."""
    tried = schedule.ledger.cells
    new = [planned for planned in plan.cells if planned.cell.id not in tried]
    # Trials are read only where a cell is new: a store may have a hundred thousand of them.
    others = tried - {planned.cell.id for planned in plan.cells} if new else set()
    before = [t for cell in sorted(others) for t in store.trials(study=plan.name, cell=cell)]
    for sentence in measured_anew(new, before):
        print(plain(f"note: {sentence}"), file=sys.stderr)
