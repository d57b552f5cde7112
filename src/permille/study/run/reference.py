"""The reference workload: the same small computation in every block, so that a machine which has
changed can be told from models which have.

It needs nothing but the interpreter, whose version is part of what trials must share to be pooled.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import subprocess
import sys
import time
import uuid

from permille import energy
from permille.analysis.boundaries import unusable
from permille.errors import RecorderError
from permille.processes import VARIABLE
from permille.records import REFERENCE, Cell, Protocol, Recording, Span, Trial
from permille.store import Raw
from permille.study.run.attempt import Bench, TrialPlace

NAME = "reference-1"
"""Another number for another computation: the two are not compared."""

WORK = "x = 1\nfor _ in range(8_000_000):\n    x = (x * 1103515245 + 12345) & 0x7FFFFFFF\n"
"""Half a second to a second of one processor: long against every tick of a processor's meter."""

LEAST_BLOCK_S = 20.0
"""A block that took less has no reference: it would take more than a twentieth of the time."""

TIMEOUT_S = 120.0

CELL = Cell(
    id=hashlib.sha256(f"{NAME}{WORK}".encode()).hexdigest()[:16],
    task=REFERENCE,
    dataset=REFERENCE,
    model=NAME,
    category="unknown",
    backend=REFERENCE,
)


def measure(bench: Bench, place: TrialPlace) -> tuple[Trial, Raw] | None:
    """Run it once; None where the recorder did not answer: the block stands without it."""
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    try:
        bench.recorder.begin()
        span, code = _span(bench)
        recording = bench.recorder.take()
    except RecorderError:
        bench.recorder.restart()
        return None
    return _trial(bench, place, started, span, code, recording), Raw(
        recording=recording, spans=(span,)
    )


def _span(bench: Bench) -> tuple[Span, int]:
    """The computation between two marks, and the exit code."""
    bench.recorder.mark()
    t0_ns = time.monotonic_ns()
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", WORK],
        env={**os.environ, VARIABLE: bench.recorder.token},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    bench.recorder.watch(process.pid)
    try:
        code = process.wait(TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    t1_ns = time.monotonic_ns()
    bench.recorder.mark()
    return Span(name="query", t0_ns=t0_ns, t1_ns=t1_ns, attributes={"inferences": 1}), code


def _trial(
    bench: Bench, place: TrialPlace, started: str, span: Span, code: int, recording: Recording
) -> Trial:
    phase = energy.phase(recording, span)
    reason = f"it exited with {code}" if code else unusable(phase)
    trial = Trial(
        uid=uuid.uuid4().hex,
        study=bench.plan.name,
        cell=CELL,
        repeat=place.repeat,
        status="invalid" if reason else "done",
        reason=reason,
        started=started,
        protocol=Protocol(inferences=1, name=NAME),
        environment=bench.environment,
        source=REFERENCE,
        phases={"query": phase},
        overhead=recording.stats,
        session=place.session,
        block=place.block,
        conditions=place.conditions,
    )
    return bench.only_quiet(trial)
