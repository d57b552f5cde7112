"""What the runner gives a worker, and what the worker says back: msgpack, one side each."""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec

from permille.backends import ModelSpec
from permille.datasets import Dataset
from permille.records import Latency, ModelFacts, Protocol, Quality, Record, Span

MAX_MESSAGE = 16 * 2**20
_LENGTH = struct.Struct("!I")


class Job(Record):
    """One trial, as its worker is given it.

    ``least_query_s``: the query span goes on, by whole passes, for at least this long, so that
    the meters can carry it. ``network``: whether it may use it; ``memory_gib``: at most this
    much private memory. ``max_failures``: inferences that may fail, a count or a share.
    """

    task: str
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


class Result(Record, tag=True):
    """The worker's last word."""

    facts: ModelFacts
    device: str
    latency: Latency
    durations_ns: tuple[int, ...]
    quality: Quality | None
    counts: dict[str, float]
    notes: tuple[str, ...] = ()


Message = Progress | SpanDone | Result


def write(stream: BinaryIO, message: Message) -> None:
    """Send one message."""
    body = msgspec.msgpack.encode(message)
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()


class Inbox:
    """Reassembles a worker's messages from what its pipe gives."""

    def __init__(self) -> None:
        self._buffer = bytearray()
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
            try:
                found.append(self._decoder.decode(bytes(self._buffer[_LENGTH.size : end])))
            except msgspec.DecodeError as error:
                raise ValueError(str(error)) from error
            del self._buffer[:end]
        return found
