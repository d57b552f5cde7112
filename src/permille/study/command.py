"""Any command, measured: its whole run is one span."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from typing import IO

from permille import disturbance, energy
from permille.errors import UsageError
from permille.recorder import Recorder, until_fresh
from permille.records import Phase, Record, RecorderStats, Span


class Run(Record):
    """One run of a command: its energy, how it ended, and what befell the meters."""

    phase: Phase
    idle: Phase | None
    exit_code: int
    notices: tuple[str, ...]
    recorder: RecorderStats


def spans_of(phase: Phase, idle: Phase | None) -> dict[str, Phase]:
    """A command's spans by name."""
    return {"command": phase} | ({} if idle is None else {"idle": idle})


def measure(
    recorder: Recorder, command: Sequence[str], *, idle_s: float, stdout: IO[bytes] | None
) -> Run:
    """Run ``command`` once, with a reading of every meter just before and just after.

    Raises:
        UsageError: the command cannot be started.
        RecorderError: the recorder died meanwhile.
    """
    recorder.begin()
    idle_span = None
    if idle_s > 0:
        t0_ns = time.monotonic_ns()
        time.sleep(idle_s)
        idle_span = Span(name="idle", t0_ns=t0_ns, t1_ns=time.monotonic_ns())
    until_fresh(recorder.mark)
    t0_ns = time.monotonic_ns()
    try:
        process = subprocess.Popen(command, stdout=stdout)
    except OSError as error:
        raise UsageError(f"cannot run {command[0]!r}: {error.strerror}") from error
    try:
        recorder.watch(process.pid)
        exit_code = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    t1_ns = time.monotonic_ns()
    recording = recorder.take()
    phase = energy.phase(recording, Span(name="command", t0_ns=t0_ns, t1_ns=t1_ns))
    idle = energy.phase(recording, idle_span) if idle_span else None
    return Run(
        phase=phase,
        idle=idle,
        exit_code=exit_code,
        notices=(*energy.notices(recording), *disturbance.notes(spans_of(phase, idle))),
        recorder=recording.stats,
    )
