"""The paper's archive, imported once, and reproduce, audit and parity as a user runs them."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from permille.analysis.paper.printed import TABLE_2, TABLE_3
from permille.cli import dispatch
from permille.errors import CompareError, StoreError, UsageError
from permille.importers.power_hungry.importer import STUDY
from permille.records.trial import Trial
from permille.store import Store
from tests.records import trial
from tests.shared import shared

pytestmark = pytest.mark.slow


def said(capsys: pytest.CaptureFixture[str], *argv: object) -> dict[str, Any]:
    assert dispatch([*map(str, argv), "--json"]) == 0
    payload: dict[str, Any] = json.loads(capsys.readouterr().out)
    return payload


def printed(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    assert dispatch([*map(str, argv)]) == 0
    return capsys.readouterr().out


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.db"
    with Store(path) as store:
        for i in range(3):
            store.add(trial(36.0 + i, repeat=i))
    return path


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = shared("power_hungry_2023/raw.tar.xz")
    path = tmp_path_factory.mktemp("study") / "study.db"
    words = ["import", "power-hungry-2023", str(archive), "--store", str(path), "--json"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert dispatch(words) == 0
    assert json.loads(out.getvalue())["bad_count"] == 0
    return path


@pytest.fixture(scope="module")
def real(imported: Path) -> list[Trial]:
    with Store(imported, readonly=True) as store:
        return list(store.trials())


# --- the import ------------------------------------------------------------------------------


def test_the_real_archive_holds_the_papers_set(real: list[Trial]) -> None:
    paper = [t for t in real if t.study == STUDY]
    assert len(real) == 6513
    assert len(paper) == 3120
    cells = Counter(t.cell.id for t in paper)
    assert len(cells) == 312
    assert set(cells.values()) == {10}
    assert len({t.cell.model for t in paper}) == 88
    assert len({t.cell.task for t in paper}) == 10
    assert len({t.environment.fingerprint for t in paper}) == 1
    assert all(t.facts.params for t in paper)
    logged = [t for t in paper if any(n.startswith("logged as") for n in t.notes)]
    assert len(logged) == 30
    assert sum(t.quality is not None for t in paper) == 144 * 10


def test_the_real_archive_agrees_with_the_tidied_table(real: list[Trial]) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = shared("power_hungry_2023/runs.parquet")
    rows = duckdb.sql(
        "select run_id, in_paper_set, energy_kwh, gpu_kwh, duration_s, model, num_parameters"
        f" from '{path}'"
    ).fetchall()
    ours = {t.uid.partition(":")[2]: t for t in real}
    assert len(rows) == len(ours) == 6513
    for run_id, in_paper, kwh, gpu_kwh, seconds, model, params in rows:
        trial = ours[run_id]
        query = trial.phases["query"]
        joules = {name: d.energy_j for name, d in query.domains.items()}
        assert (trial.study == STUDY) == in_paper
        assert sum(joules.values()) == pytest.approx(kwh * 3.6e6, rel=1e-9)
        gpu_j = joules["gpu:active"] + joules["gpu:idle"]
        assert gpu_j == pytest.approx(gpu_kwh * 3.6e6, rel=1e-9)
        assert query.seconds == pytest.approx(seconds, rel=1e-9)
        if in_paper:
            assert (trial.cell.model, trial.facts.params) == (model, params)


# --- reproduce -------------------------------------------------------------------------------


def test_reproduce_has_the_documented_shape(capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "reproduce")
    assert set(found) == {"schema", "table2", "table3", "table4", "table5", "claims"}
    keys = {"task", "published_kwh", "published_sd", "kwh", "sd", "matches"}
    assert keys <= set(found["table2"][0])
    keys = {"model", "published_kwh", "published_co2e_g", "kwh", "co2e_g", "matches"}
    assert keys <= set(found["table3"][0])
    assert {"model", "published", "from_rounded", "from_data"} <= set(found["table5"][0])
    assert {"claim", "published", "found", "note"} <= set(found["claims"][0])


@pytest.mark.parametrize("table", ["2", "3", "4", "5", "claims"])
def test_one_table_alone(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    key = table if table == "claims" else f"table{table}"
    assert set(said(capsys, "reproduce", "--table", table)) == {"schema", key}
    assert len(printed(capsys, "reproduce", "--table", table)) > 50


def test_the_tables_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "reproduce")
    for text in ("Table 2", "2.90718", "Flan-T5-xxl", "395,602,740", "28,879", "gpu_energy alone"):
        assert text in out


def test_a_store_made_by_the_import_gives_the_same(
    imported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = said(capsys, "reproduce", "--from", imported)
    shipped = said(capsys, "reproduce")
    assert [r["task"] for r in ours["table2"] if r["matches"]] == list(TABLE_2)
    assert [r["model"] for r in ours["table3"] if r["matches"]] == list(TABLE_3)
    for table, keys in {
        "table2": ("kwh", "sd", "sd_over_models"),
        "table3": ("kwh", "co2e_g"),
        "table5": ("from_data",),
        "claims": ("found", "matches"),
    }.items():
        for a, b in zip(ours[table], shipped[table], strict=True):
            for key in keys:
                expected = None if b[key] is None else pytest.approx(b[key], rel=1e-9)
                assert a[key] == expected, (table, key)


def test_the_shipped_table_is_what_the_script_makes_of_the_import(
    imported: Path, tmp_path: Path
) -> None:
    root = Path(__file__).parents[2]
    script = root / "scripts" / "build_study_table.py"
    subprocess.run([sys.executable, script, imported, "--to", tmp_path], check=True)
    for name in ("power_hungry_2023.csv", "power_hungry_2023.json"):
        shipped = root / "src" / "permille" / "data" / name
        assert (tmp_path / name).read_bytes() == shipped.read_bytes()


def test_a_store_without_the_study_is_refused(small: Path) -> None:
    with pytest.raises(StoreError, match="does not contain the study"):
        dispatch(["reproduce", "--from", str(small)])


# --- audit -----------------------------------------------------------------------------------


def test_audit_has_the_documented_shape(capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "audit", "--pue", "1.3")
    assert set(found["shares"]) == {"cpu", "ram", "idle_gpus", "active_gpu"}
    assert {"duration_correlation", "tasks", "general_to_specific"} <= set(found)
    assert set(found["tasks"][0]) >= {"task", "boundary", "kwh_per_1000"}
    row = found["general_to_specific"][0]
    assert {"task", "boundary", "ratio", "at_equal_size"} <= set(row)
    assert {"value", "low", "high", "overlap_warning"} <= set(row["at_equal_size"])


def test_the_audit_as_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "audit")
    for text in (
        "idle GPUs",
        "33.1 %",
        "Kendall tau 0.867",
        "little overlap",
        "proportional to duration",
    ):
        assert text in out


def test_the_audit_of_an_import_is_that_of_the_shipped_figures(
    imported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = said(capsys, "audit", "--from", imported, "--study", "power-hungry-2023")
    shipped = said(capsys, "audit")
    assert ours["shares"] == pytest.approx(shipped["shares"], rel=1e-9)
    assert ours["duration_correlation"] == pytest.approx(shipped["duration_correlation"])


def test_an_audit_of_any_store(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "audit", "--from", small)
    assert found["studies"] == ["study"]
    assert found["shares"]["cpu"] == 1.0
    assert "too few cells" in printed(capsys, "audit", "--from", small)


def test_one_of_several_studies_has_to_be_named(small: Path) -> None:
    with Store(small) as store:
        store.add(trial(1.0, model="x", study="another"))
    with pytest.raises(UsageError, match="study, another"):
        dispatch(["audit", "--from", str(small)])
    with pytest.raises(UsageError, match="did you mean 'another'"):
        dispatch(["audit", "--from", str(small), "--study", "anather"])
    with pytest.raises(UsageError, match="--from"):
        dispatch(["audit", "--study", "another"])
    assert dispatch(["audit", "--from", str(small), "--study", "another", "--json"]) == 0


# --- parity ----------------------------------------------------------------------------------


def test_parity_has_the_documented_shape(capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "parity", "--per-day", "1e6")
    assert len(found["rows"]) == 4
    assert {"model", "training_kwh", "kwh_per_inference", "inferences"} <= set(found["rows"][0])
    assert set(found["rows"][0]["inferences"]) == {"value", "low", "high"}
    assert found["rows"][0]["days"]["value"] == pytest.approx(568.4, abs=0.1)


def test_parity_from_given_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = ("--training-kwh", "10505", "--inference-kwh", "5.4e-5")
    (row,) = said(capsys, "parity", *numbers, "--finetuning-kwh", "543")["rows"]
    assert int(row["inferences"]["value"]) == 204_592_592
    assert row["inferences"]["low"] is None
    (row,) = said(capsys, "parity", *numbers)["rows"]
    assert row["finetuning_kwh"] is None
    assert "not counted" in printed(capsys, "parity", *numbers)


def test_parity_writes_large_trainings_out(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = ("--training-kwh", "1287000", "--inference-kwh", "1e-4")
    assert "1,287,000 " in printed(capsys, "parity", *numbers)


def test_parity_of_a_model_of_a_store(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = said(capsys, "parity", "--from", small, "--model", "small", "--training-kwh", "1")[
        "rows"
    ]
    assert row["kwh_per_inference"] == pytest.approx(37.0 / 3.6e6 / 1000)
    assert row["inferences"]["low"] < row["inferences"]["value"] < row["inferences"]["high"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--inference-kwh", "1"], "goes with --training-kwh"),
        (["--finetuning-kwh", "1"], "goes with --training-kwh"),
        (["--training-kwh", "1"], "goes with --inference-kwh or --model"),
        (["--training-kwh", "0", "--inference-kwh", "1"], "not a positive number"),
        (
            ["--training-kwh", "2", "--inference-kwh", "1", "--pue", "2", "--study=x"],
            "--study, --pue: for the energy of stored inferences",
        ),
        (["--per-day", "nan"], "not a positive number"),
        (["--per-day", "many"], "'many' is not a number;"),
    ],
)
def test_parity_refuses_half_a_question(argv: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dispatch(["parity", *argv])


def test_parity_of_a_model_whose_training_is_not_known() -> None:
    with pytest.raises(CompareError, match="training energy of 'gpt2'"):
        dispatch(["parity", "--model", "gpt2"])


def test_parity_finds_a_model_by_a_part_of_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = said(capsys, "parity", "--model", "BLOOMz-560m")["rows"]
    assert row["model"] == "bigscience/bloomz-560m"
    with pytest.raises(CompareError, match="'bloomz' matches several models"):
        dispatch(["parity", "--model", "bloomz"])


def test_parity_of_a_store_without_the_studys_models_says_what_to_add(small: Path) -> None:
    with pytest.raises(UsageError, match="add --model NAME --training-kwh X"):
        dispatch(["parity", "--from", str(small)])
