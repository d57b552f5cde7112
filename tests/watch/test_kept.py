"""A watch in the store: read back as its lines, apart from the trials, and damage never silent."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from permille.carbon.settings import resolve
from permille.errors import StoreError, UsageError
from permille.records.energy import Boundary
from permille.store import Store, StoredWindow
from permille.store.merge import merge
from permille.store.repair import check, repair
from permille.store.schema import SCHEMA_VERSION, create
from permille.watch.kept import KeptWatch, WatchHead, WatchKeeper, kept_watches
from permille.watch.outlets import store_file
from tests.conftest import Permille
from tests.records import trial
from tests.watch.test_ledger import CARBON, lines, served, step

HEAD = WatchHead(
    started="2026-01-01T00:00:00+00:00", metrics="http://h:8000/metrics", server="vllm"
)
STEPS = [
    step(100.0, served(1, 100)),
    step(300.0, None),
    step(100.0, served(4, 400)),
    step(None, served(1, 100)),
    step(50.0, None, lost=True),
]


@pytest.fixture
def keep(tmp_path: Path) -> Path:
    """A store with a trial and a watch."""
    path = tmp_path / "watch.db"
    with Store(path) as store:
        store.add(trial())
        keeper = WatchKeeper(store, HEAD)
        assert [keeper.add(each) for each in STEPS] == [None] * len(STEPS)
    return path


def watches(path: Path, boundary: Boundary = "compute") -> tuple[list[KeptWatch], list[str]]:
    damage: list[str] = []
    with Store(path, readonly=True, damage=damage) as store:
        return list(kept_watches(store, boundary, CARBON, damage.append)), damage


def test_it_is_read_back_as_the_lines_that_were_printed(keep: Path) -> None:
    (kept,), damage = watches(keep)
    assert damage == []
    assert (kept.head, kept.missing) == (HEAD, 0)
    assert [msgspec.structs.replace(line, watch=None) for line in kept.lines] == lines(*STEPS)
    assert {line.watch for line in kept.lines} == {kept.id}
    assert kept.id.startswith("20260101T000000-")


def test_boundary_and_carbon_are_chosen_when_it_is_read(keep: Path) -> None:
    with Store(keep, readonly=True) as store:
        dirty = resolve(intensity=720.0, pue=2.0)
        (kept,) = kept_watches(store, "facility", dirty, pytest.fail)
        (grams,) = (w.lines[0] for w in kept_watches(store, "compute", dirty, pytest.fail))
    assert kept.lines[0].energy_j is not None
    assert kept.lines[0].energy_j.value == 200.0
    printed = lines(*STEPS)[0].co2e_g_per_1000
    assert printed is not None
    assert printed.value is not None
    assert grams.co2e_g_per_1000 is not None
    assert grams.co2e_g_per_1000.value == pytest.approx(4 * printed.value)


def test_a_watch_is_in_no_table_of_trials(permille: Permille, tmp_path: Path) -> None:
    path = tmp_path / "only.db"
    with Store(path) as store:
        WatchKeeper(store, HEAD).add(STEPS[0])
    assert permille("results", "--store", str(path), "--json").json["rows"] == []
    report = permille("watch", "--report", "--store", str(path)).out
    assert "vllm, http://h:8000/metrics, 2026-01-01T00:00:00 to" in report
    assert "1 J" in report
    line = permille("watch", "--report", "--store", str(path), "--json-lines").json
    assert line["j_per_token"]["value"] == 1.0
    ignored = permille("watch", "--report", "--store", str(path), "--serve", "9464", code=2)
    assert "--serve: for a watch; --report reads those that are kept" in ignored.err


def test_the_counts_of_a_window_after_missing_ones_are_in_no_figure(tmp_path: Path) -> None:
    path = tmp_path / "gap.db"
    with Store(path) as store:
        store.put_windows(
            StoredWindow("w", number, msgspec.json.encode(each))
            for number, each in enumerate(STEPS[:3], start=1)
            if number != 2
        )
    (kept,), damage = watches(path)
    assert (kept.head, kept.missing, damage) == (None, 1, [])
    assert kept.lines[1].j_per_token is None
    assert "missing from the store" in kept.lines[1].notes[0]
    assert kept.lines[1].total.left_out_s == 10.0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE watch SET body = replace(body, '\"seconds\":10.0', '\"seconds\":90.0')"
        " WHERE number = 3",
        "UPDATE watch SET number = 9 WHERE number = 3",
        "DELETE FROM watch WHERE number = 3",
        "DELETE FROM totals WHERE name = 'watch'",
        "UPDATE watch SET seal = 'x' WHERE number = 3",
    ],
)
def test_damage_is_reported_and_the_rest_is_read(keep: Path, statement: str) -> None:
    with sqlite3.connect(keep) as db:
        db.execute(statement)
    db.close()
    (kept,), damage = watches(keep)
    assert damage
    assert len(kept.lines) >= 4
    with Store(keep, readonly=True) as store, pytest.raises(StoreError, match="watch"):
        list(kept_watches(store, "compute", CARBON, pytest.fail))
    assert check(keep).problems


def test_a_full_disk_does_not_end_it_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "full.db"
    with Store(path) as store:
        keeper = WatchKeeper(store, HEAD)
        keeper.add(STEPS[0])
        db = store._db
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
        long = msgspec.structs.replace(STEPS[1], notes=("x" * 20_000,))
        remarks = [keeper.add(each) for each in (long, *STEPS[2:])]
        assert remarks[0] is not None
        assert "the watch goes on, but is not kept" in remarks[0]
        assert remarks[1:] == [None, None, None]
        db.execute("PRAGMA max_page_count = 100000")
        assert keeper.add(STEPS[4]) == "the watch is kept again, with what was waiting"
    (kept,), damage = watches(path)
    assert (len(kept.lines), kept.missing, damage) == (6, 0, [])


def test_merge_and_repair_take_it_along(keep: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.db"
    assert merge(out, [keep]).problems == ()
    assert merge(out, [keep]).problems == ()
    assert watches(out) == watches(keep)
    with sqlite3.connect(keep) as db:
        db.execute("UPDATE watch SET seal = 0 WHERE number = 2")
    db.close()
    assert any("window 2 of watch" in line for line in repair(keep).problems)
    (mended,), damage = watches(keep)
    assert (len(mended.lines), mended.missing, damage) == (len(STEPS) - 1, 1, [])
    assert check(keep).problems == ()


def test_a_store_of_the_schema_before_takes_one(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as db:
        create(db, to=5)
    db.close()
    assert watches(path) == ([], [])
    assert check(path).problems == ()
    with Store(path) as store:
        WatchKeeper(store, HEAD).add(STEPS[0])
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    db.close()
    assert len(watches(path)[0]) == 1


@pytest.mark.parametrize("address", ["s3://bucket/a.db", "gs://b/a.db", "https://host/a.db"])
def test_an_address_is_no_file(address: str) -> None:
    with pytest.raises(UsageError, match="keeps its windows in a file"):
        store_file(Path(address))


@pytest.mark.parametrize("path", ["a.db", "/runs/at 10:/a.db", "runs/s3:/a.db"])
def test_a_folder_whose_name_ends_in_a_colon_is_no_address(path: str) -> None:
    assert store_file(Path(path)) == Path(path)
