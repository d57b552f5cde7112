"""What the runner gives a worker, and what the worker says back: msgpack, one side each."""

from __future__ import annotations

import struct
from typing import Annotated, BinaryIO

import msgspec

from permille.records import Latency, ModelFacts, Protocol, Quality, Record, Span
from permille.workload.samples import Dataset
from permille.workload.specs import ModelSpec

MAX_MESSAGE = 4 * 2**20
"""Bytes of one message: a result with all of its durations and the hashes of 10,000 files."""
KEPT_DURATIONS = 100_000
"""Raw durations kept with a trial: the first. Beyond them only the percentiles are known."""
MOST_MESSAGES = 100
"""Messages of one worker; ours sends about ten."""
MOST_NOTES, NOTE_LIMIT = 100, 2_000
"""Notes of one worker, and characters of each."""
_LENGTH = struct.Struct("!I")


class Job(Record):
    """One trial, as its worker is given it.

    ``least_query_s``: the query span goes on, by whole passes, for at least this long, so that
    the meters can carry it. ``task_target`` and ``backend_target`` say where the plug-ins are, as
    ``module:attribute``. ``network``: whether it may use it; ``memory_gib``: at most this
    much private memory. ``max_failures``: inferences that may fail, a count or a share.
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


class Progress(Record, tag=True):
    """The worker has got this far; ``per_inference_s`` once it knows."""

    stage: str
    per_inference_s: float | None = None


class SpanDone(Record, tag=True):
    """A span is over, and both its edges are marked."""

    span: Span


class WorkerResult(Record, tag=True):
    """What a worker sends last, where all went well."""

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


class Failure(Record, tag=True):
    """The exception that ends the worker, in one line, with the place in the user's code."""

    text: Annotated[str, msgspec.Meta(max_length=NOTE_LIMIT)]


Message = Progress | SpanDone | WorkerResult | Failure


def write(stream: BinaryIO, message: Message) -> None:
    """Send one message."""
    body = msgspec.msgpack.encode(message)
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()


class Inbox:
    """Reassembles a worker's messages from what its pipe gives. Holds one message at most, and
    takes no more of them than a worker of ours sends: what runs in a worker cannot make the
    runner grow."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._taken = 0
        self._decoder = msgspec.msgpack.Decoder(Message)

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are whole now.

        Raises:
            ValueError: this is no worker of ours speaking.
        """
        self._buffer += data
        found: list[Message] = []
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack(self._buffer[: _LENGTH.size])
            if size > MAX_MESSAGE:
                raise ValueError(f"a message of {size} bytes")
            end = _LENGTH.size + size
            if len(self._buffer) < end:
                break
            self._taken += 1
            if self._taken > MOST_MESSAGES:
                raise ValueError(f"more than {MOST_MESSAGES} messages")
            try:
                found.append(self._decoder.decode(bytes(self._buffer[_LENGTH.size : end])))
            except msgspec.DecodeError as error:
                raise ValueError(str(error)) from error
            del self._buffer[:end]
        return found
