"""The messages between a run and its nodes: length-prefixed msgpack, over a pipe or an actor.

A node is a process on another machine (:mod:`permille.cli.node`). It says what it is, hands over
what an earlier run left there, and then makes one block after the other, sending each trial as it
finishes.
"""

from __future__ import annotations

import hashlib
import struct
from typing import IO, Annotated, TypeVar

import msgspec

from permille.recorder.wire import Missing
from permille.records import Record
from permille.records.machine import Environment, MachineState
from permille.store.cloud.body import MOST_BYTES
from permille.store.rows import protocol_key
from permille.study.plan.grid import Plan

# The body of a trial, and room for the id and the reason beside it.
MAX_FRAME = MOST_BYTES + 2**16
"""The most bytes in a message: one trial with its recording."""
# Of 32 hexadecimal digits each: the hello with all of them fits into a frame.
MOST_UIDS = 1_000_000
"""The most trials that a node's store may hold."""
M = TypeVar("M")
_LENGTH = struct.Struct("!I")

Text = Annotated[str, msgspec.Meta(max_length=2_000)]
Uids = Annotated[
    tuple[Annotated[str, msgspec.Meta(max_length=64)], ...], msgspec.Meta(max_length=MOST_UIDS)
]


class NodeHello(Record, tag=True):
    """A node's first message. ``plan`` is the digest of the plan that it made (:func:`digest_of`);
    ``state`` is what its energy depends on beyond its environment; ``missing`` are meters that it
    cannot use; ``kept`` are the trials in its store, which an earlier run may not have fetched;
    ``machine`` is what its trials say of the machine, None where its id cannot be read."""

    version: Text
    environment: Environment
    plan: Text
    state: MachineState = MachineState()
    missing: Annotated[tuple[Missing, ...], msgspec.Meta(max_length=100)] = ()
    kept: Uids = ()
    machine: Text | None = None


class NodeStage(Record, tag=True):
    """What the node is doing."""

    cell: Text
    repeat: int
    stage: Text
    expected_s: float | None = None


class NodeTrial(Record, tag=True):
    """A trial that is in the node's store, as an object of object storage
    (:mod:`permille.store.cloud.body`). ``failure``: why the next attempt of its cell would also
    fail, or None."""

    uid: Text
    body: bytes
    failure: Text | None = None


class BlockEnded(Record, tag=True):
    """The block is finished: the node is free."""


class HandOver(Record, tag=True):
    """Send these trials, which an earlier run left in the node's store."""

    uids: Uids


class BlockOrder(Record, tag=True):
    """Make one repeat of these cells, in this order; each with the number of its round."""

    task: str
    dataset: str
    repeat: int
    cells: tuple[tuple[str, int], ...]


class Dismissal(Record, tag=True):
    """Every trial has arrived: delete the node's store and end."""


FromNode = NodeHello | NodeStage | NodeTrial | BlockEnded
ToNode = HandOver | BlockOrder | Dismissal


def digest_of(plan: Plan) -> str:
    """What must be equal for two machines to make the same trials: every cell with its protocol."""
    # Sorted, because which trials are made does not depend on their order in the plan.
    cells = sorted((p.cell.id, protocol_key(plan.protocol_of(p))) for p in plan.cells)
    settings = plan.settings
    # With the limits, which are in no protocol: a trial that is stopped, or fails, on one machine
    # would be a finished one on another.
    limits = (settings.timeout_s, settings.max_failures, settings.memory_gib)
    content = (plan.name, cells, settings.precision, *limits)
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:16]


def packed(message: FromNode | ToNode) -> bytes:
    """A message without its length."""
    return msgspec.msgpack.encode(message)


def from_node(body: bytes) -> FromNode:
    """A node's message.

    Raises:
        ValueError: it is not one.
    """
    return _read(body, _FROM_NODE)


def to_node(body: bytes) -> ToNode:
    """A message to a node.

    Raises:
        ValueError: it is not one.
    """
    return _read(body, _TO_NODE)


def write_frame(stream: IO[bytes], body: bytes) -> None:
    """Write one message with its length."""
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The next message; None at the end of the stream, which may be within a message.

    Raises:
        ValueError: it is too long.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    if size > MAX_FRAME:
        raise ValueError(f"a message of {size} bytes, more than {MAX_FRAME}")
    # Fewer bytes mean the end, because the stream is buffered (io.BufferedReader.read): the sender
    # died within the message.
    body = stream.read(size)
    return body if len(body) == size else None


_FROM_NODE: msgspec.msgpack.Decoder[FromNode] = msgspec.msgpack.Decoder(FromNode)
_TO_NODE: msgspec.msgpack.Decoder[ToNode] = msgspec.msgpack.Decoder(ToNode)


def _read(body: bytes, decoder: msgspec.msgpack.Decoder[M]) -> M:
    try:
        return decoder.decode(body)
    # Data that nest too deeply are a RecursionError of msgspec, not a DecodeError.
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
