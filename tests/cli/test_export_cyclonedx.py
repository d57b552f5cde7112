"""``permille export cyclonedx``: CycloneDX's own validator accepts it, and every figure has its
basis."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from permille.cli import dispatch
from permille.errors import PermilleError, UsageError
from permille.exporters import cyclonedx as exporter
from permille.records.answers import Quality
from permille.records.cell import ModelFacts
from permille.store import Store
from permille.units import kwh_from_joules
from tests.records import cell, trial

pytestmark = pytest.mark.slow

HOSTILE = 'evil"}],\n"\x1b[2J'
DIGEST = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A model on two datasets, on one of them with a single trial; a hostile name; a replica."""
    path = tmp_path / "permille.db"
    facts = ModelFacts(
        architecture="BertModel", files={"model.onnx": DIGEST, "odd": "no digest", HOSTILE: DIGEST}
    )
    score = Quality(metric="accuracy", value=0.8, n=150)
    with Store(path) as opened:
        for repeat in range(2):
            for model in ("small", HOSTILE):
                opened.add(
                    trial(36.0 + repeat, model=model, repeat=repeat, facts=facts, quality=score)
                )
            replica = cell("replica", settings={"weights": "replica"})
            opened.add(trial(7.0, uid=f"r{repeat}", repeat=repeat, cell=replica))
        other = cell("small", id="other", dataset="other")
        opened.add(trial(9.0, uid="other", cell=other))
    return path


def export(store: Path, model: str, *options: str) -> dict[str, Any]:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    file = store.parent / "bom.json"
    arguments = ["export", "cyclonedx", str(file), "--model", model, *options]
    assert dispatch([*arguments, "--store", str(store)]) == 0
    text = file.read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(text) is None
    bom: dict[str, Any] = json.loads(text)
    return bom


def test_the_energy_of_inference_with_its_count_boundary_and_interval(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bom = export(store, "small", "--intensity", "50")
    assert "1 row is left out: no figure with an interval" in capsys.readouterr().err
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.7")
    component = bom["metadata"]["component"]
    assert (component["type"], component["name"]) == ("machine-learning-model", "small")
    assert [file["hashes"][0]["content"] for file in component["components"]] == [DIGEST, DIGEST]
    card = component["modelCard"]
    assert card["modelParameters"]["modelArchitecture"] == "BertModel"
    (consumption,) = card["considerations"]["environmentalConsiderations"]["energyConsumptions"]
    assert consumption["activity"] == "inference"
    kwh = kwh_from_joules(36.5)
    assert consumption["activityEnergyCost"] == {"value": pytest.approx(kwh), "unit": "kWh"}
    assert consumption["co2CostEquivalent"] == {
        "value": pytest.approx(kwh * 50e-6),
        "unit": "tCO2eq",
    }
    properties = {one["name"]: one["value"] for one in consumption["properties"]}
    assert {
        "permille:inferences": "1000",
        "permille:boundary": "compute",
        "permille:provenance": "measured",
        "permille:idle": "included",
        "permille:dataset": "reviews",
        "permille:trials": "2",
        "permille:g_per_kwh": "50.0",
        "permille:grid_assumed": "false",
    }.items() <= properties.items()
    assert float(properties["permille:kwh_low"]) < kwh < float(properties["permille:kwh_high"])
    (metric,) = card["quantitativeAnalysis"]["performanceMetrics"]
    assert metric["type"] == "accuracy"
    assert float(metric["value"]) == pytest.approx(0.8)


def test_of_several_tasks_none_is_the_models(store: Path) -> None:
    def task() -> str | None:
        component = export(store, "small")["metadata"]["component"]
        known: str | None = component["modelCard"]["modelParameters"].get("task")
        return known

    assert task() == "text-classification"
    tags = cell("small", id="tags", task="token-classification")
    with Store(store) as opened:
        for repeat in range(2):
            opened.add(trial(9.0 + repeat, uid=f"tags{repeat}", repeat=repeat, cell=tags))
    assert task() is None


def test_the_files_of_every_figure_are_listed(store: Path) -> None:
    newer = ModelFacts(architecture="RobertaModel", files={"model.onnx": "cd" * 32, "new": DIGEST})
    with Store(store) as opened:
        for repeat in range(2):
            news = cell("small", id="news", dataset="news")
            one = trial(9.0 + repeat, uid=f"b{repeat}", repeat=repeat, cell=news, facts=newer)
            opened.add(one)
    component = export(store, "small")["metadata"]["component"]
    files = [(one["name"], one["hashes"][0]["content"]) for one in component["components"]]
    assert len(files) == 4  # and the one with the hostile name
    assert {("model.onnx", DIGEST), ("model.onnx", "cd" * 32), ("new", DIGEST)} <= set(files)
    assert len({one["bom-ref"] for one in component["components"]}) == 4
    # Of two architectures, none is the model's.
    assert "modelArchitecture" not in component["modelCard"]["modelParameters"]


def test_the_library_reads_the_document(store: Path) -> None:
    from cyclonedx.model.bom import Bom

    bom = export(store, "small")
    del bom["metadata"]["component"]["modelCard"]  # for which the library has no classes
    read = Bom.from_json(bom)  # type: ignore[attr-defined]
    assert read.metadata.component.name == "small"


def test_a_hostile_name_is_one_string(store: Path) -> None:
    name = export(store, "evil")["metadata"]["component"]["name"]
    assert name == 'evil"}], " [2J'


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "an ML-BOM is of one"),
        (["--model", "replica"], "measured with other weights"),
        (["--model", "small", "--dataset", "other"], "no matching trials"),
    ],
)
def test_what_is_not_one_models_is_refused(store: Path, options: list[str], message: str) -> None:
    file = store.parent / "bom.json"
    with pytest.raises(UsageError, match=message):
        dispatch(["export", "cyclonedx", str(file), *options, "--store", str(store)])
    assert not file.exists()


def test_an_invalid_document_is_not_written(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "_card", lambda *_: {"unknown": 1})
    with pytest.raises(PermilleError, match=r"not be valid CycloneDX 1\.7.*unknown"):
        dispatch(["export", "cyclonedx", str(store.parent / "bom.json"), "--model", "small",
                  "--store", str(store)])  # fmt: skip
    assert not (store.parent / "bom.json").exists()
