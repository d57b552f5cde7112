"""``permille export``: what other programs read is what permille holds."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from permille import plugins
from permille.cli import dispatch
from permille.errors import UsageError
from permille.records.energy import Phase, Problem
from permille.store import Store
from permille.units import joules_from_kwh
from tests.conftest import PATIENCE_S
from tests.records import ESTIMATED, joules, trial


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two trials with a GPU, one without, one whose GPU was lost and one that failed."""
    path = tmp_path / "permille.db"
    cpu, dram = joules(30.0), joules(6.0, "dram", provenance=ESTIMATED)
    domains = {"cpu:0": cpu, "dram:0": dram, "gpu:0": joules(200.0, "gpu")}
    whole = Phase(seconds=10.0, domains=domains, inferences=1000)
    lost = Phase(
        seconds=10.0, domains={"cpu:0": cpu}, inferences=1000,
        problems={"gpu:0": Problem(reason="it was lost", kind="gpu")},
    )  # fmt: skip
    with Store(path) as opened:
        for repeat in range(2):
            opened.add(trial(repeat=repeat, model="large", phases={"query": whole}))
        opened.add(trial(36.0, model="small"))
        opened.add(trial(1.0, model="lost", phases={"query": lost}))
        opened.add(trial(2.0, model="failed", status="failed", reason="it fell", phases={}))
    return path


def export(*arguments: str, store: Path) -> None:
    assert dispatch(["export", *arguments, "--store", str(store)]) == 0


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_parquet_holds_what_the_csv_does_each_column_of_its_type(
    store: Path, tmp_path: Path
) -> None:
    import duckdb

    export("csv", str(tmp_path / "r.csv"), store=store)
    export("parquet", str(tmp_path / "r.parquet"), store=store)
    found = duckdb.execute("SELECT * FROM read_parquet(?)", [str(tmp_path / "r.parquet")])
    types = {name: str(kind) for name, kind, *_ in found.description or ()}
    rows = [dict(zip(types, row, strict=True)) for row in found.fetchall()]
    assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows] == lines(
        tmp_path / "r.csv"
    )
    assert (types["model"], types["done"], types["net"]) == ("VARCHAR", "BIGINT", "BOOLEAN")
    assert types["quality"] == types["kwh_per_1000"] == "DOUBLE"  # of quality, none is known


def test_codecarbons_file_comes_back_as_the_same_energy(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "emissions.csv"
    export("codecarbon", str(file), "--region", "FRA", "--pue", "1.5", store=store)
    said = capsys.readouterr().err
    assert "1 trial is left out: gpu:0: it was lost" in said
    assert "3 rows are in" in said
    first, _, small = lines(file)
    assert (first["project_name"], first["country_iso_code"], first["inferences"]) == (
        "large",
        "FRA",
        "1000",
    )
    assert float(first["gpu_power"]) == pytest.approx(20.0)
    assert joules_from_kwh(float(first["gpu_energy"])) == pytest.approx(1.5 * 200.0)
    assert joules_from_kwh(float(first["energy_consumed"])) == pytest.approx(1.5 * 236.0)
    assert (small["gpu_energy"], small["gpu_power"], small["ram_energy"]) == ("", "", "")

    other = tmp_path / "other.db"
    arguments = ["import", "codecarbon", str(file), "--inferences", "1000", "--store", str(other)]
    assert dispatch([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bad"] == []
    with Store(other) as opened:
        back = {t.cell.model: t for t in opened.trials()}
        count = len(list(opened.trials()))
    assert count == 3
    domains = back["large"].phases["query"].domains
    assert {d.kind: d.energy_j for d in domains.values()} == pytest.approx(
        {"cpu": 30.0, "dram": 6.0, "gpu": 200.0}
    )
    assert back["large"].started == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("wanted", "models"),
    [
        ("BERT", {"BERT-x"}),
        ("bert", {"distilbert", "bert-y"}),
        ("bert-y", {"bert-y"}),
        ("Bert", {"BERT-x", "distilbert", "bert-y"}),
    ],
)
def test_a_part_of_a_models_name_is_first_of_its_own_case(
    tmp_path: Path, wanted: str, models: set[str]
) -> None:
    path, file = tmp_path / "names.db", tmp_path / "r.csv"
    with Store(path) as opened:
        for model in ("BERT-x", "distilbert", "bert-y"):
            opened.add(trial(model=model))
    export("csv", str(file), "--model", wanted, store=path)
    assert {line["model"] for line in lines(file)} == models


@pytest.mark.parametrize("arguments", [["--net"], ["--pool"], ["--model", "none such"]])
def test_codecarbons_file_is_refused_where_it_cannot_say_it(
    arguments: list[str], store: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError):
        export("codecarbon", str(tmp_path / "e.csv"), *arguments, store=store)
    assert not (tmp_path / "e.csv").exists()


def test_what_another_tool_did_not_say_is_empty(tmp_path: Path) -> None:
    path, file = tmp_path / "other.db", tmp_path / "e.csv"
    untimed = Phase(seconds=0.0, domains={"gpu": joules(5.0, "gpu")}, inferences=1)
    with Store(path) as opened:
        opened.add(trial(source="ml-energy", phases={"query": untimed}))
    export("codecarbon", str(file), store=path)
    (line,) = lines(file)
    assert {
        line[name] for name in ("gpu_power", "emissions_rate", "tracking_mode", "gpu_model")
    } == {""}
    assert joules_from_kwh(float(line["gpu_energy"])) == pytest.approx(5.0)


def test_energy_that_codecarbon_has_no_column_for_is_said(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export("codecarbon", str(tmp_path / "e.csv"), store=store)
    assert "energy_consumed alone" not in capsys.readouterr().err
    path, file = tmp_path / "wall.db", tmp_path / "wall.csv"
    whole = Phase(seconds=10.0, domains={"node": joules(500.0, "node")}, inferences=1000)
    with Store(path) as opened:
        opened.add(trial(phases={"query": whole}))
    export("codecarbon", str(file), "--boundary", "node", store=path)
    said = capsys.readouterr().err
    assert "1 line has energy of other parts, in energy_consumed alone" in said
    (line,) = lines(file)
    assert (line["cpu_energy"], line["gpu_energy"], line["ram_energy"]) == ("", "", "")
    assert joules_from_kwh(float(line["energy_consumed"])) == pytest.approx(500.0)


def test_a_place_that_nobody_named_is_no_country(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "e.csv"
    export("codecarbon", str(file), store=store)
    assert {(row["country_iso_code"], row["region"]) for row in lines(file)} == {("", "")}
    export("codecarbon", str(file), "--region", "US-CA", store=store)
    assert {(row["country_iso_code"], row["region"]) for row in lines(file)} == {("", "US-CA")}


def test_an_export_that_cannot_be_written_leaves_what_was_there(
    store: Path, tmp_path: Path
) -> None:
    for file in (tmp_path / "absent" / "r.csv", tmp_path / "folder"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        with pytest.raises(UsageError, match="cannot write"):
            export("csv", str(file), store=store)
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".part" or p.name == "absent"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("absent", "arguments", "extra"),
    [
        ("duckdb", ["export", "parquet", "r.parquet"], "parquet"),
        ("prometheus_client", ["export", "prometheus", "r.prom"], "watch"),
        ("jinja2", ["export", "html", "r.html"], "explorer"),
        ("markupsafe", ["export", "html", "r.html"], "explorer"),
        ("uvicorn", ["explore", "--no-open"], "explorer"),
        ("starlette", ["explore", "--no-open"], "explorer"),
        ("duckdb", ["explore", "--no-open"], "explorer"),
    ],
)
def test_in_a_core_install_a_missing_extra_is_one_line(
    store: Path,
    environment: dict[str, str],
    tmp_path: Path,
    absent: str,
    arguments: list[str],
    extra: str,
) -> None:
    program = f"import sys; sys.modules[{absent!r}] = None; from permille.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments, "--store", str(store)],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert f"needs {absent}" in line
    assert f"pip install 'permille[{extra}]'" in line


@pytest.mark.parametrize(
    "arguments",
    [["--model", "large"], ["--intensity", "0"], ["--pool"], ["--net"], ["--live"]],
)
def test_the_page_takes_no_question(arguments: list[str], store: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose them in the page"):
        export("html", str(tmp_path / "f.html"), *arguments, store=store)


def test_every_format_is_a_plug_in(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        dispatch(["export", "--help"])
    shown = capsys.readouterr().out
    for name in ("csv", "parquet", "json", "html", "codecarbon", "model-card"):
        assert name in plugins.names("exporters")
        assert name in shown
        assert callable(plugins.load("exporters", name).export)


def test_an_unknown_format_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no 'cvs'; did you mean 'csv'"):
        dispatch(["export", "cvs", "x"])
