"""The store's file under what befalls files: damage, age, a full disk, a folder that goes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from permille.errors import StoreError
from permille.records.recording import RecorderStats, Recording, Series, Span
from permille.records.trial import Protocol, Trial
from permille.store import Raw, Store
from permille.store.repair import check, repair
from permille.store.schema import SCHEMA_VERSION, STEPS, create
from tests.conftest import PATIENCE_S, Permille
from tests.faults.conftest import MakeStudy, as_nobody, await_that, kept, start
from tests.powercap import Driver
from tests.records import domain, trial

pytestmark = pytest.mark.slow


def _raw() -> Raw:
    times = tuple(range(0, 50_000_000, 1_000_000))
    joules = tuple(t * 1.1e-7 for t in times)
    stats = RecorderStats(cpu_s=0.1, wall_s=1.0, polls=50, missed=0, interval_s=0.1)
    series = Series(domain=domain(), t_ns=times, energy_j=joules)
    return Raw(
        recording=Recording(series=(series,), events=(), stats=stats),
        spans=(Span(name="query", t0_ns=0, t1_ns=40_000_000),),
        durations_ns=tuple(range(1000, 1100)),
    )


def _filled(path: Path, count: int = 40) -> list[Trial]:
    trials = [trial(float(i + 1), repeat=i, model=f"m{i % 3}") for i in range(count)]
    with Store(path) as store:
        store.add_many((t, _raw()) for t in trials)
    return trials


def _read(path: Path) -> list[Trial]:
    with Store(path, readonly=True) as store:
        found = list(store.trials())
        for one in found:
            store.raw(one.uid)
    return found


# --- versions ------------------------------------------------------------------------------


def _version_1(path: Path, trials: list[Trial]) -> None:
    """A file as the first schema left it."""
    import msgspec

    db = sqlite3.connect(path)
    create(db, to=1)
    for one in trials:
        cell = one.cell
        db.execute(
            "INSERT INTO trial (uid, study, cell, repeat, status, source, task, dataset, model,"
            " fingerprint, protocol, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (one.uid, one.study, cell.id, one.repeat, one.status, one.source, cell.task,
             cell.dataset, cell.model, one.environment.fingerprint,
             msgspec.json.encode(one.protocol).decode(), msgspec.json.encode(one)),
        )  # fmt: skip
    db.commit()
    db.close()


def test_an_older_file_is_taken_to_this_schema_whole(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    trials = [trial(float(i), repeat=i) for i in range(5)]
    _version_1(path, trials)
    before = path.read_bytes()
    assert _read(path) == trials  # a reader migrates a copy
    assert path.read_bytes() == before
    assert check(path).problems == ()
    with Store(path) as store:
        assert list(store.trials()) == trials
        store.add(trial(9.0, repeat=9))
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert len(_read(path)) == 6


def test_a_migration_that_is_cut_off_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    trials = [trial(1.0)]
    _version_1(path, trials)
    broken = STEPS[1] + " CREATE TABLE trial (id INTEGER);"  # fails after all the rest
    monkeypatch.setattr("permille.store.schema.STEPS", (STEPS[0], broken))
    with pytest.raises(StoreError, match="already exists"):
        Store(path)
    monkeypatch.undo()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert "crc" not in [row[1] for row in db.execute("PRAGMA table_info(trial)")]
    db.close()
    with Store(path) as store:
        assert list(store.trials()) == trials


def test_a_newer_file_is_refused_and_left_alone(permille: Permille, tmp_path: Path) -> None:
    path = tmp_path / "permille.db"
    _filled(path, 1)
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    for readonly in (True, False):
        with pytest.raises(StoreError, match=r"newer permille.*upgrade"):
            Store(path, readonly=readonly)
    assert "newer permille" in permille("results", code=2).err


def test_what_is_no_file_is_refused_unopened(permille: Permille, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in ("pipe", "/dev/zero", str(tmp_path)):
        for command in (["results"], ["import", "codecarbon", "x.csv"], ["store", "check"]):
            said = permille(*command, "--store", path, code=2).err
            assert "pipe or a device" in said or "there is no file or folder x.csv" in said


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE birds (name TEXT)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not permille's"):
        Store(path)
    assert path.read_bytes() == before


# --- damage --------------------------------------------------------------------------------


def test_a_flipped_bit_is_never_a_figure_and_the_rest_is_kept(tmp_path: Path) -> None:
    """Anywhere in the file: what is read is what was written, or the damage is said; and a
    repair keeps all but what the bit lay in."""
    sound = tmp_path / "sound.db"
    trials = {t.uid: t for t in _filled(sound)}
    image = sound.read_bytes()
    luck = random.Random(11)
    said = lost = 0
    refused: list[str] = []
    places = [luck.randrange(len(image)) for _ in range(60)] + [0, 17, 20, 28, 45, 101]
    for n, place in enumerate(places):
        path = tmp_path / f"{n}.db"
        damaged = bytearray(image)
        damaged[place] ^= 1 << luck.randrange(8)
        path.write_bytes(damaged)
        if _seen_on_reading(path, trials):
            said += 1
        try:
            report = repair(path)
        except StoreError as error:
            refused.append(f"{place}: {error}")
            assert path.read_bytes() == bytes(damaged)
            continue
        kept_trials = _read(path)
        assert all(trials[t.uid] == t for t in kept_trials), place
        lost += len(trials) - len(kept_trials)
        assert len(kept_trials) >= len(trials) - 12, (place, report.problems)
        if len(kept_trials) < len(trials):
            assert report.problems
            assert report.kept_as is not None
            assert report.kept_as.read_bytes() == bytes(damaged)
    # A bit in the file's header may make it another program's, or a newer permille's.
    assert all("newer permille" in line or "not permille's" in line for line in refused), refused
    assert said > 30
    assert lost < 3 * len(places)


def test_where_the_root_of_all_trials_is_lost_the_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "permille.db"
    _filled(path)
    damaged = bytearray(path.read_bytes())
    damaged[4096] ^= 4  # the kind of page 2, on which the table of trials begins
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match="was not changed"):
        repair(path)
    assert path.read_bytes() == bytes(damaged)
    assert [p.name for p in tmp_path.iterdir()] == ["permille.db"]


def _seen_on_reading(path: Path, trials: dict[str, Trial]) -> bool:
    """Whether reading said that the file is damaged; nothing false may come of it."""
    try:
        found = _read(path)
    except StoreError:
        return True
    assert all(trials[t.uid] == t for t in found)
    return bool(check(path).problems)


def test_damage_is_named_and_repaired_by_the_command(permille: Permille, tmp_path: Path) -> None:
    path = tmp_path / "permille.db"
    trials = _filled(path, 6)
    db = sqlite3.connect(path)
    (body,) = db.execute("SELECT body FROM trial WHERE id = 3").fetchone()
    flipped = body.replace(b'"energy_j":3.0', b'"energy_j":2.0')
    assert flipped != body  # still JSON, still a trial: only the checksum tells
    db.execute("UPDATE trial SET body = ? WHERE id = 3", (flipped,))
    db.commit()
    db.close()
    whole = permille("results", "--json").json  # of the roll-up, which is what was written
    assert [row["trials"]["done"] for row in whole["rows"]] == [2, 2, 2]
    pooled = permille("results", "--pool", "--json", code=1)  # of the trials themselves
    assert trials[2].uid in pooled.err
    assert "permille store repair" in pooled.err
    assert any(trials[2].uid in line for line in pooled.json["damage"])
    assert [row["trials"]["done"] for row in pooled.json["rows"]] == [2, 2, 1]
    found = permille("store", "check", "--json", code=1).json
    assert found["trials"] == 5
    assert any(trials[2].uid in problem for problem in found["problems"])
    assert "5 trials are intact" in permille("store", "repair", code=1).out
    assert {t.uid for t in _read(path)} == {t.uid for t in trials} - {trials[2].uid}
    assert permille("store", "check").code == 0
    assert len(permille("results", "--json").json["rows"]) == 3


def test_a_file_cut_short_keeps_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "cut.db"
    _filled(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(StoreError, match="damaged"):
        Store(path)
    report = repair(path)
    assert report.problems
    assert len(_read(path)) == report.trials > 5


def test_a_lost_first_page_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "headless.db"
    trials = _filled(path)
    with path.open("r+b") as file:
        file.write(os.urandom(4096))
    with pytest.raises(StoreError, match="damaged"):
        Store(path)
    repair(path)
    assert _read(path) == trials


def test_what_never_was_a_store_is_refused_and_left(permille: Permille, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"nothing of the kind " * 1000)
    before = path.read_bytes()
    for action in ("check", "repair"):
        done = permille("store", action, "--store", str(path), code=2)
        assert "is not a store" in done.err
    assert "is no store, or a damaged one" in permille("results", "--store", str(path), code=2).err
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.glob("notes*")] == ["notes.txt"]


# --- writers and readers ---------------------------------------------------------------------


def test_readers_see_whole_trials_while_a_run_writes(tmp_path: Path) -> None:
    path = tmp_path / "permille.db"
    Store(path).close()
    seen: list[int] = []
    with Store(path) as store:
        writing = threading.Event()

        def read() -> None:
            while not writing.is_set():
                seen.append(len(_read(path)))

        reader = threading.Thread(target=read)
        reader.start()
        for i in range(40):
            store.add(trial(float(i + 1), repeat=i), _raw())
        writing.set()
        reader.join()
    assert seen == sorted(seen)
    assert len(_read(path)) == 40


WRITES = """
import sys; from pathlib import Path; from permille.store import Store
from tests.records import trial
with Store(Path(sys.argv[1])) as store:
    for i in range(100_000):
        store.add(trial(float(i + 1), repeat=i))
        print(f"{float(i + 1)}", flush=True)
"""


def test_a_trial_is_there_whole_or_not_at_all_after_a_kill(tmp_path: Path) -> None:
    luck = random.Random(3)
    path = tmp_path / "permille.db"
    for n in range(10):
        path = tmp_path / f"{n}.db"
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITES, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(luck.randrange(1, 60)):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        said = len(writer.stdout.read().splitlines())
        writer.wait()
        writer.stdout.close()
        found = _read(path)
        assert len(found) >= said
        assert [t.repeat for t in found] == list(range(len(found)))
        assert check(path).problems == ()


def test_durable_by_the_pragmas(tmp_path: Path) -> None:
    with Store(tmp_path / "permille.db") as store:
        assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


# --- where it lies ---------------------------------------------------------------------------


def test_a_full_disk_stops_the_run_cleanly_and_all_before_is_readable(
    permille: Permille,
    powercap: Driver,
    make_study: MakeStudy,
    tmpfs: Callable[[str], Path],
) -> None:
    disk = tmpfs("512k")  # two trials; on a busy machine one may take twice as much
    path = str(make_study("good", repeats=200))
    store = disk / "full.db"
    done = permille("run", path, "--store", str(store), "--json-lines", code=2)
    assert "full" in done.err
    assert "earlier trials are safe" in done.err
    assert len(done.err.strip().splitlines()) == 1
    said = [line for line in done.out.splitlines() if line]
    assert said
    with Store(store, readonly=True) as opened:
        assert len(list(opened.trials())) == len(said)
    row = permille("results", "--store", str(store), "--json").json["rows"][0]
    assert row["trials"]["done"] == len(said)
    subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
    more = str(len(said) + 1)
    permille("run", path, "--store", str(store), "--repeats", more)
    assert len(_read(store)) == len(said) + 1


def test_a_disk_too_small_for_any_store_is_said(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmpfs: Callable[[str], Path]
) -> None:
    disk = tmpfs("16k")
    done = permille("run", str(make_study("good")), "--store", str(disk / "s.db"), code=2)
    assert len(done.err.strip().splitlines()) == 1
    assert "s.db" in done.err


def test_a_store_that_may_not_be_written_is_read_and_refuses_a_run(
    powercap: Driver, make_study: MakeStudy, environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "permille.db"
    trials = _filled(path, 3)
    path.chmod(0o444)
    study = make_study("good")
    program = as_nobody(sys.executable, "-m", "permille")
    if os.geteuid() == 0:
        os.chown(path, 1, 1)
    done = subprocess.run(
        [*program, "run", str(study)], env=environment, cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert "readonly" in done.stderr
    assert "--store" in done.stderr
    assert _read(path) == trials


@pytest.mark.parametrize("log", [False, True])
def test_a_store_in_a_read_only_folder_is_read(
    tmpfs: Callable[[str], Path], tmp_path: Path, log: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without a log that a killed writer left: trials in it are read too."""
    disk = tmpfs("4m")
    path = disk / "permille.db"
    trials = _filled(path, 5)
    if log:
        copy = tmp_path / "copy.db"
        shutil.copyfile(path, copy)
        monkeypatch.setattr("permille.store.trials.checkpoint", lambda db: None)
        with Store(copy) as store:
            trials.append(trial(99.0, repeat=99))
            store.add(trials[-1])
            shutil.copyfile(f"{copy}-wal", f"{path}-wal")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert _read(path) == trials
    with pytest.raises(StoreError, match="store"):
        Store(path)


def test_a_store_whose_folder_vanishes_stops_the_run(
    powercap: Driver, make_study: MakeStudy, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    store = folder / "s.db"
    process = start(make_study("good", repeats=100), environment, "--store", str(store))
    await_that(lambda: store.exists() and len(kept(tmp_path, "gone/s.db")) >= 1)
    moved = tmp_path / "moved"
    folder.rename(moved)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, err
    assert "has vanished" in err.splitlines()[-1]
    assert len(kept(tmp_path, "moved/s.db")) >= 1


def test_a_store_that_another_file_replaced_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "permille.db"
    with Store(path) as store:
        store.add(trial(1.0))
        path.rename(tmp_path / "elsewhere.db")
        path.write_bytes(b"")
        with pytest.raises(StoreError, match="replaced"):
            store.add(trial(2.0, repeat=1))


# --- rounds ------------------------------------------------------------------------------------


def test_a_new_round_counts_alone_and_the_old_one_stays(tmp_path: Path) -> None:
    protocol = Protocol(inferences=1000)
    with Store(tmp_path / "permille.db") as store:
        old = [trial(1.0, model="a"), trial(2.0, model="b")]
        store.add_many((t, None) for t in old)
        store.start_over("study", ["cell-a"], protocol, "machine")
        assert store.rounds("study", protocol, "machine") == {"cell-a": 1}
        assert list(store.trials()) == old  # until the new round has a trial
        assert [t.cell for t in store.tried("study", protocol)] == ["cell-b"]
        new = trial(3.0, model="a", round=1)
        store.add(new)
        assert list(store.trials()) == [old[1], new]
        assert list(store.trials(rounds="all")) == [*old, new]
        assert store.tried("another study", protocol) == []
