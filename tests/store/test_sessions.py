"""Sessions in the store: kept, changed, merged, migrated to, and damage never silent."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import msgspec
import pytest

from permille.errors import StoreError
from permille.records.machine import GpuState, MachineSession, MachineState
from permille.store import Store
from permille.store.merge import merge
from permille.store.repair import check, repair
from permille.store.schema import SCHEMA_VERSION, create
from tests.records import trial


def session(id: str = "s1", **changed: object) -> MachineSession:
    plain = MachineSession(
        id=id,
        machine="m",
        boot="b",
        started="2026-01-01T10:00:00+00:00",
        ended="2026-01-01T10:20:00+00:00",
        state=MachineState(turbo=True, gpus=(GpuState(name="gpu:0", clock_mhz=1410),)),
        blocks=3,
    )
    return msgspec.structs.replace(plain, **changed)


def _kept(path: Path) -> list[MachineSession]:
    with Store(path, readonly=True) as store:
        return store.sessions()


def test_sessions_are_read_as_they_were_written_in_order_of_their_start(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    late = session("a", started="2026-02-01T10:00:00+00:00")
    with Store(path) as store:
        store.put_session(late)
        store.put_session(session("b"))
        changed = store.change_session("b", lambda s: msgspec.structs.replace(s, blocks=4))
    assert _kept(path) == [changed, late]
    assert changed == session("b", blocks=4)
    assert check(path).problems == ()


def test_a_session_is_begun_only_where_none_is_found(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store, Store(tmp_path / "s.db") as another:
        first = store.session_or(session("a"), lambda known: None)
        found = another.session_or(session("b"), lambda known: known[0] if known else None)
        assert first == found == session("a")
        assert store.sessions() == [session("a")]


def test_what_could_not_be_read_back_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        store.put_session(session())
        for wrong in (
            session(end_temperature_c=float("nan")),
            session(blocks=-1),
            session(boot="\ud800"),
        ):
            with pytest.raises(StoreError, match="session s1 is not kept"):
                store.put_session(wrong)
        with pytest.raises(StoreError, match="session other is missing"):
            store.change_session("other", lambda s: s)
    assert _kept(path) == [session()]


def test_a_merge_takes_sessions_along_and_keeps_the_state_that_is_further_on(
    tmp_path: Path,
) -> None:
    one, two, out = (tmp_path / f"{name}.db" for name in ("1", "2", "all"))
    further = session(ended="2026-01-01T11:00:00+00:00", blocks=5)
    with Store(one) as store:
        store.add(trial(1.0, session="s1", block=0))
        store.put_session(session())
    with Store(two) as store:
        store.put_session(further)
        store.put_session(session("s2", machine="another"))
    for order in ([one, two], [two, one], [one, two]):
        assert merge(out, order).problems == ()
        assert _kept(out) == [further, session("s2", machine="another")]
    assert check(out).problems == ()
    with Store(one) as store:
        store.put_session(session(machine="forged"))
    (problem,) = merge(out, [one]).problems
    assert problem == f"{one}: session s1 is there already, with other content"
    assert _kept(out)[0] == further


def test_a_store_of_the_schema_before_has_no_sessions_and_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as db:
        create(db, to=4)
    db.close()
    assert check(path).problems == ()
    assert _kept(path) == []  # of a copy: reading changes nothing
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (4,)
    db.close()
    with Store(path) as store:
        store.put_session(session())
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    db.close()
    assert _kept(path) == [session()]
    assert check(path).problems == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE session SET body = replace(body, '\"blocks\":3', '\"blocks\":1')",
        "UPDATE session SET id = 's3' WHERE id = 's1'",
        "DELETE FROM session WHERE id = 's1'",
        "DELETE FROM totals WHERE name = 'session'",
        "UPDATE session SET seal = 'x'",
    ],
)
def test_damage_is_an_error_named_and_repaired(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        store.add(trial(1.0, session="s2", block=0))
        store.put_session(session())
        store.put_session(session("s2"))
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()
    with pytest.raises(StoreError, match=r"session"):
        _kept(path)
    assert any("session" in line for line in check(path).problems)
    said: list[str] = []
    with Store(path, readonly=True, damage=said) as store:
        sound = store.sessions()
        assert [one.uid for one in store.trials()]
    assert said
    report = repair(path)
    assert report.trials == 1
    assert report.kept_as is not None
    assert _kept(path) == sound
    assert all(one == session(one.id) for one in sound)
    assert check(path).problems == ()


def test_a_flipped_bit_in_a_session_is_never_silent(tmp_path: Path) -> None:
    path, flipped = tmp_path / "s.db", tmp_path / "flipped.db"
    with Store(path) as store:
        for n in range(20):
            store.put_session(session(f"s{n}"))
    image, sound = path.read_bytes(), _kept(path)
    luck = random.Random(5)
    body = image.index(b'"machine":"m"') - 200
    said = 0
    for _ in range(60):
        damaged = bytearray(image)
        damaged[body + luck.randrange(1500)] ^= 1 << luck.randrange(8)
        flipped.write_bytes(damaged)
        try:
            assert _kept(flipped) == sound
        except StoreError:
            said += 1
    assert said > 30
