"""How a run is going: a bar with an honest time left, or a line a trial where there is no
terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from permille.cli.terminal import plain
from permille.records import Trial
from permille.study.runner import Turn
from permille.units import format_seconds

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class TimeLeft:
    """Seconds left, from what each cell's trials took so far; None while a cell is unknown."""

    def __init__(self, due: dict[str, int]) -> None:
        self._due = dict(due)
        self._took: dict[str, list[float]] = {}

    def finished(self, cell: str, seconds: float) -> None:
        """One trial of ``cell`` is over."""
        self._took.setdefault(cell, []).append(seconds)
        self._due[cell] = max(0, self._due[cell] - 1)

    def seconds(self) -> float | None:
        """What is left, or None."""
        left = 0.0
        for cell, due in self._due.items():
            if not due:
                continue
            if cell not in self._took:
                return None
            left += due * sum(self._took[cell]) / len(self._took[cell])
        return left


class View:
    """Watches a run. Use with ``with``; pass :meth:`watch` to the runner."""

    def __init__(self, due: dict[str, int], repeats: int, *, quiet: bool) -> None:
        self._left = TimeLeft(due)
        self._total = sum(due.values())
        self._repeats = repeats
        self._done = 0
        self._quiet = quiet
        self._began = time.monotonic()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

            from permille.cli.terminal import console

            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.completed}/{task.total} trials · {task.fields[left]}"),
                console=console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("starting", total=self._total, left="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def watch(self, what: str, seen: Turn | Trial) -> None:
        """Take in one event of the runner."""
        if isinstance(seen, Turn):
            self._turn(seen)
        else:
            self._trial(seen)

    def _turn(self, turn: Turn) -> None:
        if turn.stage == "idle":
            self._began = time.monotonic()
        model = plain(turn.cell.cell.model, limit=40)
        text = f"repeat {turn.repeat + 1} of {self._repeats}: {model}: {turn.stage}"
        if turn.expected_s is not None:
            text += f" (about {format_seconds(turn.expected_s)})"
        self._update(description=text)

    def _trial(self, trial: Trial) -> None:
        self._done += 1
        self._left.finished(trial.cell.id, time.monotonic() - self._began)
        self._update(completed=self._done, left=self._left_text())
        if self._bar is None and not self._quiet:
            print(self._line(trial), file=sys.stderr, flush=True)
        elif self._bar is not None and trial.status != "done":
            self._bar.console.print(plain(self._line(trial)), markup=False)

    def _line(self, trial: Trial) -> str:
        reason = f": {trial.reason}" if trial.reason else ""
        return plain(
            f"[{self._done}/{self._total}] {trial.cell.model} on {trial.cell.dataset},"
            f" repeat {trial.repeat + 1}: {trial.status}{reason} · {self._left_text()}"
        )

    def _left_text(self) -> str:
        left = self._left.seconds()
        return "time left not known yet" if left is None else f"{format_seconds(left)} left"

    def _update(self, **fields: Any) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, **fields)
