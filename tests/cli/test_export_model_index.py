"""``permille export model-index``: huggingface_hub reads it, and every figure has its basis."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from permille.cli import dispatch
from permille.errors import UsageError
from permille.records.answers import Quality
from permille.store import Store
from permille.units import joules_from_kwh, kwh_from_wh
from tests.records import cell, trial

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

HOSTILE = "evil: [}\n---\n\x1b[2J!!python/object:os.system"
REVIEWS: dict[str, Any] = {
    "quality": Quality(metric="accuracy", value=0.8, n=150),
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A model on two datasets, on one of them with a single trial; a hostile name; a replica."""
    path = tmp_path / "permille.db"
    with Store(path) as opened:
        for repeat in range(2):
            for model in ("small", HOSTILE):
                opened.add(trial(36.0, model=model, repeat=repeat, **REVIEWS))
            replica = cell("replica", settings={"weights": "replica"})
            opened.add(trial(7.0 + repeat, uid=f"r{repeat}", repeat=repeat, cell=replica))
        other = cell("small", id="other", dataset="other")
        opened.add(trial(9.0, uid="other", cell=other))
    return path


def export(store: Path, model: str, *options: str) -> list[EvalResult]:
    from huggingface_hub import ModelCard, ModelCardData

    file = store.parent / "out.yaml"
    arguments = ["export", "model-index", str(file), "--model", model, *options]
    assert dispatch([*arguments, "--store", str(store)]) == 0
    card = ModelCard("---\n" + file.read_text(encoding="utf-8") + "---\n# Card\n")
    assert isinstance(card.data, ModelCardData)
    assert card.data.eval_results is not None
    return card.data.eval_results


def test_the_hubs_library_reads_energy_carbon_and_quality(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    energy, carbon, quality = export(store, "small", "--intensity", "50")
    assert "1 row is left out: no figure with an interval" in capsys.readouterr().err
    assert (energy.task_type, energy.dataset_type) == ("text-classification", "reviews")
    assert energy.metric_type == "energy"
    assert energy.metric_name == "Wh per 1,000 inferences (compute, measured)"
    assert joules_from_kwh(kwh_from_wh(energy.metric_value)) == pytest.approx(36.0)
    assert energy.metric_args is not None
    assert energy.metric_args["low"] <= energy.metric_value <= energy.metric_args["high"]
    assert {"boundary": "compute", "provenance": "measured", "idle": "included"}.items() <= (
        energy.metric_args.items()
    )
    assert (carbon.metric_type, carbon.metric_args and carbon.metric_args["g_per_kwh"]) == (
        "co2e",
        50.0,
    )
    assert carbon.metric_value == pytest.approx(energy.metric_value / 1000 * 50)
    assert (quality.metric_type, quality.metric_value) == ("accuracy", 0.8)


def test_an_assumed_grid_is_labelled(store: Path) -> None:
    _, carbon, _ = export(store, "small", "--dataset", "reviews")
    assert carbon.metric_args is not None
    assert carbon.metric_args["grid_assumed"] is True


def test_a_hostile_name_is_one_string(store: Path) -> None:
    assert len(export(store, "evil")) == 3
    assert "\x1b" not in (store.parent / "out.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "has 3 models"),
        (["--model", "replica"], "measured with other weights"),
        (["--model", "small", "--dataset", "other"], "no matching trials"),
    ],
)
def test_what_is_not_one_models_is_refused(store: Path, options: list[str], message: str) -> None:
    file = store.parent / "out.yaml"
    with pytest.raises(UsageError, match=message):
        dispatch(["export", "model-index", str(file), *options, "--store", str(store)])
    assert not file.exists()
