"""Progress of a run: a bar with an estimate of the remaining time or, without a terminal, one line
per trial."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from permille.analysis.boundaries import Bounded, within
from permille.escaping import plain
from permille.records.trial import Trial
from permille.study.engines.protocol import NodeRests
from permille.study.run.attempt import Turn
from permille.study.run.schedule import NotRun
from permille.units import counted, format_energy_kwh, format_seconds, kwh_from_joules

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


# rich cuts what is higher than the terminal, and with it the line that counts the other nodes.
_MACHINES_SHOWN = 20
_RESTS = {"idle": "nothing to do", "lost": "lost"}
"""``idle`` is also the name of a stage."""


class TimeLeft:
    """Estimates the remaining seconds from the duration of each cell's trials so far, on this many
    ``machines``, which may change."""

    def __init__(self, due: dict[str, int], machines: int = 1) -> None:
        self._due = dict(due)
        self.machines = machines
        self._took: dict[str, list[float]] = {}

    def finished(self, cell: str, seconds: float) -> None:
        """Record that one trial of ``cell`` has ended."""
        self._took.setdefault(cell, []).append(seconds)
        self._due[cell] = max(0, self._due[cell] - 1)

    def left_out(self, cell: str, trials: int = 1) -> None:
        """Record that this many trials of ``cell`` will not be run."""
        self._due[cell] = max(0, self._due[cell] - trials)

    @property
    def unknown(self) -> int:
        """The number of cells with remaining trials and no finished one."""
        return sum(1 for cell, due in self._due.items() if due and cell not in self._took)

    @property
    def cells_done(self) -> int:
        """The number of cells without remaining trials."""
        return sum(1 for due in self._due.values() if not due)

    def seconds(self) -> float:
        """The time left for cells whose duration is known; others count as nothing."""
        seconds = sum(
            due * sum(self._took[cell]) / len(self._took[cell])
            for cell, due in self._due.items()
            if due and cell in self._took
        )
        # While every node rests, machines is 0.
        return seconds / max(1, self.machines)

    def __str__(self) -> str:
        if not self.unknown:
            return f"{format_seconds(self.seconds())} left"
        cells = counted(self.unknown, "cell")
        # "over 0 s left" would look as if the run were about to end.
        if not self.seconds():
            return f"time left unknown so far ({cells} not tried yet)"
        return f"over {format_seconds(self.seconds())} left ({cells} not tried yet)"


class View:
    """Shows the progress of a run. Use it in a ``with``; call :meth:`watch` with each event."""

    def __init__(
        self,
        due: dict[str, int],
        repeats: int,
        *,
        quiet: bool,
        machines: Sequence[str] = (),
        at_once: int | None = None,
    ) -> None:
        self._left = TimeLeft(due, at_once or max(1, len(machines)))
        self._cells = len(due)
        self._total = sum(due.values())
        self._repeats = repeats
        self._done = 0
        self._energy_j: float | None = None
        self._quiet = quiet
        self._began: dict[str, float] = {}
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._lines = dict.fromkeys(machines, "waiting")
        self._resting: set[str] = set()

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

            from permille.cli.terminal import console

            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.completed}/{task.total} trials{task.fields[so_far]}"),
                # Standard output may be the JSON of the results.
                console=console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("starting", total=self._total, so_far="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def watch(self, event: Turn | Trial | NotRun | NodeRests, machine: str = "") -> None:
        """Handle one event, of one of the machines if there are several."""
        if isinstance(event, Turn):
            self._turn(event, machine)
        elif isinstance(event, NotRun):
            if event.status == "left-out":  # those that were given up are not due
                self._left.left_out(event.cell.cell.id, event.trials)
        elif isinstance(event, NodeRests):
            self._node(machine, _RESTS[event.why], rests=True)
        else:
            self._trial(event, machine)

    def _turn(self, turn: Turn, machine: str) -> None:
        # Every trial has one baseline, also on a server that an earlier trial started.
        if turn.stage == "idle":
            self._began[machine] = time.monotonic()
        model = plain(turn.cell.cell.model, limit=40)
        text = f"repeat {turn.repeat + 1} of {self._repeats}: {model}: {turn.stage}"
        if turn.expected_s is not None:
            text += f" (about {format_seconds(turn.expected_s)})"
        if machine:
            self._node(machine, text, rests=False)
        else:
            self._update(description=text)

    def _node(self, machine: str, text: str, *, rests: bool) -> None:
        """What a node does now. The time that is left is shared by those that measure."""
        self._lines[machine] = text
        (self._resting.add if rests else self._resting.discard)(machine)
        self._left.machines = len(self._lines) - len(self._resting)
        so_far = {"so_far": f" · {self._so_far()}"} if self._done else {}
        self._update(description="\n".join(self._of_machines()), **so_far)

    def _trial(self, trial: Trial, machine: str) -> None:
        self._done += 1
        began = self._began.get(machine)
        if began is not None:
            self._left.finished(trial.cell.id, time.monotonic() - began)
        elif trial.overhead is not None:  # of a job that sends its trials alone
            self._left.finished(trial.cell.id, trial.overhead.wall_s)
        else:
            # Its duration is unknown: no longer due, and no use for the estimate.
            self._left.left_out(trial.cell.id)
        whole = trial.phases.get("whole")
        # The whole machine, whatever --boundary is: the run's own cost, as RunTally counts it.
        spent = within(whole, "node") if whole else None
        if isinstance(spent, Bounded):
            self._energy_j = (self._energy_j or 0.0) + spent.energy_j
        self._update(completed=self._done, so_far=f" · {self._so_far()}")
        if self._bar is None and not self._quiet:
            print(self._line(trial, machine), file=sys.stderr, flush=True)
        elif self._bar is not None and trial.status != "done":
            # Through the bar's console, which prints above the bar; finished trials are in its
            # counts.
            self._bar.console.print(plain(self._line(trial, machine)), markup=False)

    def _of_machines(self) -> Iterator[str]:
        """One line a machine, of the first ones."""
        resting = f", {len(self._resting)} idle or lost" if self._resting else ""
        yield counted(len(self._lines), "node") + resting
        for machine, text in list(self._lines.items())[:_MACHINES_SHOWN]:
            yield f"  {plain(machine, limit=30)}: {text}"
        if len(self._lines) > _MACHINES_SHOWN:
            yield f"  … and {len(self._lines) - _MACHINES_SHOWN} more"

    def _line(self, trial: Trial, machine: str) -> str:
        place = f"{machine}: " if machine else ""
        reason = f": {trial.reason}" if trial.reason else ""
        more = "" if trial.status == "done" else f" (see: permille trial {trial.uid[:8]})"
        return plain(
            f"[{self._done}/{self._total}] {place}{trial.cell.model} on {trial.cell.dataset},"
            f" repeat {trial.repeat + 1}: {trial.status}{reason}{more} · {self._so_far()}"
        )

    def _so_far(self) -> str:
        """Finished cells, the energy of all trials over all their domains, and the time left."""
        energy = (
            "energy unknown"
            if self._energy_j is None
            else f"{format_energy_kwh(kwh_from_joules(self._energy_j))} so far"
        )
        return f"{self._left.cells_done}/{self._cells} cells · {energy} · {self._left}"

    def _update(self, **fields: Any) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, **fields)
