"""Which session measuring goes on with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from permille.analysis.sessions import BREAK, continued
from permille.records.machine import MachineSession

START = datetime(2026, 1, 1, 10, tzinfo=UTC)


def known(id: str, ended: float, **changed: object) -> MachineSession:
    plain = MachineSession(
        id=id,
        machine="m",
        boot="b",
        started=START.isoformat(),
        ended=(START + timedelta(minutes=ended)).isoformat(),
    )
    return msgspec.structs.replace(plain, **changed)


def test_a_session_goes_on_within_the_break_on_the_same_boot_of_the_same_machine() -> None:
    sessions = [known("old", 0), known("new", 20), known("other", 25, boot="b2")]
    found = continued(sessions, "m", "b", START + timedelta(minutes=40))
    assert found is not None
    assert found.id == "new"
    assert continued(sessions, "m2", "b", START) is None
    just = START + timedelta(minutes=20) + BREAK
    assert continued(sessions, "m", "b", just) is not None
    assert continued(sessions, "m", "b", just + timedelta(seconds=1)) is None


def test_of_two_sessions_that_end_at_one_moment_the_later_begun_goes_on() -> None:
    """One that was asked for begins in the moment in which the trial before it ended."""
    new = known("a", 20, started=(START + timedelta(minutes=20)).isoformat())
    for sessions in ([known("z", 20), new], [new, known("z", 20)]):
        found = continued(sessions, "m", "b", START + timedelta(minutes=20))
        assert found is not None
        assert found.id == "a"


def test_a_clock_that_went_back_by_hours_begins_a_session() -> None:
    assert continued([known("s", 300)], "m", "b", START) is None


def test_where_no_id_can_be_read_the_pause_decides() -> None:
    sessions = [known("s", 0, machine=None, boot=None)]
    assert continued(sessions, None, None, START + timedelta(minutes=5)) is not None
    assert continued(sessions, None, "b", START + timedelta(minutes=5)) is None
