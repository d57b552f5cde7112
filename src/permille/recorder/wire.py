"""The recorder's wire protocol: length-prefixed msgpack on a socket pair.

A worker's channel is simpler, because it is used next to the measured work: one byte requests a
mark, and the eight bytes of the answer are the time of the reading.
"""

from __future__ import annotations

import socket
import struct
from typing import Literal

import msgspec

from permille.records import Record
from permille.records.recording import Domain, Recording

MARK = b"m"
_LENGTH = struct.Struct("!I")
STAMP = struct.Struct("!q")


class Request(Record):
    """A request of the runner. ``attach`` includes a worker's channel as a descriptor; with ``pid``
    0 it only passes the channel. ``cut`` is ``take``, and then discards what a span from ``t_ns``
    on does not need."""

    op: Literal["begin", "mark", "attach", "watch", "take", "cut"]
    pid: int = 0
    t_ns: int = 0


class Missing(Record):
    """A meter that cannot be used here, and how to unlock it."""

    meter: str
    reason: str
    remedy: str
    forbidden: bool
    present: bool


class Hello(Record):
    """The recorder's first message. ``error`` is set if it cannot measure at all, ``usage`` if that
    is a user error."""

    domains: tuple[Domain, ...] = ()
    missing: tuple[Missing, ...] = ()
    interval_s: float = 0.0
    error: str | None = None
    usage: bool = False


class Marked(Record):
    """A reading was made at ``t_ns``."""

    t_ns: int


Answer = Hello | Marked | Recording


def send(channel: socket.socket, message: Record, descriptors: list[int] | None = None) -> None:
    """Send one message, with descriptors if any."""
    body = msgspec.msgpack.encode(message)
    packet = _LENGTH.pack(len(body)) + body
    if descriptors:
        # The descriptors go with the first byte (unix(7)); the rest of the packet may be left over.
        sent = socket.send_fds(channel, [packet], descriptors)
        packet = packet[sent:]
    channel.sendall(packet)


def receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """One message's body and its descriptors.

    Raises:
        EOFError: the other side has gone.
    """
    # Descriptors arrive with a message's first byte, so with its head. The length needs no limit:
    # both ends are permille's own, and what a worker sends never gets here.
    head, descriptors, _, _ = socket.recv_fds(channel, _LENGTH.size, 1)
    if not head:
        raise EOFError
    head += exactly(channel, _LENGTH.size - len(head))
    return exactly(channel, _LENGTH.unpack(head)[0]), list(descriptors)


def exactly(channel: socket.socket, size: int) -> bytes:
    """``size`` bytes.

    Raises:
        EOFError: the other side has gone.
    """
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
