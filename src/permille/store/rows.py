"""A trial's rows in the store: its body, its recording, and how they are read back."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from permille.records.machine import MachineSession
from permille.records.recording import Recording, Span
from permille.records.trial import Protocol, Status, Trial
from permille.store.seals import seal

MOST_RAW_BYTES = 256 * 2**20
"""The most bytes of one unpacked part of a recording."""


REFERENCE_SOURCE = "permille-reference"
"""The source of trials of the reference workload: they are read only by that name."""


class Tried(NamedTuple):
    """The facts about one trial of a cell that the scheduling depends on. ``machine``: None unless
    it was asked for, and where it is unknown."""

    cell: str
    repeat: int
    status: Status
    fingerprint: str
    machine: str | None = None


class _OfMachine(msgspec.Struct):
    """The part of a trial that says where it was made: reading it alone is ten times as fast."""

    machine: str | None = None


class Raw(msgspec.Struct, frozen=True, kw_only=True):
    """The raw data of a trial, stored so that it can be audited and recomputed.

    ``durations_ns`` has one duration per call of the query span (an inference or a batch), in
    order.
    """

    recording: Recording | None = None
    spans: tuple[Span, ...] = ()
    durations_ns: tuple[int, ...] = ()


class StoredTrial(NamedTuple):
    """A trial as it is stored: its columns (:func:`row_of`), its body, and the parts of its
    recording (kind, body), all of which can be read. ``refused``: why this version would not have
    stored it."""

    columns: tuple[str | int, ...]
    body: bytes
    parts: Sequence[tuple[str, bytes]]
    refused: str | None

    @property
    def uid(self) -> str:
        """Its uid."""
        uid = self.columns[0]
        assert isinstance(uid, str)
        return uid

    @property
    def trial(self) -> Trial:
        """The trial itself."""
        return read_trial(self.body)

    @property
    def size(self) -> int:
        """The bytes of its body and its recording."""
        size = len(self.body)
        for _, body in self.parts:
            size += len(body)
        return size


class Group(NamedTuple):
    """The common properties of trials that may be pooled, their count and the newest number; then
    their round, the first number and the sum of their seals."""

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
"""The columns of a trial in its seal, before its body."""
GROUPED_BY = ("study", "source", "cell", "fingerprint", "protocol", "round")
"""The columns that trials which may be pooled have in common."""
_group_of = itemgetter(*(KEYS.index(name) for name in GROUPED_BY))


def group_of(row: tuple[Any, ...]) -> tuple[str, str, str, str, str, int]:
    """The key of the trials with which the trial of these :data:`KEYS` may be pooled."""
    key: tuple[str, str, str, str, str, int] = _group_of(row)
    return key


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
        """Whether the row is intact."""
        return isinstance(self.body, bytes) and seal(self[:-2], self.body) == self.seal

    @property
    def group(self) -> tuple[str, str, str, str, str, int]:
        """The key of the trials with which the row may be pooled."""
        return group_of(self)


def pack(value: object) -> bytes:
    """Compress a part of a recording. Level 1 is within 3 % of the size of level 6 on readings, in
    a seventh of the time, which every trial waits for."""
    return zlib.compress(msgspec.msgpack.encode(value), level=1)


def row_of(trial: Trial) -> tuple[str | int, ...]:
    """The columns of a trial's row between its number and the seals of its recording: those of
    :data:`KEYS`, in their order."""
    cell = trial.cell
    return (
        trial.uid, trial.study, cell.id, trial.repeat, trial.status, trial.source,
        cell.task, cell.dataset, cell.model,
        trial.environment.fingerprint, protocol_key(trial.protocol), trial.round,
    )  # fmt: skip


def columns_of(trial: Trial) -> dict[str, str | int]:
    """The columns of :func:`row_of` by their names."""
    return dict(zip(KEYS[1:-1], row_of(trial), strict=True))


def read_trial(body: bytes) -> Trial:
    """The trial of a row's body.

    Raises:
        ValueError: it is invalid (older versions accepted data that cannot be read back).
    """
    try:
        return _TRIAL.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"it cannot be read: {error}") from error


def read_machine(body: bytes) -> str | None:
    """The machine of a row's body.

    Raises:
        ValueError: it is invalid.
    """
    try:
        return _MACHINE.decode(body).machine
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
    """Whether a row from a schema without seals is intact: its checksum only covers the body, but
    all of its keys follow from the body."""
    if not isinstance(body, bytes) or zlib.crc32(body) != crc:
        return False
    try:
        columns = row_of(read_trial(body))
    except ValueError:
        return True  # it is as written; its reader reports the error
    return keys[1:-1] == columns


def read_raw(parts: Iterable[tuple[str, bytes]]) -> Raw:
    """The raw data of a trial, from its rows.

    Raises:
        ValueError: it is damaged.
    """
    try:
        whole = {kind: _unpacked(body) for kind, body in parts}
        decode = msgspec.msgpack.decode
        return Raw(
            recording=decode(whole["recording"], type=Recording) if "recording" in whole else None,
            spans=decode(whole["spans"], type=tuple[Span, ...]),
            durations_ns=decode(whole["durations"], type=tuple[int, ...]),
        )
    except (zlib.error, msgspec.DecodeError, RecursionError, KeyError) as error:
        raise ValueError(str(error)) from error


def _unpacked(body: bytes) -> bytes:
    """Decompress with a limit: a few kilobytes can contain many gigabytes of zeros."""
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(body, MOST_RAW_BYTES)
    if not unpacking.eof:
        raise ValueError("it is truncated or too large")
    return unpacked


def protocol_key(protocol: Protocol) -> str:
    """A protocol as text for a column: equal protocols have equal text."""
    return msgspec.json.encode(protocol).decode()


_TRIAL = msgspec.json.Decoder(Trial)
_MACHINE = msgspec.json.Decoder(_OfMachine)
_SESSION = msgspec.json.Decoder(MachineSession)
