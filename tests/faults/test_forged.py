"""A worker's messages that are well formed and untrue, and a worker that is a nuisance."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from permille.recorder import wire
from permille.recorder.client import Recorder
from permille.study.run.attempt import GPU_NODES
from permille.study.worker.messages import MAX_MESSAGE, Inbox
from tests.conftest import PATIENCE_S, Permille
from tests.faults.conftest import MakeStudy, kept
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

FORGES = """
import os, socket, sys, time
from permille.records.answers import Latency, Quality
from permille.records.cell import ModelFacts
from permille.records.recording import Span
from permille.study.worker.messages import Progress, SpanDone, write
from permille.study.worker.messages import WorkerResult as Result

def forge(inferences=2, durations=None, marked=True, seconds=0.5, calls=None, times=1, before=(),
          pauses=0, **own):
    "A whole trial that nobody made."
    t0 = time.monotonic_ns()
    time.sleep(seconds)
    t1 = t0 + round(seconds * 1e9)  # not later, however long it slept
    if marked:
        channel = socket.socket(fileno=int(sys.argv[2]))
        channel.setblocking(True)
        channel.sendall(b"m")
        channel.recv(8)
    durations = [1000] * inferences if durations is None else durations
    latency = Latency(p50=1e-6, p95=1e-6, mean=1e-6, n=calls or inferences, p99=1e-6)
    whole = dict(facts=ModelFacts(), device="cpu", latency=latency, quality=None, counts={},
                 durations_ns=tuple(durations))
    with os.fdopen(int(sys.argv[1]), "wb") as out:
        for message in before:
            write(out, message)
        attributes = {"inferences": inferences}
        write(out, SpanDone(span=Span(name="query", t0_ns=t0, t1_ns=t1, attributes=attributes,
                                      pauses=((t0, t1),) * pauses)))
        for _ in range(times):
            write(out, Result(**(whole | own)))
    os._exit(0)

def honest(text): forge()
def a_billion(text): forge(10**9, [0] * 100_000)
def few_durations(text): forge(2000, [1000])
def part_of_a_pass(text): forge(3)
def too_short(text): forge(seconds=0.0)
def pause_of_no_time(text): forge(seconds=0.0, pauses=1)
def endless(text): forge(before=[Progress(stage="query", per_inference_s=float("inf"))])
def escapes(text): forge(before=[Progress(stage="\x1b[2J")])
def unmarked(text): forge(marked=False)
def longer_than_the_span(text): forge(durations=[10**9] * 2)
def on_a_gpu(text): forge(device="NVIDIA H100")
def much_quality(text): forge(quality=Quality(metric="accuracy", value=1.0, n=10**6))
def no_number(text): forge(counts={"tokens": float("nan")})
def twice(text): forge(times=2)
def many(text): forge(times=1000, notes=("x" * 2000,) * 100)
def fat(text): forge(notes=("x" * 3_000_000,))
"""


REFUSED = {
    "a_billion": "calls do not fit into",
    "few_durations": "2,000 inferences take 2,000 calls",
    "part_of_a_pass": "not whole passes over 2 samples",
    "too_short": "it should make 2 inferences in",
    "pause_of_no_time": "pauses of the span query, which takes no time",
    "endless": "malformed message",
    "escapes": "malformed message",
    "unmarked": "the meters were not read after the query span",
    "longer_than_the_span": "add up to 2 s",
    "on_a_gpu": "this machine has no GPU",
    "much_quality": "1,000,000 answers, and there are 2 samples",
    "no_number": "not a number",
    "twice": "a message after the result",
    "many": "a message after the result",
    "fat": "malformed message",
}
"""What the reason of each contains. One run has them all: each is a worker of its own."""


def test_a_forged_trial_is_refused(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    gpu = any(map(os.path.exists, GPU_NODES))  # then this machine does have one
    expected = {model: words for model, words in REFUSED.items() if model != "on_a_gpu" or not gpu}
    permille("run", str(make_study(*expected, source=FORGES)), code=1)
    trials = kept(tmp_path)
    assert {trial.status for trial in trials} == {"failed"}
    reasons = {trial.cell.model: trial.reason or "" for trial in trials}
    assert reasons.keys() == expected.keys()
    assert {m: reasons[m] for m, words in expected.items() if words not in reasons[m]} == {}


def test_what_fits_everything_that_was_seen_cannot_be_told_from_the_truth(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path
) -> None:
    """What SECURITY.md admits; and the forger of these tests is refused for nothing else."""
    permille("run", str(make_study("honest", source=FORGES)), code=None)
    (trial,) = kept(tmp_path)
    assert trial.status != "failed", trial.reason


def test_messages_are_bounded_in_size_and_number() -> None:
    inbox = Inbox()
    with pytest.raises(ValueError, match="a message of"):
        inbox.feed((MAX_MESSAGE + 1).to_bytes(4))
    progress = b"\x82\xa4type\xa8Progress\xa5stage\xa4load"
    one = len(progress).to_bytes(4) + progress
    with pytest.raises(ValueError, match="more than 100 messages"):
        Inbox().feed(one * 101)


def test_a_worker_that_never_reads_its_marks_does_not_hold_the_recorder(
    powercap: Driver, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", environment["TMPDIR"])
    with Recorder() as recorder:
        recorder.begin()
        deaf = socket.socket(fileno=recorder.channel())
        deaf.setblocking(False)
        sent = 0
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:  # until the recorder has closed it
            try:
                sent += deaf.send(wire.MARK)
            except BlockingIOError:
                recorder.mark()
            except OSError:
                break
        else:
            pytest.fail("the recorder goes on answering")
        recorder.mark()
        assert sent > 0
        assert recorder.take().series
        deaf.close()
