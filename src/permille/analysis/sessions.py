"""Which trials share a session: by what is stored, and for older trials by machine and gaps. Pure.

What a session is: measuring on one boot of one machine without a long break. Trials of one
session share the state that a reboot, another day or a cold start would change, so they say less
about a rerun than their number suggests. A fresh process of permille within minutes changes none
of it, and is the same session.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from permille.records import MachineSession, Trial

BREAK = timedelta(minutes=30)
"""The longest pause within a session. Heat sinks follow a load within minutes and a case within
tens of minutes: after half an hour of rest a machine starts from another state."""


def continued(
    sessions: Iterable[MachineSession], machine: str | None, boot: str | None, now: datetime
) -> MachineSession | None:
    """The session that measuring on this boot of this machine now goes on with, or None: a new
    one begins. Where an id cannot be read, the pause alone decides."""
    going_on = [
        (ended, session.started, session.id, session)
        for session in sessions
        if (session.machine, session.boot) == (machine, boot)
        and (ended := instant(session.ended)) is not None
        and abs(now - ended) <= BREAK
    ]
    return max(going_on, key=lambda one: one[:3])[-1] if going_on else None


def session_of_each(trials: Iterable[Trial]) -> dict[str, str]:
    """The session of each trial, by the trials' uids.

    Trials stored before there were sessions (and imported ones) are grouped by machine, as its
    fingerprint tells it, and by pauses: from the end of one to the start of the next, no more than
    :data:`BREAK`. The names of these groups begin with ``before:``.
    """
    found: dict[str, str] = {}
    older: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.session is not None:
            found[trial.uid] = trial.session
        else:
            older.setdefault(trial.environment.fingerprint, []).append(trial)
    for fingerprint, group in older.items():
        found |= _by_gaps(fingerprint, group)
    return found


def _by_gaps(fingerprint: str, trials: Iterable[Trial]) -> dict[str, str]:
    """A trial that does not tell when it started is in a session of its own."""
    found: dict[str, str] = {}
    name, ended = "", None
    dated = [(start, t.uid, t) for t in trials if (start := instant(t.started)) is not None]
    for start, uid, trial in sorted(dated, key=lambda one: one[:2]):
        if ended is None or start - ended > BREAK:
            name = f"before:{fingerprint}:{trial.started}"
        found[uid] = name
        lasted = start + timedelta(seconds=_seconds(trial))
        ended = lasted if ended is None else max(ended, lasted)
    return {t.uid: f"before:{fingerprint}:{t.uid}" for t in trials} | found


def instant(text: str) -> datetime | None:
    """A moment as ISO 8601 has it, UTC where it names no zone; None where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_LONGEST_S = 7 * 86_400.0


def _seconds(trial: Trial) -> float:
    """How long a trial lasted, as far as its phases tell."""
    whole = trial.phases.get("whole")
    spans = [whole] if whole else list(trial.phases.values())
    return min(sum(max(0.0, span.seconds) for span in spans), _LONGEST_S)
