"""Sessions: a trial's session is a period of measuring on one boot of one machine."""

from __future__ import annotations

import datetime
import hashlib

import msgspec

from permille.records import Conditions, Record, Trial

LONG_BREAK_S = 1800.0
"""Seconds without a trial after which a new session begins. After half an hour, a machine has
cooled down and others may have used it, so later trials are a rerun."""


class MeasuringSession(Record):
    """The current session. ``last`` is the time when its last trial ended."""

    id: str
    machine: str
    boot: str | None
    last: datetime.datetime


def begin(conditions: Conditions, now: datetime.datetime) -> MeasuringSession:
    """A new session; its id is made of the machine, the boot and the time."""
    key = "\0".join((conditions.machine, conditions.boot or "", now.isoformat()))
    return MeasuringSession(
        id=hashlib.sha256(key.encode()).hexdigest()[:16],
        machine=conditions.machine,
        boot=conditions.boot,
        last=now,
    )


def goes_on(session: MeasuringSession, conditions: Conditions, now: datetime.datetime) -> bool:
    """Whether a trial that starts now belongs to the session."""
    same = (session.machine, session.boot) == (conditions.machine, conditions.boot)
    return same and 0 <= (now - session.last).total_seconds() <= LONG_BREAK_S


def of_trial(trial: Trial) -> MeasuringSession | None:
    """The session of a stored trial, or None."""
    if trial.session is None or trial.conditions is None:
        return None
    started = datetime.datetime.fromisoformat(trial.started)
    whole = trial.phases.get("whole")
    return MeasuringSession(
        id=trial.session,
        machine=trial.conditions.machine,
        boot=trial.conditions.boot,
        last=started + datetime.timedelta(seconds=whole.seconds if whole else 0.0),
    )


class Sessions:
    """Assigns the trials of a run to sessions. A session from an earlier run continues if there was
    no long break."""

    def __init__(self, newest: Trial | None) -> None:
        self._current = None if newest is None else of_trial(newest)

    def at(self, conditions: Conditions, now: datetime.datetime) -> str:
        """The session id of a trial that starts now."""
        if self._current is None or not goes_on(self._current, conditions, now):
            self._current = begin(conditions, now)
        return self._current.id

    def measured(self, now: datetime.datetime) -> None:
        """Record that a trial has just ended."""
        if self._current is not None:
            self._current = msgspec.structs.replace(self._current, last=now)

    def close(self) -> None:
        """Start a new session with the next trial."""
        self._current = None
