from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from permille.cli import dispatch
from permille.errors import ImportDataError
from permille.store import Store
from tests.importers.codecarbon_files import file
from tests.shared import shared

pytestmark = pytest.mark.slow


def imported(capsys: pytest.CaptureFixture[str], *argv: object) -> dict[str, Any]:
    assert dispatch(["import", *map(str, argv), "--json"]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    path = tmp_path / "emissions.csv"
    path.write_text(file("3.3.2", {"run_id": "a"}, {"duration": "-1"}, {"run_id": "b"}))
    return path


def test_the_report(tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "s.db"
    first = imported(capsys, "codecarbon", runs, "--store", store)
    assert first == {
        "schema": 1,
        "format": "codecarbon",
        "files": 1,
        "rows": 3,
        "trials": {"new": 2, "duplicate": 0},
        "bad": [{"file": "emissions.csv", "row": 3, "reason": "duration must be above 0, not -1"}],
        "bad_count": 1,
        "replaced": [],
        "replaced_count": 0,
    }
    again = imported(capsys, "codecarbon", runs, "--store", store)
    assert again["trials"] == {"new": 0, "duplicate": 2}


def test_what_the_user_says_of_the_runs(
    tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "s.db"
    imported(capsys, "codecarbon", runs, "--store", store, "--inferences", 50, "--study", "mine")
    with Store(store, readonly=True) as opened:
        trials = list(opened.trials(study="mine"))
    assert [t.phases["query"].inferences for t in trials] == [50, 50]


def test_what_is_known_stays_as_it_was_and_how_to_change_that_is_said(
    tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "s.db"
    imported(capsys, "codecarbon", runs, "--store", store)
    said = ["--store", str(store), "--inferences", "50"]
    assert dispatch(["import", "codecarbon", str(runs), *said]) == 0
    assert "name another --store" in capsys.readouterr().out
    with Store(store, readonly=True) as opened:
        assert {t.phases["query"].inferences for t in opened.trials()} == {None}


def test_the_page_for_people_names_what_was_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = tmp_path / "evil\x1b[31m[bold].csv"
    evil.write_text("nothing\n")
    good = tmp_path / "good.csv"
    good.write_text(file("3.0.0", {}))
    assert dispatch(["import", "codecarbon", str(tmp_path), "--store", str(tmp_path / "s.db")]) == 0
    out = capsys.readouterr().out
    assert "1 new trial, 0 already known" in out
    assert "skipped: 1" in out
    assert "[bold].csv, line 1: no column run_id" in out
    assert "\x1b" not in out


def test_a_source_that_breaks_off_keeps_what_came_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = file("3.0.0", *({"run_id": f"r{i}"} for i in range(6_000)))
    packed = lzma.compress(content.encode())
    path = tmp_path / "emissions.csv.xz"
    path.write_bytes(packed[: len(packed) // 2])
    store = tmp_path / "s.db"
    with pytest.raises(ImportDataError, match="everything before that was imported"):
        dispatch(["import", "codecarbon", str(path), "--store", str(store), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert "cannot be read to its end" in report["bad"][-1]["reason"]
    kept = report["trials"]["new"]
    assert kept > 100
    with Store(store, readonly=True) as opened:
        assert sum(1 for _ in opened.trials()) == kept


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["codecarbn", "x"], "did you mean 'codecarbon'"),
        (["codecarbon", "/nowhere/at/all"], "there is no file or folder"),
    ],
)
def test_mistakes_are_one_line(argv: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ImportDataError, match=message):
        dispatch(["import", *argv, "--store", str(tmp_path / "s.db")])


def test_nothing_to_import_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("")
    with pytest.raises(ImportDataError, match="nothing that codecarbon can import"):
        dispatch(["import", "codecarbon", str(tmp_path), "--store", str(tmp_path / "s.db")])


def test_the_raw_archive_as_codecarbon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = shared("power_hungry_2023/raw.tar.xz")
    report = imported(capsys, "codecarbon", archive, "--store", tmp_path / "s.db")
    assert report["trials"]["new"] == 6513
    assert report["trials"]["duplicate"] == 4136  # the complete files list the same runs
    # Lengths, parameters and performance are no CodeCarbon; and 34 rows of the complete files
    # hold energies of three to six times their watts over their seconds.
    assert report["bad_count"] == 20 + 34


def test_rows_without_a_figure_for_one_reason_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A leaderboard of GPUs alone, within a boundary that it cannot fill."""
    store = tmp_path / "s.db"
    row = {"total_prompts": "10", "successful_prompts": "10", "total_duration_seconds": "5"}
    columns = ["model_name", "task", *row, "gpu_energy_wh", "wh_per_1000_queries"]
    lines = [",".join([f"m{i}", "chat", *row.values(), "2", "200"]) for i in range(10)]
    path = tmp_path / "master_results.csv"
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    imported(capsys, "ai-energy-score", path, "--store", store)
    assert dispatch(["results", "--store", str(store)]) == 0
    out = capsys.readouterr().out
    assert out.count("no figure") == 1
    assert "10 rows, first: m0 on ai-energy-score: no figure" in out
    assert "see --boundary accelerator" in out
