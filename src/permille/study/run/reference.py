"""The reference workload: the same small computation in every block, to distinguish changes of the
machine from changes of the models.

It only needs the interpreter, whose version all pooled trials share.
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
"""The version of the computation: different versions are not compared."""

WORK = "x = 1\nfor _ in range(8_000_000):\n    x = (x * 1103515245 + 12345) & 0x7FFFFFFF\n"
"""Half a second to a second of one processor: long compared with the tick of any processor
meter."""

LEAST_BLOCK_S = 20.0
"""A shorter block has no reference, which would take more than a twentieth of its time."""

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
    """Run it once; None if the recorder did not answer: the block is then without a reference."""
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
    """Run the computation between two marks; returns the exit code too."""
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
