"""One flipped bit, anywhere in a store: what a command shows is what it showed before, or it says
that the store is damaged. `PERMILLE_FLIPS=2000` (`make flips`) is longer than a full campaign."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from permille.cli import dispatch
from permille.errors import StoreError
from permille.explorer.figures import everything
from permille.records.machine import MachineSession
from permille.records.recording import RecorderStats, Recording, Series, Span
from permille.records.trial import Protocol, Trial
from permille.store import Raw, Store, StoredWindow
from permille.store.log import log_of
from permille.store.repair import check
from tests.campaigns import size
from tests.records import domain, trial

pytestmark = pytest.mark.slow

FLIPS = int(os.environ.get("PERMILLE_FLIPS") or size(60, 300))
LOG_FLIPS = size(20, 100)
PROTOCOL = Protocol(inferences=1000)
SESSION = MachineSession(
    id="s", machine="m", boot="b", started="2026-01-01T10:00:00", ended="2026-01-01T11:00:00"
)


def _raw() -> Raw:
    times = tuple(range(0, 20_000_000, 1_000_000))
    stats = RecorderStats(cpu_s=0.1, wall_s=1.0, polls=50, missed=0, interval_s=0.1)
    joules = tuple(t * 1.1e-7 for t in times)
    series = Series(domain=domain(), t_ns=times, energy_j=joules)
    return Raw(
        recording=Recording(series=(series,), events=(), stats=stats),
        spans=(Span(name="query", t0_ns=0, t1_ns=10_000_000),),
        durations_ns=tuple(range(1000, 1100)),
    )


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Trials of several models, of two rounds, some of them not rolled up yet."""
    path = tmp_path / "sound.db"
    with Store(path) as store:
        for i in range(24):
            store.add(trial(float(i + 1), repeat=i, model=f"m{i % 3}"), _raw())
        store.put_session(SESSION)
        store.put_windows(StoredWindow("w", number, b"{}") for number in range(3))
        store.start_over("study", ["cell-m0"], PROTOCOL, "machine")
        store.add(trial(99.0, repeat=0, model="m0", round=1), _raw())
    late = Store(path)
    late.add(trial(50.0, repeat=50, model="m1"), _raw())
    late.close(roll_up=False)
    return path


def _shown(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], bool]:
    """All that the reading commands and a run's scheduling make of a store, and whether any of
    them said that it is damaged."""
    said = False
    shown: dict[str, Any] = {}
    commands = {
        "results": ["results", "--json"],
        "pooled": ["results", "--json", "--pool"],
        "compare": ["compare", "m0", "m1", "--json"],
        "csv": ["export", "csv", "-"],
        "codecarbon": ["export", "codecarbon", "-"],
    }
    for name, command in commands.items():
        try:
            code = dispatch([*command, "--store", str(path)])
        except StoreError as error:
            said = said or bool(str(error))
            capsys.readouterr()
            continue
        out, err = capsys.readouterr()
        if code:
            assert "WARNING" in err
            said = True
        else:
            shown[name] = out
    asked = {
        "explorer": _explored,
        "schedule": _scheduled,
        "raw": _recordings,
        "sessions": _sessions,
        "windows": _windows,
    }
    for name, ask in asked.items():
        try:
            shown[name] = ask(path)
        except StoreError:
            said = True
    return shown, said


def _explored(path: Path) -> Any:
    _, document = everything(path)
    if document["damage"]:
        raise StoreError("said in the document")
    found = {k: v for k, v in document.items() if k != "licences"}
    return json.dumps(found, sort_keys=True, default=str).replace(path.name, "")


def _scheduled(path: Path) -> Any:
    with Store(path, readonly=True) as store:
        return store.tried("study", PROTOCOL), store.rounds("study", PROTOCOL, "machine")


def _recordings(path: Path) -> list[tuple[Trial, Raw | None]]:
    with Store(path, readonly=True) as store:
        return [(t, store.raw(t.uid)) for t in store.trials(rounds="all")]


def _windows(path: Path) -> list[StoredWindow]:
    with Store(path, readonly=True) as store:
        return list(store.windows())


def _sessions(path: Path) -> list[MachineSession]:
    with Store(path, readonly=True) as store:
        return store.sessions()


@pytest.mark.campaign
def test_a_flipped_bit_anywhere_changes_no_figure_unsaid(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = sound.read_bytes()
    before, damaged = _shown(sound, capsys)
    assert not damaged
    assert len(before) == 10
    luck = random.Random(20)
    first = [luck.randrange(4096 * 8) for _ in range(FLIPS // 5)]  # header and schema
    places = first + [luck.randrange(len(image) * 8) for _ in range(FLIPS - len(first))]
    path = tmp_path / "flipped.db"
    said = 0
    for place in places:
        flipped = bytearray(image)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        shown, damaged = _shown(path, capsys)
        for name, found in shown.items():
            assert found == before[name], (place, name)
        assert damaged or len(shown) == len(before), place
        said += damaged
    print(f"{len(places)} flips: {said} said, in {len(places) - said} nothing changed")
    assert 0 < said < len(places)


@pytest.mark.campaign
def test_a_flipped_bit_in_the_log_loses_no_trial_unsaid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log of trials that a reader kept from the file, as a killed writer leaves it."""
    monkeypatch.setattr("permille.store.trials.checkpoint", lambda db: None)
    written = tmp_path / "written.db"
    trials = [trial(float(i + 1), repeat=i) for i in range(12)]
    with Store(written) as store:
        for one in trials:
            store.add(one, _raw())
        main, log = written.read_bytes(), log_of(written).read_bytes()
    luck = random.Random(21)
    path = tmp_path / "flipped.db"
    said = 0
    places = [8 * i + i % 8 for i in range(56)] + [
        luck.randrange(8 * len(log)) for _ in range(LOG_FLIPS)
    ]
    for place in places:
        flipped = bytearray(log)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(main)
        log_of(path).write_bytes(flipped)
        try:
            with Store(path, readonly=True) as store:
                assert list(store.trials()) == trials, place
        except StoreError:
            assert "log" in check(path).problems[0]
            said += 1
        assert log_of(path).read_bytes() == flipped  # nobody threw it away
        log_of(path).unlink()
        path.with_name(path.name + "-shm").unlink(missing_ok=True)
    assert said > len(places) // 2


def test_every_acknowledged_trial_is_in_the_file_itself(tmp_path: Path) -> None:
    path, copy = tmp_path / "s.db", tmp_path / "copy.db"
    with Store(path) as store:
        for i in range(5):
            store.add(trial(float(i + 1), repeat=i), _raw())
            shutil.copyfile(path, copy)  # alone, without its log
            with Store(copy, readonly=True) as reader:
                assert len(list(reader.trials())) == i + 1


def test_a_store_whose_tables_are_all_in_a_log_that_is_missing_is_said(tmp_path: Path) -> None:
    """As permille left it until 0.1: killed before its first checkpoint."""
    import sqlite3

    from permille.store.schema import create

    path, copy = tmp_path / "s.db", tmp_path / "copy.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    create(db, to=3)
    shutil.copyfile(path, copy)
    before = copy.read_bytes()
    for readonly in (True, False):
        with pytest.raises(StoreError, match=r"log copy\.db-wal"):
            Store(copy, readonly=readonly)
    assert copy.read_bytes() == before
    db.close()


@pytest.mark.parametrize("index", ["trial_by_study", "sqlite_autoindex_trial_1"])
def test_an_index_that_hides_trials_is_seen(tmp_path: Path, index: str) -> None:
    import sqlite3

    path = tmp_path / "s.db"
    trials = [trial(float(i + 1), repeat=i) for i in range(9)]
    with Store(path) as store:
        store.add_many((one, None) for one in trials)
    with sqlite3.connect(path) as db:
        (root,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (index,)
        ).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    db.close()
    content = bytearray(path.read_bytes())
    at = (root - 1) * size + 3
    content[at : at + 2] = (5).to_bytes(2, "big")  # cells of its page: 5 of 9
    path.write_bytes(content)
    damage: list[str] = []
    with Store(path, readonly=True, damage=damage) as store:
        ((group, *_),) = store._rows.groups()
        assert store.of_group(group) == trials
        assert [store.trial(one.uid) for one in trials] == trials
    with pytest.raises(StoreError, match="damaged"):
        Store(path)
