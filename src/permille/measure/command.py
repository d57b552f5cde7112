"""One run of a command, measured as one span, with what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import IO

from permille.energy import cross_check, disturbance, phases
from permille.errors import UsageError
from permille.interrupts import Interrupted
from permille.processes import VARIABLE, marked, stop_marked
from permille.recorder.client import Recorder
from permille.recorder.marker import until_fresh
from permille.records import Record
from permille.records.energy import Phase
from permille.records.recording import RecorderStats, Span

LINGER_S = 0.2
"""How long a process may outlive the command before it counts as left running."""
GRACE_S = 5.0
"""Between the signal that asks a command to stop and KILL: servers need seconds to shut down."""
SHELL_SYNTAX = frozenset("|&;<>()$`\\\"'*?[]~{}\n")


class Run(Record):
    """One run of a command: its energy, how it ended, and what happened to the meters.

    ``left`` are the names of the processes that it left running.
    """

    phase: Phase
    idle: Phase | None
    exit_code: int
    notices: tuple[str, ...]
    recorder: RecorderStats
    left: tuple[str, ...] = ()


def spans_of(phase: Phase, idle: Phase | None) -> dict[str, Phase]:
    """A command's spans by name."""
    return {"command": phase} | ({} if idle is None else {"idle": idle})


def check(command: Sequence[str], *, prepared: bool) -> None:
    """Check that a command can be started, before any other is measured.

    ``prepared``: something runs before it, which may make the file that it names.

    Raises:
        UsageError: there is no such program; how it may have been meant.
    """
    program = command[0]
    if (prepared and os.sep in program) or shutil.which(program) is not None:
        return
    why = "it is not executable" if Path(program).exists() else "No such file or directory"
    raise UsageError(f"cannot run {program!r}: {why}{_hint(command)}")


def _hint(command: Sequence[str]) -> str:
    """How a command that cannot be started may have been meant."""
    line = command[0]
    name, equals, _ = line.partition("=")
    if len(command) == 1 and SHELL_SYNTAX & set(line):
        return f"; for a shell's syntax write: -- sh -c {shlex.quote(line)}"
    if equals and name.isidentifier():
        return f"; to set a variable write: -- env {shlex.join(command)}"
    if len(command) == 1 and len(line.split()) > 1:
        return f"; write the command without quotes: -- {line}"
    return ""


def input_file(name: str) -> Path:
    """The file that every run reads on standard input; ``null`` is an empty one.

    Raises:
        UsageError: it cannot be read, or not from its start by each run.
    """
    if name == "null":
        return Path(os.devnull)
    path = Path(name)
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            # Opened only to find out whether it can be, before anything is measured: each run opens
            # it anew, and so reads it from its start.
            with path.open("rb"):
                return path
    except OSError as error:
        raise UsageError(f"cannot read --input {name}: {error.strerror}") from error
    if path == Path(os.devnull):
        return path
    raise UsageError(
        f"--input {name} is not a regular file, so that not every run could read it from its start:"
        " save what it gives in a file first"
    )


def measure(
    recorder: Recorder,
    command: Sequence[str],
    *,
    token: str,
    idle_s: float,
    stdin: Path | None,
    stdout: IO[bytes] | None,
    running: Set[int],
) -> Run:
    """Run ``command`` once, with a reading of every meter just before and just after.

    ``token`` marks its processes; those already ``running``, by their ids, are not its own.
    ``stdin`` is opened anew; with None the command inherits ours. Processes that it leaves behind
    are not stopped here: see ``stop_marked``.

    Raises:
        UsageError: the command cannot be started.
        RecorderError: the recorder died meanwhile.
        Interrupted: a signal stopped us and the command; nothing of it is left.
    """
    recorder.begin()
    idle_span = _idle(idle_s)
    # Opened before the reading: the span holds nothing but the command.
    with _opened(stdin) as source:
        until_fresh(recorder.mark)
        t0_ns = time.monotonic_ns()
        process = _started(command, source, stdout, token)
    with contextlib.ExitStack() as undo:
        # Only an error or a signal ends the command's processes. After a normal end, what it left
        # running is noted and stays: a single command may start a daemon, as it could without
        # permille.
        undo.push(lambda kind, error, trace: _stop(process, error, token))
        recorder.watch(process.pid)
        exit_code = process.wait()
        t1_ns = time.monotonic_ns()
        # take() reads every meter once more, which belongs after the end of the span.
        recording = recorder.take()
        # While the undoing is still armed: a signal during these looks ends what is left.
        left = _left_running(token, running)
        undo.pop_all()
    command_span = Span(name="command", t0_ns=t0_ns, t1_ns=t1_ns)
    phase = phases.phase(recording, command_span)
    idle = phases.phase(recording, idle_span) if idle_span else None
    return Run(
        phase=phase,
        idle=idle,
        exit_code=exit_code,
        notices=(
            *phases.notices(recording),
            *cross_check.notes(recording, [command_span]),
            *disturbance.notes(spans_of(phase, idle)),
        ),
        recorder=recording.stats,
        left=left,
    )


def _idle(seconds: float) -> Span | None:
    """Wait for so long; the span of the wait, if there was one."""
    if seconds <= 0:
        return None
    t0_ns = time.monotonic_ns()
    time.sleep(seconds)
    return Span(name="idle", t0_ns=t0_ns, t1_ns=time.monotonic_ns())


def _started(
    command: Sequence[str], stdin: IO[bytes] | None, stdout: IO[bytes] | None, token: str
) -> subprocess.Popen[bytes]:
    environment = {**os.environ, VARIABLE: token}
    try:
        # In our own process group: Ctrl-C in a terminal reaches the command too, as it would
        # without permille (see _stop).
        return subprocess.Popen(command, stdin=stdin, stdout=stdout, env=environment)
    except OSError as error:
        raise UsageError(f"cannot run {command[0]!r}: {error.strerror}{_hint(command)}") from error


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[IO[bytes] | None]:
    if path is None:
        yield None
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    with file:
        yield file


def _left_running(token: str, before: Set[int]) -> tuple[str, ...]:
    """Names of the processes that outlive the command, without those that were there ``before``."""
    deadline = time.monotonic() + LINGER_S
    while left := [name for pid, name in marked(token).items() if pid not in before]:
        if time.monotonic() >= deadline:
            return tuple(sorted(left))
        time.sleep(0.02)
    return ()


def _stop(process: subprocess.Popen[bytes], error: BaseException | None, token: str) -> None:
    """End the command and all that it started: by the signal that we were sent, then by KILL."""
    number = error.number if isinstance(error, Interrupted) else signal.SIGTERM
    if number != signal.SIGINT:
        # A terminal's Ctrl-C has reached the command too; a second might end it halfway.
        process.send_signal(number)
    try:
        # After Ctrl-C the wait is short: TERM follows below, with the whole grace.
        process.wait(timeout=1.0 if number == signal.SIGINT else GRACE_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        stop_marked(token, grace_s=GRACE_S)
        # Also by its id: a command that clears its environment (env -i) has no mark.
        process.kill()
        process.wait()
