"""The check before any write: data that could not be read back, or is not finite, is refused."""

from __future__ import annotations

import math
import re

import msgspec

from permille.records import LEAST, MOST, Record
from permille.records.energy import Phase
from permille.records.machine import MachineSession
from permille.records.trial import Trial
from permille.store.rows import Raw, pack, read_raw, read_session, read_trial

_MOST_INT = 2**63 - 1
_MAYBE_LARGE = re.compile(rb"[:,\[]-?(?:\d{19}|[\d.]+[eE]\+?(?:[3-9]\d|\d{3}))")
"""A number of 19 digits or more, or with an exponent of 30 or more, or what looks like one."""
_SIGN = re.compile(rb"-(?<=[:,\[]-)")
"""A minus before a number; looking back is 20 times as fast as beginning at what is before it."""
_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_EXPONENT = re.compile(rb"0e\+?00")
_ACCURACIES = ("accuracy_low", "accuracy_high")
_OF_DOMAIN = ("energy_j", "edge_j", *_ACCURACIES, "time_j", "own_j", "offset_j")


def refusal(trial: Trial) -> str | None:
    """Why this trial cannot be stored, or None."""
    try:
        encoded(trial)
    except ValueError as error:
        return str(error)
    return None


def encoded(trial: Trial) -> bytes:
    """The body of the trial's row.

    Raises:
        ValueError: the trial cannot be stored; the message says why.
    """
    try:
        body = msgspec.json.encode(trial)
        back = read_trial(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(_unbounded(trial) or f"it could not be read back: {error}") from error
    same = back == trial
    wrong = refusal_of_body(trial, body) if same else _impossible(trial)
    if wrong is None and not same and msgspec.json.encode(back) != body:
        wrong = "it would be read back differently"
    if wrong is not None:
        raise ValueError(wrong)
    return body


def refusal_of_body(trial: Trial, body: bytes) -> str | None:
    """Why a trial that was read from this body cannot be stored, and no figure can be computed of
    it; None if it can. Every reader asks this: it takes one to two times as long as decoding, and a
    tenth of the time of the figures in a roll-up at most."""
    # JSON has no numbers that are not finite. If no number in it looks large, or has a sign, there
    # is none to be looked for, which would take most of a write.
    return (
        (_unbounded(trial) if _maybe_large(body) else None)
        or (_senseless(trial) if _maybe_senseless(trial, body) else None)
        # Nothing in a body tells these from what else may stand in it as quickly.
        or _too_small(trial)
    )


def _maybe_large(body: bytes) -> bool:
    """Whether :data:`_MAYBE_LARGE` is in it. Bodies in which it cannot be are passed first, in a
    tenth of the time: with every digit as 0, they have neither 19 zeros in a row nor an exponent
    after a number (in a hexadecimal id, a letter is before the digits)."""
    zeros = body.translate(_ZEROS)
    if b"0" * 19 not in zeros:
        for exponent in _EXPONENT.finditer(zeros):
            end = exponent.start() + 1
            before = zeros[max(0, end - 30) : end].rstrip(b"0.")
            if not before or before.endswith((b":", b",", b"[", b"-")):
                break
        else:
            return False
    return _MAYBE_LARGE.search(body) is not None


def refusal_of_session(session: MachineSession) -> str | None:
    """Why this session cannot be kept; None if it can, as it is."""
    try:
        back = read_session(msgspec.json.encode(session))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        return _unbounded(session) or f"it could not be read back: {error}"
    if session.blocks < 0:
        return f"blocks is {session.blocks}, below 0"
    return _unbounded(session) or (None if back == session else "it would be read back as another")


def packed(raw: Raw) -> list[tuple[str, bytes]]:
    """A recording in its stored parts: (kind, body).

    Raises:
        ValueError: it could not be read back.
    """
    try:
        parts = [("spans", pack(raw.spans)), ("durations", pack(raw.durations_ns))]
        if raw.recording is not None:
            parts.append(("recording", pack(raw.recording)))
        read_raw(parts)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"its recording could not be read back: {error}") from error
    return parts


def _impossible(trial: Trial) -> str | None:
    """What :func:`refusal_of_body` finds, without a body in which to look for it quickly."""
    return _unbounded(trial) or _senseless(trial) or _too_small(trial)


def _unbounded(record: Record) -> str | None:
    """The first number that is not finite or too large, by the way that leads to it."""
    stack: list[tuple[str, object]] = [("", record)]
    while stack:
        where, value = stack.pop()
        if isinstance(value, bool | str) or value is None:
            continue
        if isinstance(value, msgspec.Struct):
            stack += [(f"{where}.{name}", getattr(value, name)) for name in value.__struct_fields__]
        elif isinstance(value, dict):
            stack += [(f"{where}.{name}", inner) for name, inner in value.items()]
        elif isinstance(value, list | tuple):
            stack += [(where, inner) for inner in value]
        elif isinstance(value, int) and not -_MOST_INT <= value <= _MOST_INT:
            return f"{where[1:]} is beyond 64 bits"
        elif isinstance(value, float) and not abs(value) <= MOST:
            what = f"{value:g}" if math.isfinite(value) else f"{value}, not a finite number"
            return f"{where[1:]} is {what}"
    return None


def _maybe_senseless(trial: Trial, body: bytes) -> bool:
    """Whether :func:`_senseless` may find something: of figures that must be 1 or more, of a
    precision, or where there is a sign before a number."""
    return (
        bool(_SIGN.search(body))
        or trial.protocol.batch_size < 1
        or (trial.server is not None and min(trial.server.start, trial.server.trial) < 1)
        or _imprecise(trial) is not None
    )


def _senseless(trial: Trial) -> str | None:
    """The first count, duration or energy below its minimum, or a precision that is none. Energies
    above idle, which may be negative, are not stored."""
    protocol, facts = trial.protocol, trial.facts
    least: list[tuple[str, float | None, float]] = [
        ("repeat", trial.repeat, 0),
        ("round", trial.round, 0),
        ("block", trial.block, 0),
        ("protocol.batch_size", protocol.batch_size, 1),
        ("protocol.inferences", protocol.inferences, 0),
        ("protocol.warmup_max", protocol.warmup_max, 0),
        ("protocol.idle_s", protocol.idle_s, 0),
        ("facts.params", facts.params, 0),
        ("facts.active_params", facts.active_params, 0),
        ("facts.size_bytes", facts.size_bytes, 0),
        *((f"counts.{name}", count, 0) for name, count in trial.counts.items()),
    ]
    for name, phase in trial.phases.items():
        least += _least_of_phase(f"phases.{name}", phase)
    if trial.server is not None:
        least += [("server.start", trial.server.start, 1), ("server.trial", trial.server.trial, 1)]
    for name, record in (
        ("latency", trial.latency),
        ("each", trial.each),
        ("schedule_lag", trial.schedule_lag),
    ):
        if record is not None:
            least += [(f"{name}.{n}", getattr(record, n), 0) for n in record.__struct_fields__]
    if trial.quality is not None:
        least.append(("quality.standard_error", trial.quality.standard_error, 0))
    if trial.tokens is not None:
        least += [(f"tokens.{n}", getattr(trial.tokens, n), 0) for n in _ACCURACIES]
    for name, value, bound in least:
        if value is not None and value < bound:
            return f"{name} is {value:g}, below {bound:g}"
    return _imprecise(trial)


def _too_small(trial: Trial) -> str | None:
    """The first figure that others are divided by, and which is so close to 0 that the quotient
    may be infinite."""
    for name, count in trial.counts.items():
        if 0 < count < LEAST:
            return f"counts.{name} is {count:g}, too small to divide by"
    for name, phase in trial.phases.items():
        if 0 < phase.seconds < LEAST:
            return f"phases.{name}.seconds is {phase.seconds:g}, too small to divide by"
        for domain, figure in phase.domains.items():
            if 0 < figure.energy_j < LEAST:
                energy = f"phases.{name}.{domain}.energy_j is {figure.energy_j:g}"
                return f"{energy}, too small to divide by"
    return None


def _least_of_phase(where: str, phase: Phase) -> list[tuple[str, float | None, float]]:
    """The figures of a phase, with their minimum."""
    least: list[tuple[str, float | None, float]] = [
        (f"{where}.seconds", phase.seconds, 0),
        (f"{where}.inferences", phase.inferences, 0),
    ]
    for name, domain in phase.domains.items():
        least += [(f"{where}.{name}.{n}", getattr(domain, n), 0) for n in _OF_DOMAIN]
    if phase.disturbance is not None:
        others, steal = phase.disturbance.others, phase.disturbance.steal
        least += [(f"{where}.others", others, 0), (f"{where}.steal", steal, 0)]
    return least


def _imprecise(trial: Trial) -> str | None:
    """A precision of its stopping rule that no interval can have."""
    if trial.stopping is None or 0 < trial.stopping.precision < 1:
        return None
    return f"stopping.precision is {trial.stopping.precision:g}, not between 0 and 1"
