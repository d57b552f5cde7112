"""All runs of all commands, round by round: in each round every command once, in an order that is
balanced over the rounds, so that what drifts meanwhile favours none of them."""

from __future__ import annotations

import itertools
import os
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from permille.balanced import order
from permille.errors import PermilleError, UsageError
from permille.interrupts import Interrupted
from permille.measure.command import GRACE_S, Run, measure
from permille.measure.commands import CommandLine
from permille.processes import VARIABLE, marked, stop_marked
from permille.recorder.client import Recorder
from permille.records import Record

LEAST_S = 3.0
"""Where the number of repeats is not given: seconds that each command is measured for, in all."""
SEED = "permille measure"
"""The orders are the same each time: what was measured can be measured again."""
_SETUP = ".setup"
"""Follows the token of what ``--setup`` starts, which no run's leftovers are: a server that it puts
in the background is there for every run, until ``--cleanup`` ends it."""


class RunProtocol(Record):
    """How often and how commands are run.

    ``repeats`` is None where it is not fixed: from ``min_repeats`` until each command has taken
    ``least_s`` in all, at most ``max_repeats``. ``stdin`` is what each run reads; None: it inherits
    ours, which only a single run may. ``ends_s``: from this time on (:func:`time.monotonic`), no
    round begins but the first. ``setup`` and ``cleanup`` run before the first and after the last
    run of each command (:func:`clean_up`), ``prepare`` and ``conclude`` around each; none of them
    is measured.
    """

    repeats: int | None
    min_repeats: int
    max_repeats: int
    warmup: int
    idle_s: float
    stdin: Path | None
    ignore_failure: bool
    setup: str | None = None
    prepare: str | None = None
    conclude: str | None = None
    cleanup: str | None = None
    least_s: float = LEAST_S
    ends_s: float | None = None


def without_input(stdin: int) -> str | None:
    """Why a command that runs more than once is not given our standard input, where there may be
    something in it: the first run would read it all."""
    try:
        mode = os.fstat(stdin).st_mode
    except OSError:
        return None  # it is closed
    if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)):
        return None
    return (
        "standard input was not passed on, since the first run would have read it all; --input FILE"
        " gives every run the same"
    )


Before = Callable[[int, int, Sequence[Sequence[Run]]], None]
"""Called before each run that counts: (the command's number, the round's, the runs so far)."""


def rounds(
    recorder: Recorder,
    commands: Sequence[CommandLine],
    protocol: RunProtocol,
    *,
    token: str,
    stdout: IO[bytes] | None,
    before: Before,
) -> list[list[Run]]:
    """The runs that count of each command. One that fails is not run again.

    What a run leaves running is stopped before the next one starts; only that of the very last is
    left to the caller.

    Raises:
        UsageError: a command cannot be started, or what goes before or after it fails.
        RecorderError: the recorder died meanwhile.
        Interrupted: a signal stopped the measurement; nothing of the commands is left running.
    """
    all_runs: list[list[Run]] = [[] for _ in commands]

    def once(number: int, *, counts: bool) -> None:
        command = commands[number]
        stop_marked(token, grace_s=GRACE_S)
        # After stop_marked, which would also end what --prepare starts in the background.
        _aside("--prepare", protocol.prepare, command, token)
        running = marked(token).keys() if protocol.prepare else frozenset()
        run = measure(
            recorder,
            command.words,
            token=token,
            idle_s=protocol.idle_s if counts else 0.0,
            stdin=protocol.stdin,
            stdout=stdout,
            running=running,
        )
        _aside("--conclude", protocol.conclude, command, token)
        if counts:
            all_runs[number].append(run)

    try:
        for number, command in enumerate(commands):
            _aside("--setup", protocol.setup, command, token + _SETUP)
            for _ in range(protocol.warmup):
                once(number, counts=False)
        for round_number, turns in enumerate(_orders(len(commands), protocol, all_runs)):
            for number in turns:
                if not _failed(all_runs[number], protocol):
                    before(number, round_number, all_runs)
                    once(number, counts=True)
    # measure() has ended its own command by then; this is for what the lines around it were running
    # or have put into the background: after an error, no --cleanup follows.
    except (Interrupted, PermilleError):
        stop_marked(token, grace_s=GRACE_S)
        stop_marked(token + _SETUP, grace_s=GRACE_S)
        raise
    return all_runs


def clean_up(commands: Sequence[CommandLine], protocol: RunProtocol, *, token: str) -> list[str]:
    """Run what goes after all runs of each command; return what failed. It takes nothing from the
    runs, which are made by then."""
    failures = [_failure("--cleanup", protocol.cleanup, each, token) for each in commands]
    return [failure for failure in failures if failure is not None]


def _orders(
    count: int, protocol: RunProtocol, all_runs: Sequence[Sequence[Run]]
) -> Iterator[tuple[int, ...]]:
    """The order of each round, until there are enough of them."""
    for number in itertools.count():
        late = protocol.ends_s is not None and time.monotonic() >= protocol.ends_s
        if _enough(number, protocol, all_runs) or (number and late):
            return
        yield order(count, number, SEED)


def _enough(number: int, protocol: RunProtocol, all_runs: Sequence[Sequence[Run]]) -> bool:
    going_on = [runs for runs in all_runs if not _failed(runs, protocol)]
    if not going_on:
        return True
    if protocol.repeats is not None:
        return number >= protocol.repeats
    if number < protocol.min_repeats:
        return False
    # All go on until the shortest has had enough: a ratio pairs the runs of each round, so that
    # further runs of one command alone would not count (analysis.commands.ratio).
    shortest_s = min(sum(run.phase.seconds for run in runs) for runs in going_on)
    return number >= protocol.max_repeats or shortest_s >= protocol.least_s


def _failed(runs: Sequence[Run], protocol: RunProtocol) -> bool:
    return bool(runs) and runs[-1].exit_code != 0 and not protocol.ignore_failure


def _aside(option: str, line: str | None, command: CommandLine, token: str) -> None:
    """Run what is not measured.

    Raises:
        UsageError: it failed: what would be measured then is not what was meant.
    """
    if failure := _failure(option, line, command, token):
        raise UsageError(f"{failure}, so there is no result")


def _failure(option: str, line: str | None, command: CommandLine, token: str) -> str | None:
    """Run a line by the shell; return how it failed. Its output goes to standard error."""
    if line is None:
        return None
    text = command.filled(line)
    done = subprocess.run(
        ["/bin/sh", "-c", text],
        # Our standard input is for the command: a --prepare that reads would take it away.
        stdin=subprocess.DEVNULL,
        # Standard output is the report's, which may be JSON.
        stdout=sys.stderr,
        env={**os.environ, VARIABLE: token},
        check=False,
    )
    if not done.returncode:
        return None
    return f"{option} {shlex.quote(text)} failed (exit {done.returncode})"
