"""The table of sessions: each a sealed row, by its id. Within a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

import msgspec

from permille.records.machine import MachineSession
from permille.store.gate import refusal_of_session
from permille.store.rows import read_session
from permille.store.seals import DamageError, added, grow, seal, total

_TABLE = "session"
_SELECT = f"SELECT id, body, seal FROM {_TABLE}"


def read(db: sqlite3.Connection, say: Callable[[str], None]) -> Iterator[MachineSession]:
    """Every session that is what was written, by its start; ``say`` reports what is not."""
    rows = db.execute(_SELECT).fetchall()
    try:
        whole = total(db, _TABLE) == (len(rows), added(_integers(row[-1] for row in rows)))
    except DamageError:
        whole = False
    if not whole:
        say("the sessions are not those that were kept")
    sessions = []
    for row in rows:
        try:
            sessions.append(_session(*row))
        except ValueError as error:
            say(f"session {row[0]}: {error}")
    yield from sorted(sessions, key=lambda one: (one.started, one.id))


def get(db: sqlite3.Connection, id: str) -> MachineSession | None:
    """The session of that id, or None.

    Raises:
        DamageError: it is not what was written.
    """
    row = db.execute(f"{_SELECT} WHERE id = ?", (id,)).fetchone()
    if row is None:
        return None
    try:
        return _session(*row)
    except ValueError as error:
        raise DamageError(f"session {id}: {error}") from error


def put(db: sqlite3.Connection, session: MachineSession) -> None:
    """Write a session, in the place of the one of its id if there is one.

    Raises:
        ValueError: it cannot be kept; says why.
        DamageError: what it is to replace, or the count of the table, is damaged.
    """
    reason = refusal_of_session(session)
    if reason is not None:
        raise ValueError(reason)
    old = get(db, session.id)
    body = msgspec.json.encode(session)
    sealed = seal((session.id,), body)
    old_seal = [] if old is None else [_seal_of(db, session.id)]
    db.execute(
        f"INSERT OR REPLACE INTO {_TABLE} (id, body, seal) VALUES (?, ?, ?)",
        (session.id, body, sealed),
    )
    grow(db, _TABLE, 1 - len(old_seal), [sealed, *(-one for one in old_seal)])


def take_in(db: sqlite3.Connection, session: MachineSession) -> str | None:
    """Keep a session of another store: of one known already, the state that is further on. Why it
    is refused, if it is."""
    known = get(db, session.id)
    if known is not None and _beginning(known) != _beginning(session):
        return f"session {session.id} is there already, with other content"
    # Both only grow while a session goes on: the greater of two copies is the later one.
    if known is None or (known.ended, known.blocks) < (session.ended, session.blocks):
        try:
            put(db, session)
        except DamageError:
            raise
        except ValueError as error:
            return f"session {session.id}: {error}"
    return None


def _beginning(session: MachineSession) -> MachineSession:
    """The session as it was when it began: what every copy of it shares."""
    return msgspec.structs.replace(session, ended="", end_temperature_c=None, blocks=0)


def _session(id: object, body: object, sealed: object) -> MachineSession:
    if not isinstance(body, bytes) or seal((id,), body) != sealed:
        raise ValueError("its checksum does not match")
    session = read_session(body)
    if session.id != id:
        raise ValueError("its id differs between its column and its body")
    return session


def _seal_of(db: sqlite3.Connection, id: str) -> int:
    return int(db.execute(f"SELECT seal FROM {_TABLE} WHERE id = ?", (id,)).fetchone()[0])


def _integers(seals: Iterator[object]) -> Iterator[int]:
    """What is no integer is no seal, and makes a sum wrong."""
    return (one if isinstance(one, int) else 1 for one in seals)
