"""Which trials share a session. Pure.

What a session is: measuring on one boot of one machine without a long break. Trials of one
session share the state that a reboot, another day or a cold start would change, so they say less
about a rerun than their number suggests. A fresh process of permille within minutes changes none
of it, and is the same session.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from permille.records.machine import MachineSession

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
        # Also in the future: the wall clock may have been set back since.
        and abs(now - ended) <= BREAK
    ]
    # By the first three: records have no order, and two sessions may begin and end together.
    return max(going_on, key=lambda one: one[:3])[-1] if going_on else None


def instant(text: str) -> datetime | None:
    """A moment as ISO 8601 has it, UTC where it names no zone; None where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
