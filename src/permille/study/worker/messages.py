"""The messages between the runner and a worker, in msgpack."""

from __future__ import annotations

import struct
from typing import Annotated, BinaryIO, Literal

import msgspec

from permille.records import Record
from permille.records.answers import Latency, Quality, ScheduleLag
from permille.records.cell import ModelFacts
from permille.records.recording import Span
from permille.records.trial import FailureKind, Protocol
from permille.workload.samples import Dataset
from permille.workload.specs import HarnessTask, ModelSpec

MAX_MESSAGE = 4 * 2**20
"""The most bytes in a message: a result with all its durations and the hashes of 10,000 files."""
KEPT_DURATIONS = 100_000
"""The number of raw durations stored with a trial: the first ones. The rest is in the
percentiles."""
MOST_MESSAGES = 100
"""The most messages of one worker; it normally sends about ten."""
MOST_NOTES, NOTE_LIMIT = 100, 2_000
"""The most notes of one worker, and characters in each."""
_LENGTH = struct.Struct("!I")


class Pausing(Record):
    """Pauses in the query span: one at the first chance after ``every_s`` without, of a random
    length from 0 to ``up_to_s`` (seconds)."""

    every_s: float
    up_to_s: float


class Job(Record):
    """The description of one trial for its worker.

    ``least_query_s``: the query span continues, in whole passes, for at least this long, so that
    the meters can resolve it. ``task_target`` and ``backend_target`` locate the plug-ins, as
    ``module:attribute``. ``network``: whether the worker may use it; ``memory_gib``: the limit of
    private memory. ``max_failures``: how many inferences may fail, a count or a share.
    ``pausing``: whether to pause between calls; not done under load. ``harness``: the task of
    lm-eval that scores the model, if ``scored``; None: its answers do.
    """

    task: str
    task_target: str
    backend_target: str
    model: ModelSpec
    dataset: Dataset
    protocol: Protocol
    least_query_s: float
    network: bool = False
    memory_gib: float | None = None
    max_failures: int | float = 0
    pausing: Pausing | None = None
    harness: HarnessTask | None = None
    scored: bool = True


class Progress(Record, tag=True):
    """The worker's current stage; ``per_inference_s`` once it is known."""

    # Both are shown at the terminal: other text could hold escape sequences, and a time that is
    # infinite or no number cannot be rounded to seconds.
    stage: Literal["load", "warmup", "query", "lm-eval"]
    per_inference_s: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None


class SpanDone(Record, tag=True):
    """A finished span with both edges marked."""

    span: Span


class WorkerResult(Record, tag=True):
    """The last message of a successful worker."""

    facts: ModelFacts
    device: Annotated[str, msgspec.Meta(max_length=200)]
    latency: Latency
    durations_ns: Annotated[tuple[int, ...], msgspec.Meta(max_length=KEPT_DURATIONS)]
    quality: Quality | None
    counts: Annotated[dict[str, float], msgspec.Meta(max_length=100)]
    notes: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=NOTE_LIMIT)], ...],
        msgspec.Meta(max_length=MOST_NOTES),
    ] = ()
    schedule_lag: ScheduleLag | None = None


class Failure(Record, tag=True):
    """The exception that ends the worker, in one line, with its location in the user's code."""

    text: Annotated[str, msgspec.Meta(max_length=NOTE_LIMIT)]
    kind: FailureKind = "other"


Message = Progress | SpanDone | WorkerResult | Failure


def write(stream: BinaryIO, message: Message) -> None:
    """Send one message."""
    body = msgspec.msgpack.encode(message)
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()


class Inbox:
    """Reassembles a worker's messages from its pipe. It holds at most one message and limits their
    number, so that code in a worker cannot exhaust the runner's memory."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._taken = 0
        self._decoder = msgspec.msgpack.Decoder(Message)

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are now complete.

        Raises:
            ValueError: the data are not valid messages of a worker.
        """
        self._buffer += data
        messages: list[Message] = []
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack(self._buffer[: _LENGTH.size])
            # Before the rest has come: four bytes can announce 4 GiB.
            if size > MAX_MESSAGE:
                raise ValueError(f"a message of {size} bytes")
            end = _LENGTH.size + size
            if len(self._buffer) < end:
                break
            self._taken += 1
            if self._taken > MOST_MESSAGES:
                raise ValueError(f"more than {MOST_MESSAGES} messages")
            try:
                messages.append(self._decoder.decode(bytes(self._buffer[_LENGTH.size : end])))
            except (msgspec.DecodeError, RecursionError) as error:
                raise ValueError(str(error)) from error
            del self._buffer[:end]
        return messages
