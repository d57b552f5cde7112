"""What a trial is in the store: its row, its recording, and how they are read back."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from permille.records import Protocol, Recording, Span, Status, Trial


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
    """What trials have in common that may be pooled, how many there are, and the newest's row."""

    study: str
    source: str
    cell: str
    fingerprint: str
    protocol: str
    trials: int
    newest: int


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


def read_trial(body: bytes, crc: int) -> Trial:
    """The trial of a row.

    Raises:
        ValueError: it is not what was written.
    """
    if zlib.crc32(body) != crc:
        raise ValueError("its checksum does not match")
    try:
        return _TRIAL.decode(body)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


def read_raw(parts: Iterable[tuple[str, bytes]]) -> Raw:
    """What a trial was computed from, of its rows.

    Raises:
        ValueError: it is not what was written.
    """
    try:
        whole = {kind: zlib.decompress(body) for kind, body in parts}
        decode = msgspec.msgpack.decode
        return Raw(
            recording=decode(whole["recording"], type=Recording) if "recording" in whole else None,
            spans=decode(whole["spans"], type=tuple[Span, ...]),
            durations_ns=decode(whole["durations"], type=tuple[int, ...]),
        )
    except (zlib.error, msgspec.DecodeError, KeyError) as error:
        raise ValueError(str(error)) from error


def protocol_key(protocol: Protocol) -> str:
    """A protocol as a column: equal protocols have equal text."""
    return msgspec.json.encode(protocol).decode()


_TRIAL = msgspec.json.Decoder(Trial)
