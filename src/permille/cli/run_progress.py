"""Progress of commands that run several times, as one line on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from permille.escaping import plain
from permille.interrupts import Interrupted
from permille.measure.command import Run
from permille.measure.commands import CommandLine
from permille.units import format_seconds


class RunProgress:
    """Which run of how many (None: unknown) is going on, on a terminal."""

    def __init__(self, commands: Sequence[CommandLine], repeats: int | None) -> None:
        self._commands, self._repeats = commands, repeats
        # A single run has no progress to show.
        self._shown = repeats != 1 and sys.stderr.isatty()
        self._running: int | None = None

    def before(self, number: int, round: int, found: Sequence[Sequence[Run]]) -> None:
        """The command with this number (from 0) is about to run; ``found`` has the runs so far."""
        self._running = number
        if not self._shown:
            return
        of = f" of {self._repeats}" if self._repeats else ""
        last = [runs[-1].phase.seconds for runs in found if runs]
        took = f", {format_seconds(max(last))} at most each" if last else ""
        name = f": {plain(self._commands[number].name, limit=40)}" if len(found) > 1 else ""
        line = f"run {round + 1}{of}{name}{took}"
        # EL (ECMA-48, 8.3.41) clears the rest of a longer line before.
        print(f"\r\033[K{line} ", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line."""
        if self._shown:
            print(file=sys.stderr)

    def interrupted(self, stop: Interrupted) -> str:
        """What a signal stopped."""
        # None: the signal came before the first run that counts, during a setup or a warm-up.
        number = 0 if self._running is None else self._running
        several = len(self._commands) > 1
        which = f"command {number + 1} of {len(self._commands)}" if several else "the command"
        return f"interrupted by {stop}: {which} was stopped too; no result is kept"
