"""Which trials share a session: stored, or told by machine and pauses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permille.analysis.sessions import BREAK, continued, session_of_each
from permille.records import Environment, MachineSession, Trial
from tests.records import trial

START = datetime(2026, 1, 1, 10, tzinfo=UTC)


def at(minutes: float, *, machine: str = "machine", session: str | None = None) -> Trial:
    started = (START + timedelta(minutes=minutes)).isoformat(timespec="seconds")
    return trial(
        uid=f"{machine}-{minutes}-{session}",
        started=started,
        environment=Environment(fingerprint=machine),
        session=session,
    )


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


def test_old_trials_are_grouped_by_machine_and_pauses() -> None:
    trials = [at(0), at(20), at(45), at(90), at(10, machine="b"), at(46, session="s1")]
    found = session_of_each(trials)
    assert [found[t.uid] for t in trials] == [
        "before:machine:2026-01-01T10:00:00+00:00",
        "before:machine:2026-01-01T10:00:00+00:00",
        "before:machine:2026-01-01T10:00:00+00:00",
        "before:machine:2026-01-01T11:30:00+00:00",
        "before:b:2026-01-01T10:10:00+00:00",
        "s1",
    ]


def test_a_long_trial_is_no_pause() -> None:
    first = at(0)
    query = msgspec.structs.replace(first.phases["query"], seconds=3600.0)
    first = msgspec.structs.replace(first, phases={"query": query})
    found = session_of_each([first, at(85)])
    assert len(set(found.values())) == 1


@pytest.mark.parametrize("started", ["", "yesterday", "2026-13-01"])
def test_a_trial_without_a_date_is_in_a_session_of_its_own(started: str) -> None:
    undated = msgspec.structs.replace(at(0), started=started, uid="undated")
    found = session_of_each([undated, at(1), at(2)])
    assert found["undated"] == "before:machine:undated"
    assert len(set(found.values())) == 2


@given(minutes=st.lists(st.integers(0, 500), unique=True, max_size=12), data=st.data())
def test_the_order_in_which_trials_come_changes_nothing(
    minutes: list[int], data: st.DataObject
) -> None:
    trials = [at(m) for m in minutes]
    found = session_of_each(trials)
    assert session_of_each(data.draw(st.permutations(trials))) == found
    for one, other in zip(sorted(minutes), sorted(minutes)[1:], strict=False):
        same = found[at(one).uid] == found[at(other).uid]
        assert same == (timedelta(minutes=other - one, seconds=-10) <= BREAK)
