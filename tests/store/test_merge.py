"""The stores of many machines as one: each trial once, nothing lost, sources only read."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from permille.analysis.rolled import CELLS, CellFold, Rolled
from permille.errors import StoreError
from permille.records.machine import Environment
from permille.records.recording import Span
from permille.records.trial import Trial
from permille.store import Group, Raw, Store, ahead, rollup
from permille.store.merge import Merged, merge
from permille.store.repair import check
from permille.store.rows import StoredTrial
from permille.store.schema import create
from permille.store.writing import TakenIn
from tests.conftest import Permille
from tests.older import rewrite
from tests.records import trial

RAW = Raw(spans=(Span(name="query", t0_ns=0, t1_ns=10),), durations_ns=(4, 5))


@pytest.fixture(params=["here", pytest.param("ahead", marks=pytest.mark.slow)])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources are read here, or by a process of its own."""
    least = 0 if request.param == "ahead" else 2**40
    monkeypatch.setattr(ahead, "AHEAD_FROM_BYTES", least)


def _store(path: Path, trials: list[Trial], raw: Raw | None = RAW) -> Path:
    with Store(path) as store:
        store.add_many((one, raw) for one in trials)
    return path


def _read(path: Path) -> dict[str, tuple[Trial, Raw | None]]:
    with Store(path, readonly=True) as store:
        return {one.uid: (one, store.raw(one.uid)) for one in store.trials(rounds="all")}


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.usefixtures("reading")
def test_trials_recordings_and_failures_come_along_and_sources_stay(tmp_path: Path) -> None:
    failed = msgspec.structs.replace(trial(2.0, repeat=1), status="failed", reason="no memory")
    one = _store(tmp_path / "1.db", [trial(1.0), failed])
    two = _store(tmp_path / "2.db", [trial(3.0, repeat=2)])
    before = _sum(one), _sum(two)
    out = tmp_path / "all.db"
    assert merge(out, [one, two]) == Merged(stores=2, new=3)
    assert _read(out) == _read(one) | _read(two)
    assert merge(out, [one, two]) == Merged(stores=2, known=3)
    assert (_sum(one), _sum(two)) == before
    assert check(out).problems == ()


@pytest.mark.usefixtures("reading")
def test_one_uid_with_other_content_is_named_and_refused(tmp_path: Path) -> None:
    mine, other = trial(1.0), msgspec.structs.replace(trial(1.0), notes=("changed",))
    out = _store(tmp_path / "all.db", [mine])
    source = _store(tmp_path / "1.db", [other, trial(2.0, repeat=1)])
    found = merge(out, [source])
    assert (found.new, found.known, found.refused) == (1, 0, 1)
    assert found.problems == (f"{source}: trial {mine.uid} already exists with different content",)
    assert _read(out)[mine.uid][0] == mine


@pytest.mark.usefixtures("reading")
def test_what_this_version_would_not_store_is_refused(tmp_path: Path) -> None:
    good, senseless = trial(1.0), trial(2.0, repeat=1)
    source = _store(tmp_path / "1.db", [good, senseless])
    rewrite(source, 2, msgspec.structs.replace(senseless, counts={"tokens_out": -1.0}))
    found = merge(tmp_path / "all.db", [source])
    assert (found.new, found.refused) == (1, 1)
    assert "counts.tokens_out is -1, below 0" in found.problems[0]
    assert set(_read(tmp_path / "all.db")) == {good.uid}
    assert check(tmp_path / "all.db").problems == ()


@pytest.mark.usefixtures("reading")
def test_new_and_known_trials_in_one_message_leave_no_gap_in_the_numbers(tmp_path: Path) -> None:
    many = [trial(float(i + 1), repeat=i) for i in range(40)]
    out = _store(tmp_path / "all.db", many[::3])
    changed = msgspec.structs.replace(many[6], notes=("changed",))
    source = _store(tmp_path / "1.db", [*many[:6], changed, *many[7:]])
    found = merge(out, [source])
    assert (found.new, found.known, found.refused) == (26, 13, 1)
    with closing(sqlite3.connect(out)) as db:
        assert db.execute("SELECT max(id), count(*) FROM trial").fetchone() == (40, 40)
    assert check(out).problems == ()


@pytest.mark.usefixtures("reading")
def test_a_damaged_recording_is_named_and_its_trial_comes_without(tmp_path: Path) -> None:
    source = _store(tmp_path / "1.db", [trial(1.0), trial(2.0, repeat=1)])
    with closing(sqlite3.connect(source)) as db, db:
        db.execute("UPDATE raw SET body = x'00' WHERE trial = 2 AND kind = 'spans'")
    found = merge(tmp_path / "all.db", [source])
    assert found.new == 2
    assert any(trial(2.0, repeat=1).uid in line for line in found.problems)
    raws = {uid: raw for uid, (_, raw) in _read(tmp_path / "all.db").items()}
    assert raws == {trial(1.0).uid: RAW, trial(2.0, repeat=1).uid: None}
    assert check(tmp_path / "all.db").problems == ()


@given(
    parts=st.lists(st.lists(st.integers(0, 12), unique=True, max_size=8), min_size=1, max_size=4)
)
@settings(max_examples=15, deadline=None)
def test_in_any_order_and_however_they_overlap_each_trial_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    paths = [
        _store(folder / f"{n}.db", [trial(float(i + 1), repeat=i) for i in part])
        for n, part in enumerate(parts)
    ]
    found, back = merge(folder / "a.db", paths), merge(folder / "b.db", paths[::-1])
    wanted = {i for part in parts for i in part}
    for path in (folder / "a.db", folder / "b.db"):
        assert _aggregates(path) == _computed(path)
    assert _read(folder / "a.db") == _read(folder / "b.db")
    assert {one.repeat for one, _ in _read(folder / "a.db").values()} == wanted
    assert (found.new, found.known) == (len(wanted), sum(map(len, parts)) - len(wanted))
    assert (back.new, back.known) == (found.new, found.known)


@pytest.mark.usefixtures("reading")
def _aggregates(path: Path) -> dict[str, bytes | None]:
    with closing(sqlite3.connect(path)) as db:
        return {kept.group.cell: kept.body for kept in rollup.read(db)}


def _computed(path: Path) -> dict[str, bytes | None]:
    """The same from the trials."""
    with Store(path, readonly=True) as store:
        return {group.cell: CELLS.pack(CELLS.of(store.of_group(group))) for group in _groups(path)}


def _groups(path: Path) -> list[Group]:
    with closing(sqlite3.connect(path)) as db:
        return [kept.group for kept in rollup.read(db)]


def test_the_aggregates_of_groups_that_come_whole_are_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [trial(float(i + 1), repeat=i, model="whole") for i in range(3)]
    split = [trial(float(i + 1), repeat=i, model="split") for i in range(3)]
    one = _store(tmp_path / "1.db", [*whole, *split[:2]])
    two = _store(tmp_path / "2.db", [*split[1:], whole[0]])
    of, computed = CellFold.of, []

    def counted(fold: CellFold, trials: Sequence[Trial]) -> Rolled:
        computed.append((trials[0].cell.model, len(trials)))
        return of(fold, trials)

    monkeypatch.setattr(CellFold, "of", counted)
    merge(tmp_path / "all.db", [one, two])
    assert computed == [("split", 3)]
    monkeypatch.undo()
    assert _aggregates(tmp_path / "all.db") == _computed(tmp_path / "all.db")
    assert check(tmp_path / "all.db").problems == ()


def test_a_group_of_which_a_trial_is_refused_is_computed_anew(tmp_path: Path) -> None:
    """As many trials as the source has, but one of them is another."""
    mine = msgspec.structs.replace(trial(1.0), notes=("changed",))
    source = _store(tmp_path / "1.db", [trial(1.0), trial(2.0, repeat=1)])
    out = _store(tmp_path / "all.db", [mine])
    assert merge(out, [source]).refused == 1
    assert _aggregates(out) == _computed(out) != _aggregates(source)


@pytest.mark.slow
def test_a_store_that_is_not_read_to_its_end_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _store(tmp_path / "1.db", [trial(1.0)])
    monkeypatch.setattr(ahead, "AHEAD_FROM_BYTES", 0)
    monkeypatch.setattr(sys, "executable", str(shutil.which("false")))
    with pytest.raises(StoreError, match="was not read to its end"):
        merge(tmp_path / "all.db", [source])


def test_of_a_damaged_store_what_is_sound_comes_and_the_rest_is_named(tmp_path: Path) -> None:
    source = _store(tmp_path / "1.db", [trial(float(i + 1), repeat=i) for i in range(5)])
    lost = trial(3.0, repeat=2)
    db = sqlite3.connect(source)
    db.execute("UPDATE trial SET body = zeroblob(20) WHERE uid = ?", (lost.uid,))
    db.commit()
    db.close()
    found = merge(tmp_path / "all.db", [source])
    assert found.new == 4
    assert any(lost.uid in line for line in found.problems)
    assert lost.uid not in _read(tmp_path / "all.db")
    assert check(tmp_path / "all.db").problems == ()


@pytest.mark.usefixtures("reading")
def test_a_store_of_an_older_version_is_migrated_on_the_way(tmp_path: Path) -> None:
    import zlib

    from permille.store.rows import columns_of

    old = tmp_path / "old.db"
    db = sqlite3.connect(old)
    create(db, to=3)
    body = msgspec.json.encode(trial(1.0))
    row = {**columns_of(trial(1.0)), "body": body, "crc": zlib.crc32(body)}
    db.execute(
        f"INSERT INTO trial ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
        tuple(row.values()),
    )
    db.commit()
    db.close()
    before = _sum(old)
    assert merge(tmp_path / "all.db", [old]).new == 1
    assert _read(tmp_path / "all.db")[trial(1.0).uid][0] == trial(1.0)
    assert _sum(old) == before


def test_the_later_round_counts_wherever_it_was_made(tmp_path: Path) -> None:
    first, again = trial(1.0), trial(5.0, round=1)
    one = _store(tmp_path / "1.db", [first])
    two = tmp_path / "2.db"
    with Store(two) as store:
        store.start_over("study", [again.cell.id], again.protocol, "machine")
        store.add(again)
    out = tmp_path / "all.db"
    merge(out, [two, one])
    with Store(out) as store:
        assert list(store.trials()) == [again]
        assert {one.uid for one in store.trials(rounds="all")} == {first.uid, again.uid}
        assert store.rounds("study", again.protocol, "machine") == {again.cell.id: 1}


def test_machines_that_differ_stay_apart(tmp_path: Path, permille: Permille) -> None:
    other = trial(90.0, repeat=3, environment=Environment(fingerprint="another"))
    one = _store(tmp_path / "1.db", [trial(1.0, repeat=i, uid=f"a{i}") for i in range(3)])
    two = _store(tmp_path / "2.db", [other])
    merge(tmp_path / "all.db", [one, two])
    shown = permille("results", "--json", "--store", "all.db").json["rows"]
    assert sorted(row["trials"]["done"] for row in shown) == [1, 3]


@pytest.mark.parametrize("what", ["itself", "missing", "text"])
def test_what_cannot_be_merged_is_refused_before_anything_is_written(
    tmp_path: Path, what: str
) -> None:
    good = _store(tmp_path / "good.db", [trial(1.0)])
    (tmp_path / "text").write_text("not a store, but long enough to be one " * 300)
    out = tmp_path / "all.db"
    sources = {"itself": [good, out], "missing": [good, tmp_path / "missing"]}
    if what == "itself":
        _store(out, [])
    with pytest.raises(StoreError, match=what):
        merge(out, sources.get(what, [good, tmp_path / "text"]))
    assert not out.exists() or _read(out) == {}


KILLED = """
import os, sys
from pathlib import Path
from permille.store import Store, ahead, merge

merge.AT_ONCE_BYTES = 100_000
ahead._AT_ONCE = 1
take_over, calls = Store.take_over, []

def killed(trials):
    for number, one in enumerate(trials):
        if len(calls) == 3 and number == 20:
            os._exit(9)  # nothing is closed
        yield one

def counted(store, trials):
    calls.append(trials)
    return take_over(store, killed(trials))

Store.take_over = counted
merge.merge(Path(sys.argv[1]), [Path(sys.argv[2])])
"""
"""A merge that is killed in its third transaction."""


def _killed(tmp_path: Path, out: Path) -> Path:
    """The source of a merge into ``out`` that was killed."""
    many = [trial(float(i + 1), repeat=i) for i in range(600)]
    source = _store(tmp_path / "1.db", many)
    words = [sys.executable, "-c", KILLED, str(out), str(source)]
    assert subprocess.run(words, check=False).returncode == 9
    return source


@pytest.mark.slow
def test_a_merge_into_a_store_that_is_killed_is_finished_by_the_next(tmp_path: Path) -> None:
    out = _store(tmp_path / "all.db", [trial(1.0)])
    source = _killed(tmp_path, out)
    there = _rows(out)
    assert 1 < there < 600
    found = merge(out, [source])
    assert (found.new, found.known) == (600 - there, there)
    assert _read(out).keys() == _read(source).keys()
    assert check(out).problems == ()


@pytest.mark.slow
def test_a_new_store_appears_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "all.db"
    source = _killed(tmp_path, out)
    assert [path.suffix for path in tmp_path.glob(".all.db*")] == [".part"]
    assert not out.exists()
    assert merge(out, [source]) == Merged(stores=1, new=600)
    assert [path.name for path in tmp_path.glob("*all.db*")] == ["all.db"]
    assert _read(out) == _read(source)
    assert check(out).problems == ()


def test_what_another_process_is_still_merging_stays(tmp_path: Path) -> None:
    source, out = _store(tmp_path / "1.db", [trial(1.0)]), tmp_path / "all.db"
    node = platform.node()
    others = [
        tmp_path / f".all.db.{node}.{os.getppid()}.0a.part",
        tmp_path / f".all.db.another-{node}.4194305.0a.part",
        tmp_path / f".all.db.{node}.backup.0a.part",
    ]
    for path in others:
        path.write_bytes(b"a store")
    # No process can have that number (proc(5), pid_max).
    dead = tmp_path / f".all.db.{node}.4194305.0a.part"
    dead.write_bytes(b"half a store")
    merge(out, [source])
    assert all(path.read_bytes() == b"a store" for path in others)
    assert not dead.exists()


def test_a_store_that_another_process_makes_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = _store(tmp_path / "1.db", [trial(1.0)]), tmp_path / "all.db"
    take_over = Store.take_over

    def meanwhile(store: Store, trials: Iterable[Sequence[StoredTrial]]) -> TakenIn:
        _store(out, [trial(2.0, repeat=1)])
        return take_over(store, trials)

    monkeypatch.setattr(Store, "take_over", meanwhile)
    with pytest.raises(StoreError, match=r"all\.db was made by another process: merge again"):
        merge(out, [source])
    assert _read(out).keys() == {trial(2.0, repeat=1).uid}
    assert list(tmp_path.glob("*.part*")) == []
    assert merge(out, [source]) == Merged(stores=1, new=1)


def test_a_new_store_where_a_link_leads_or_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    source, link = _store(tmp_path / "1.db", [trial(1.0)]), tmp_path / "all.db"
    (tmp_path / "elsewhere").mkdir()
    link.symlink_to(tmp_path / "elsewhere" / "all.db")
    assert merge(link, [source]) == Merged(stores=1, new=1)
    assert _read(link) == _read(source)
    with pytest.raises(StoreError, match=r"the store .*no/all\.db: there is no folder"):
        merge(tmp_path / "no" / "all.db", [source])


def test_of_a_new_store_whose_log_stays_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = _store(tmp_path / "1.db", [trial(1.0)]), tmp_path / "all.db"
    close = Store.close

    def on_a_full_disk(store: Store, *, roll_up: bool = True) -> None:
        close(store, roll_up=roll_up)
        if store.path.suffix == ".part":
            store.path.with_name(f"{store.path.name}-wal").write_bytes(b"frames")

    monkeypatch.setattr(Store, "close", on_a_full_disk)
    with pytest.raises(StoreError, match="its log could not be moved into it"):
        merge(out, [source])
    assert list(tmp_path.glob("*all.db*")) == []


def test_of_a_new_store_that_cannot_be_finished_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = _store(tmp_path / "1.db", [trial(1.0)]), tmp_path / "all.db"

    def broken(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Store, "adopt", broken)
    with pytest.raises(StoreError, match="the disk is full"):
        merge(out, [source])
    assert list(tmp_path.glob("*all.db*")) == []


def _rows(path: Path) -> int:
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return int(db.execute("SELECT count(*) FROM trial").fetchone()[0])
        finally:
            db.close()
    except sqlite3.Error:
        return 0


def test_the_command_says_what_it_did(permille: Permille, tmp_path: Path) -> None:
    for name, repeat in (("1.db", 0), ("2.db", 1)):
        _store(tmp_path / name, [trial(1.0, repeat=repeat)])
    out = permille("store", "merge", "all.db", "1.db", "2.db", "--json").json
    assert out["trials"] == {"new": 2, "known": 0, "refused": 0}
    assert (out["stores"], out["problems"]) == (2, [])
    assert permille("store", "merge", "all.db", "1.db").out == (
        "all.db: 0 new trials from 1 store, 1 already present\n"
    )
    _store(tmp_path / "3.db", [msgspec.structs.replace(trial(1.0), notes=("other",))])
    refused = permille("store", "merge", "all.db", "3.db", code=1)
    assert "with different content" in refused.out
    assert "1 refused" in refused.out
    assert "OUT STORE" in permille("store", "merge", "all.db", code=2).err
    assert "--store 1.db" in permille("store", "check", "1.db", code=2).err
    ignored = permille("store", "merge", "all.db", "1.db", "--store", "x.db", code=2).err
    assert "--store: store merge writes the first of the stores" in ignored
