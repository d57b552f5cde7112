"""``permille export boamps`` and ``permille import boamps``: Boavizta's schema accepts the report,
and importing it gives the same figures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from referencing import Registry, Resource

from permille import plugins
from permille.analysis.boundaries import Bounded, within
from permille.carbon.settings import resolve
from permille.cli import dispatch
from permille.errors import ImportDataError, UsageError
from permille.exporters import boamps
from permille.exporters.boamps_hardware import place
from permille.records.answers import Quality
from permille.records.energy import Phase
from permille.records.machine import Environment
from permille.records.recording import Provenance
from permille.store import Store
from permille.units import joules_from_kwh, kwh_from_joules
from tests.records import cell, joules, trial
from tests.shared import shared

HOSTILE = 'evil"\x1b[2J\n{"a":'
MACHINE = Environment(
    fingerprint="machine",
    facts={"system": "Linux 6.1", "cpu": "A CPU", "memory_gib": "16", "python": "3.11.2",
           "permille": "0.1.0", "onnxruntime": "1.2.3"},
)  # fmt: skip


def add(store: Path, model: str = "small", *, spread_j: float = 1.0, **changed: Any) -> None:
    """Three trials with an idle phase, of a CPU with its memory."""
    score = Quality(metric="accuracy", value=0.8, n=150)
    with Store(store) as opened:
        for repeat in range(3):
            energy_j = 36.0 + spread_j * repeat
            domains = {
                "cpu:0": joules(energy_j, accuracy_low=0.02, accuracy_high=0.03, edge_j=0.1),
                "dram:0": joules(4.0, "dram"),
                "gpu:1": joules(5.0, "gpu", in_use=False),
            }
            idle = {name: joules(one.energy_j / 4, one.kind) for name, one in domains.items()}
            idle["gpu:1"] = joules(5.0, "gpu", in_use=False)
            phases = {
                "idle": Phase(seconds=5.0, domains=idle),
                "query": Phase(seconds=10.0, domains=domains, inferences=1000 + repeat),
            }
            opened.add(
                trial(model=model, uid=f"{model}{repeat}", repeat=repeat, phases=phases,
                      environment=MACHINE, quality=score, session="s1", block=repeat, **changed)
            )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Path:
    add(tmp_path / "permille.db")
    return tmp_path / "permille.db"


def export(store: Path, *options: str) -> dict[str, Any]:
    file = store.parent / "report.json"
    assert dispatch(["export", "boamps", str(file), *options, "--store", str(store)]) == 0
    report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return report


def imported(report: Any, folder: Path, *options: str) -> Path:
    """The store that holds the report alone."""
    file, store = folder / "in.json", folder / "again.db"
    file.write_text(json.dumps(report))
    assert dispatch(["import", "boamps", str(file), *options, "--store", str(store)]) == 0
    return store


def row_of(store: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    capsys.readouterr()
    assert dispatch(["results", "--json", *options, "--store", str(store)]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert isinstance(row, dict)
    return row


def valid(report: Any) -> None:
    """Raises unless Boavizta's schemas accept the report."""
    from jsonschema import Draft4Validator

    folder = shared("boamps")
    schemas = [json.loads(path.read_text()) for path in sorted(folder.glob("*_schema.json"))]
    registry: Registry[Any] = Registry().with_resources(
        [(schema["id"], Resource.from_contents(schema)) for schema in schemas]
    )
    (root,) = (schema for schema in schemas if schema["title"] == "report")
    Draft4Validator(root, registry=registry).validate(report)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--region", "FRA"), ("--boundary", "node")])
def test_boaviztas_schema_accepts_the_report(store: Path, options: tuple[str, ...]) -> None:
    valid(export(store, *options))


def test_the_report_has_every_known_field(store: Path) -> None:
    report = export(store, "--region", "FRA")
    assert report["task"]["taskStage"] == "inference"
    assert report["task"]["taskFamily"] == "textClassification"
    assert report["task"]["nbRequest"] == 3003
    assert report["task"]["measuredAccuracy"] == pytest.approx(0.8)
    (measure,) = report["measures"]
    # Three queries of a CPU (36 to 38 J) with its memory (4 J); the idle GPU is not in compute.
    assert measure == {
        "measurementMethod": "permille",
        "version": "0.1.0",
        "cpuTrackingMode": "rapl",
        "powerConsumption": pytest.approx(kwh_from_joules(36 + 37 + 38 + 3 * 4)),
        "measurementDuration": 30.0,
        "measurementDateTime": "2026-01-01 00:00:00",
        "powerCalibrationMeasurement": pytest.approx(kwh_from_joules((36 + 37 + 38 + 12) / 4)),
        "durationCalibrationMeasurement": 15.0,
    }
    assert report["system"] == {"os": "Linux 6.1"}
    assert report["software"] == {"language": "python", "version": "3.11.2"}
    assert report["infrastructure"]["components"] == [
        {"componentType": "cpu", "nbComponent": 1, "componentName": "A CPU"},
        {"componentType": "ram", "nbComponent": 1, "memorySize": pytest.approx(17.18, abs=0.01)},
    ]
    assert report["environment"]["country"] == "France"
    assert report["environment"]["powerSourceCarbonIntensity"] > 0
    assert report["quality"] == "high"
    assert "publisher" not in report["header"]


@pytest.mark.parametrize("boundary", ["accelerator", "compute", "node"])
@pytest.mark.parametrize("net", [(), ("--net",)])
def test_an_imported_report_gives_the_same_figure_and_interval(
    store: Path, boundary: str, net: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    again = imported(export(store, "--boundary", boundary), store.parent)
    options = ("--boundary", boundary, *net)
    was, now = (row_of(one, capsys, *options) for one in (store, again))
    for name in ("kwh_per_1000", "net_kwh_per_1000", "provenance", "model", "dataset", "task"):
        assert now[name] == was[name]
    assert now["kwh_per_1000"]["low"] < now["kwh_per_1000"]["value"] < now["kwh_per_1000"]["high"]
    assert now["source"] == "boamps"


def test_a_narrower_boundary_is_never_read_as_a_wider_one(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = imported(export(store, "--boundary", "accelerator"), store.parent)
    for wider in ("compute", "node"):
        row = row_of(again, capsys, "--boundary", wider)
        assert row["kwh_per_1000"]["value"] is None
        assert "accelerator alone" in row["problem"]


@pytest.mark.parametrize(
    ("spread_j", "quality"), [(1.0, "high"), (2.0, "medium"), (6.0, "low"), (14.0, None)]
)
def test_the_quality_is_the_width_of_the_interval(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spread_j: float,
    quality: str | None,
) -> None:
    add(tmp_path / "permille.db", spread_j=spread_j)
    assert export(tmp_path / "permille.db").get("quality") == quality
    assert ("no quality" in capsys.readouterr().err) == (quality is None)


@pytest.mark.parametrize(
    ("zone", "country", "location"),
    [
        ("DE", "Germany", None),
        ("FR-COR", "France", "Corsica"),
        ("CA-QC", "Canada", "Québec"),
        ("ZZ-NEW", None, None),
    ],
)
def test_the_place_of_a_live_figure(zone: str, country: str | None, location: str | None) -> None:
    live = {"region": zone, "name": zone, "kind": "live"}
    environment = place(msgspec.structs.replace(resolve(intensity=302.0), **live)) or {}
    assert environment.get("country") == country
    assert environment.get("location") == location


@pytest.mark.parametrize(
    ("task", "kinds"),
    [
        ("text-classification", ["text", "text"]),
        ("text-to-video", ["text", "video"]),
        ("feature-extraction", ["text", "other"]),
        ("of a plug-in", ["other", "other"]),
    ],
)
def test_the_kinds_of_data_of_a_task(tmp_path: Path, task: str, kinds: list[str]) -> None:
    add(tmp_path / "permille.db", cell=cell(task=task))
    report = export(tmp_path / "permille.db")
    assert [data["dataType"] for data in report["task"]["dataset"]] == kinds


def test_every_built_in_task_has_its_kinds_of_data() -> None:
    assert set(plugins.names("tasks")) <= set(boamps._DATA)


def test_a_time_beyond_the_calendar_is_left_out(tmp_path: Path) -> None:
    path, file = tmp_path / "permille.db", tmp_path / "report.json"
    add(path, started="0001-01-01T00:00:00+14:00")
    assert dispatch(["export", "boamps", str(file), "--store", str(path)]) == 0
    (measure,) = json.loads(file.read_text())["measures"]
    assert "measurementDateTime" not in measure


def test_a_hostile_name_is_one_string(tmp_path: Path) -> None:
    add(tmp_path / "permille.db", HOSTILE)
    report = export(tmp_path / "permille.db")
    assert report["task"]["algorithms"][0]["algorithmName"] == 'evil" [2J {"a":'
    assert "\\u001b" not in (tmp_path / "report.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--net",), "remove --net"),
        (("--boundary", "facility"), "--boundary node"),
        (("--dataset", "other"), "no interval"),
        ((), "has 2 figures"),
    ],
)
def test_what_a_report_cannot_hold_is_refused(
    store: Path, options: tuple[str, ...], message: str
) -> None:
    with Store(store) as opened:
        opened.add(trial(1.0, uid="once", cell=cell("small", id="other", dataset="other")))
    with pytest.raises(UsageError, match=message):
        export(store, *options)
    assert not (store.parent / "report.json").exists()


def test_gpus_are_named_as_their_meters_name_them(tmp_path: Path) -> None:
    devices = "gpu:0: NVIDIA A, gpu:1: NVIDIA B, gpu:2: NVIDIA A, cpu:0: a CPU"
    machine = Environment(fingerprint="gpus", facts={"devices": devices})
    domains = {f"gpu:{n}": joules(500.0, "gpu", meter="nvml") for n in range(3)}
    phases = {"query": Phase(seconds=10.0, domains=domains, inferences=1000)}
    with Store(tmp_path / "permille.db") as opened:
        for repeat in range(2):
            opened.add(
                trial(uid=f"g{repeat}", repeat=repeat, phases=phases, environment=machine,
                      device="cuda:0")
            )  # fmt: skip
    report = export(tmp_path / "permille.db")
    assert report["measures"][0]["gpuTrackingMode"] == "nvml"
    assert report["infrastructure"]["components"][1:] == [
        {"componentType": "gpu", "nbComponent": 2, "componentName": "NVIDIA A"},
        {"componentType": "gpu", "nbComponent": 1, "componentName": "NVIDIA B"},
    ]


def test_the_language_of_another_tool_is_not_known(store: Path, tmp_path: Path) -> None:
    assert export(store)["software"] == {"language": "python", "version": "3.11.2"}
    machine = Environment(fingerprint="wall", facts={"system": "a board"})
    with Store(tmp_path / "others.db") as opened:
        for repeat in range(2):
            opened.add(
                trial(uid=f"m{repeat}", repeat=repeat, source="mlperf-power", environment=machine)
            )
    assert "software" not in export(tmp_path / "others.db")


def test_the_trials_notes_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(tmp_path / "permille.db", notes=("concurrent runs were allowed",))
    again = imported(export(tmp_path / "permille.db"), tmp_path)
    assert "concurrent runs were allowed" in row_of(again, capsys)["notes"]


def test_shipped_figures_without_trials_are_refused(store: Path) -> None:
    shipped = ("--study", "power-hungry-2023", "--dataset", "IMDB", "--boundary", "node")
    with pytest.raises(UsageError, match="no trials in the store"):
        export(store, *shipped, "--model", "distilbert-base-uncased-finetuned-sst-2-english")


# --- importing others' reports ---------------------------------------------------------------


def test_boaviztas_own_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = json.loads((shared("boamps") / "example-llm-inference.json").read_text())
    store = imported(example, tmp_path)
    row = row_of(store, capsys, "--boundary", "node")
    assert row["model"] == "llama2-13b"
    assert row["params"] == 13_000_000_000
    assert row["provenance"] == "estimated"
    assert row["kwh_per_1000"]["value"] == pytest.approx(0.00267074 * 1000)
    assert any("rates the report's quality high (±10 %)" in note for note in row["notes"])
    assert row_of(store, capsys)["kwh_per_1000"]["value"] is None  # which devices is not known


OTHERS: dict[str, Any] = {
    "task": {
        "taskStage": "inference",
        "taskFamily": "textGeneration",
        "nbRequest": 10,
        "algorithms": [{"foundationModelName": "a-model", "framework": "vllm"}],
        "dataset": [{"dataUsage": "input", "dataType": "text"}],
    },
    "measures": [
        {
            "measurementMethod": "wattmeter",
            "powerConsumption": 0.001,
            "measurementDuration": 30.0,
            "powerCalibrationMeasurement": 0.0001,
            "durationCalibrationMeasurement": 10.0,
        }
    ],
    "infrastructure": {
        "infraType": "onPremise",
        "components": [{"componentType": "gpu", "nbComponent": 2, "componentName": "A GPU"}],
    },
    "quality": "high",
}


def changed(**parts: dict[str, Any]) -> dict[str, Any]:
    """The report of a wattmeter with other parts: ``task``, and ``measure`` of the only one."""
    return {
        **OTHERS,
        "task": OTHERS["task"] | parts.get("task", {}),
        "measures": [OTHERS["measures"][0] | parts.get("measure", {})],
    }


def test_a_wattmeter_measures_the_node_and_its_idle(tmp_path: Path) -> None:
    valid_store = imported(OTHERS, tmp_path)
    with Store(valid_store, readonly=True) as opened:
        (one,) = opened.trials()
    assert (one.cell.task, one.cell.model, one.cell.backend) == (
        "text-generation", "a-model", "vllm",
    )  # fmt: skip
    energy = within(one.phases["query"], "node")
    assert isinstance(energy, Bounded)
    assert energy.energy_j == pytest.approx(joules_from_kwh(0.001))
    assert energy.provenance is Provenance.MEASURED
    assert energy.high_j == pytest.approx(0.1 * energy.energy_j)
    assert one.phases["idle"].seconds == 10.0
    assert one.device == "2 x A GPU"


def test_without_a_number_of_requests_it_must_be_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = row_of(imported(changed(task={"nbRequest": 0}), tmp_path), capsys, "--boundary", "node")
    assert "import --inferences N" in row["problem"]
    (tmp_path / "again.db").unlink()
    store = imported(changed(task={"nbRequest": 0}), tmp_path, "--inferences", "10")
    row = row_of(store, capsys, "--boundary", "node")
    assert row["kwh_per_1000"]["value"] == pytest.approx(0.1)


def other_energy(report: dict[str, Any]) -> None:
    report["measures"][0]["powerConsumption"] *= 2


def other_requests(report: dict[str, Any]) -> None:
    report["task"]["nbRequest"] += 1


def negative(report: dict[str, Any]) -> None:
    report["permille"]["trials"][0]["phases"]["query"]["domains"]["cpu:0"]["accuracy_low"] = -1.0


def fewer_than_none(report: dict[str, Any]) -> None:
    queries = [one["phases"]["query"] for one in report["permille"]["trials"]]
    queries[0]["inferences"] += 2 * queries[1]["inferences"]
    queries[1]["inferences"] *= -1


def no_query(report: dict[str, Any]) -> None:
    del report["permille"]["trials"][0]["phases"]["query"]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (other_energy, "powerConsumption is .* edited"),
        (other_requests, "nbRequest is 3004"),
        (negative, "a negative energy or uncertainty"),
        (no_query, "a query with inferences in every trial"),
        (fewer_than_none, "a query with inferences in every trial"),
    ],
)
def test_an_edited_report_is_one_line(
    store: Path,
    capsys: pytest.CaptureFixture[str],
    edit: Callable[[dict[str, Any]], None],
    reason: str,
) -> None:
    report = export(store)
    edit(report)
    refused(report, store.parent, capsys, reason)


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ([], "not a BoAmps report"),
        ({"task": 1, "measures": [], "infrastructure": {}}, r"\$.task"),
        (changed(task={"taskStage": "training"}), "only reports of the stage inference"),
        (changed(task={"nbRequest": 1.5}), "nbRequest is 1.5"),
        (changed(measure={"powerConsumption": 0}), "must be above 0"),
        (changed(measure={"powerConsumption": 1e9}), "more than a machine draws"),
        (changed(measure={"measurementDuration": None}), "duration of the measurement"),
        ({**OTHERS, "measures": OTHERS["measures"] * 2}, "several measures by 'wattmeter'"),
    ],
)
def test_what_has_no_figure_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], report: Any, reason: str
) -> None:
    refused(report, tmp_path, capsys, reason)


def refused(report: Any, folder: Path, capsys: pytest.CaptureFixture[str], reason: str) -> None:
    capsys.readouterr()
    with pytest.raises(ImportDataError, match="nothing that boamps can import"):
        imported(report, folder)
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(reason, printed), printed
