"""A trial as one sealed object: its record, its raw recording and its session. Pure.

The checksum protects against damage, not against forgery. Objects come from a place that others
may write to: what is read is bounded and checked as an import is, and nothing in it is executed.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import msgspec

from permille.records.machine import MachineSession
from permille.records.trial import Trial
from permille.store.gate import packed
from permille.store.rows import Raw, read_raw, read_session, read_trial

MOST_BYTES = 64 * 2**20
"""The most bytes of one object."""

_MAGIC = b"permille trial 1\n"
_DIGEST_BYTES = 32
_KINDS = frozenset({"spans", "durations", "recording"})


class Content(NamedTuple):
    """What one object holds. ``session`` is as it was when the trial was put."""

    trial: Trial
    raw: Raw | None
    session: MachineSession | None


class _Body(msgspec.Struct, frozen=True):
    trial: bytes
    parts: list[tuple[str, bytes]]
    session: bytes | None


def encode(content: Content) -> bytes:
    """The object of a trial.

    Raises:
        ValueError: its recording could not be read back, or it is too large.
    """
    trial, raw, session = content
    payload = msgspec.msgpack.encode(
        _Body(
            trial=msgspec.json.encode(trial),
            parts=[] if raw is None else packed(raw),
            session=None if session is None else msgspec.json.encode(session),
        )
    )
    whole = _MAGIC + _digest(payload) + payload
    if len(whole) > MOST_BYTES:
        raise ValueError(f"it has {len(whole)} bytes, more than the {MOST_BYTES} of an object")
    return whole


def decode(uid: str, content: bytes) -> Content:
    """The content of the object that is named after this trial.

    Raises:
        ValueError: it is no such object, or it is damaged.
    """
    start = len(_MAGIC) + _DIGEST_BYTES
    if not content.startswith(_MAGIC):
        raise ValueError("it is not a trial, or one of a newer permille")
    payload = content[start:]
    if content[len(_MAGIC) : start] != _digest(payload):
        raise ValueError("its checksum does not match")
    try:
        body = msgspec.msgpack.decode(payload, type=_Body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"it cannot be read: {error}") from error
    kinds = [kind for kind, _ in body.parts]
    if len(set(kinds)) != len(kinds) or not _KINDS.issuperset(kinds):
        raise ValueError("its recording has other parts than a recording has")
    trial = read_trial(body.trial)
    if trial.uid != uid:
        raise ValueError("it holds another trial than its name says")
    return Content(
        trial=trial,
        raw=read_raw(body.parts) if body.parts else None,
        session=None if body.session is None else read_session(body.session),
    )


def _digest(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=_DIGEST_BYTES).digest()
