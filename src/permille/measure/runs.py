"""All runs of a command: each with the same input, and none beside what another left running."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from permille.interrupts import Interrupted
from permille.measure.command import GRACE_S, Run, measure
from permille.processes import stop_marked
from permille.recorder.client import Recorder
from permille.records import Record


class RunProtocol(Record):
    """How often and how a command is run.

    ``stdin`` is what each run reads; None: it inherits ours, which only a single run may.
    """

    repeats: int
    warmup: int
    idle_s: float
    stdin: Path | None
    ignore_failure: bool


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


def runs(
    recorder: Recorder,
    command: Sequence[str],
    protocol: RunProtocol,
    *,
    token: str,
    stdout: IO[bytes] | None,
    before: Callable[[list[Run]], None],
) -> list[Run]:
    """The runs that count, up to the first that fails. ``before`` is called before each of them
    with those so far.

    What a run leaves running is stopped before the next one starts; only that of the very last is
    left to the caller.

    Raises:
        UsageError: the command cannot be started.
        RecorderError: the recorder died meanwhile.
        Interrupted: we were told to stop; nothing of the command is left.
    """
    found: list[Run] = []
    try:
        for i in range(protocol.warmup + protocol.repeats):
            counts = i >= protocol.warmup
            if counts:
                before(found)
            stop_marked(token, grace_s=GRACE_S)
            run = measure(
                recorder,
                command,
                token=token,
                idle_s=protocol.idle_s if counts else 0.0,
                stdin=protocol.stdin,
                stdout=stdout,
            )
            if counts:
                found.append(run)
                if run.exit_code and not protocol.ignore_failure:
                    break
    except Interrupted:
        stop_marked(token, grace_s=GRACE_S)
        raise
    return found
