"""What a trial is in the store: its row, its recording, and how they are read back."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from permille.records import MachineSession, Protocol, Recording, Span, Status, Trial
from permille.store.seals import seal

MOST_RAW_BYTES = 256 * 2**20
"""Of one part of a recording, unpacked."""


REFERENCE_SOURCE = "permille-reference"
"""The source of trials of the reference workload: they are read only by that name."""


class Tried(NamedTuple):
    """One trial of a cell, as far as what is still to be run depends on it."""

    cell: str
    repeat: int
    status: Status
    fingerprint: str


class Raw(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial was computed from: kept, so that it can be audited and computed again.

    ``durations_ns`` holds one duration per call of the query span (an inference, or a batch of
    them), in order.
    """

    recording: Recording | None = None
    spans: tuple[Span, ...] = ()
    durations_ns: tuple[int, ...] = ()


class Group(NamedTuple):
    """What trials have in common that may be pooled, how many there are and the newest's number;
    then their round, the first's number and the sum of their seals."""

    study: str
    source: str
    cell: str
    fingerprint: str
    protocol: str
    trials: int
    newest: int
    round: int
    first: int
    seals: int


KEYS = (
    "id", "uid", "study", "cell", "repeat", "status", "source", "task", "dataset", "model",
    "fingerprint", "protocol", "round", "parts",
)  # fmt: skip
"""The columns of a trial that its seal is made of, before its body."""


class Row(NamedTuple):
    """A trial's row. ``parts`` is the sum of the seals of its recording's parts."""

    id: int
    uid: str
    study: str
    cell: str
    repeat: int
    status: Status
    source: str
    task: str
    dataset: str
    model: str
    fingerprint: str
    protocol: str
    round: int
    parts: int
    body: bytes
    seal: int

    @property
    def sealed(self) -> bool:
        """Whether the row is what was written."""
        return isinstance(self.body, bytes) and seal(tuple(self[:-2]), self.body) == self.seal

    @property
    def group(self) -> tuple[str, str, str, str, str, int]:
        """What the row has in common with the trials that it may be pooled with."""
        return (
            self.study, self.source, self.cell, self.fingerprint, self.protocol, self.round,
        )  # fmt: skip


def pack(value: object) -> bytes:
    """A part of a recording, as it is kept. Level 1: on readings it packs within 3 % of level 6,
    in a seventh of the time, which every trial waits for."""
    return zlib.compress(msgspec.msgpack.encode(value), level=1)


def columns_of(trial: Trial) -> dict[str, str | int]:
    """What of a trial is in columns of its own, to be asked for."""
    return {
        "uid": trial.uid,
        "study": trial.study,
        "cell": trial.cell.id,
        "repeat": trial.repeat,
        "status": trial.status,
        "source": trial.source,
        "task": trial.cell.task,
        "dataset": trial.cell.dataset,
        "model": trial.cell.model,
        "fingerprint": trial.environment.fingerprint,
        "protocol": protocol_key(trial.protocol),
        "round": trial.round,
    }


def read_trial(body: bytes) -> Trial:
    """The trial of a row's body.

    Raises:
        ValueError: it is none (a version before this one let through what cannot be read back).
    """
    try:
        return _TRIAL.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"it cannot be read: {error}") from error


def read_session(body: bytes) -> MachineSession:
    """The session of a row's body.

    Raises:
        ValueError: it is none.
    """
    try:
        return _SESSION.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"it cannot be read: {error}") from error


def was_whole(crc: object, keys: tuple[object, ...], body: object) -> bool:
    """Whether a row of a schema before seals is what was written: its checksum is of its body
    alone, but all of its keys can be told from the body too."""
    if not isinstance(body, bytes) or zlib.crc32(body) != crc:
        return False
    try:
        told = columns_of(read_trial(body))
    except ValueError:
        return True  # as it was written, and whoever reads it says what is wrong
    return keys[1:-1] == tuple(told[name] for name in KEYS[1:-1])


def read_raw(parts: Iterable[tuple[str, bytes]]) -> Raw:
    """What a trial was computed from, of its rows.

    Raises:
        ValueError: it is not what was written.
    """
    try:
        whole = {kind: _unpacked(body) for kind, body in parts}
        decode = msgspec.msgpack.decode
        return Raw(
            recording=decode(whole["recording"], type=Recording) if "recording" in whole else None,
            spans=decode(whole["spans"], type=tuple[Span, ...]),
            durations_ns=decode(whole["durations"], type=tuple[int, ...]),
        )
    except (zlib.error, msgspec.DecodeError, KeyError) as error:
        raise ValueError(str(error)) from error


def _unpacked(body: bytes) -> bytes:
    """At most so much: a few kilobytes can hold many gigabytes of zeros."""
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(body, MOST_RAW_BYTES)
    if not unpacking.eof:
        raise ValueError("it is cut off, or too large")
    return found


def protocol_key(protocol: Protocol) -> str:
    """A protocol as a column: equal protocols have equal text."""
    return msgspec.json.encode(protocol).decode()


_TRIAL = msgspec.json.Decoder(Trial)
_SESSION = msgspec.json.Decoder(MachineSession)
