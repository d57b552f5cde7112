"""Tasks of the real harness on local data."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

import permille
from permille.errors import UsageError
from permille.integrations.lm_eval import evaluate
from tests.conftest import POWER_W, holds
from tests.integrations.optional import needs
from tests.powercap import Driver

pytestmark = [
    pytest.mark.slow,
    pytest.mark.measuring,
    pytest.mark.filterwarnings("default"),  # the harness's own
    needs("lm_eval"),
]


def task(folder: Path, name: str, **more: Any) -> dict[str, Any]:
    """Two choices for each of four questions."""
    rows = folder / "rows.jsonl"
    questions = [{"question": f"is {i} even?", "answer": i % 2} for i in range(4)]
    rows.write_text("".join(json.dumps(row) + "\n" for row in questions))
    return {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(rows)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": ["yes", "no"],
        "doc_to_target": "{{answer}}",
        "metric_list": [{"metric": "acc"}],
    } | more


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A model of the harness that prefers shorter answers, and takes 0.3 s."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from lm_eval.api.model import LM

    class Shorter(LM):  # type: ignore[misc]
        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            time.sleep(0.3)
            return [(-float(len(request.args[1])), False) for request in requests]

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            raise NotImplementedError

        def generate_until(self, requests: list[Any]) -> list[str]:
            time.sleep(0.3)
            return ["yes" for _ in requests]

    return Shorter()


def test_each_task_has_its_score_and_the_energy_of_its_samples(
    machine: Driver, model: Any, tmp_path: Path
) -> None:
    generated = task(
        tmp_path, "spelled", output_type="generate_until", doc_to_choice=None,
        doc_to_target="yes", generation_kwargs={"until": ["."]},
        metric_list=[{"metric": "exact_match"}],
    )  # fmt: skip
    del generated["doc_to_choice"]
    tasks = [task(tmp_path, "chosen"), generated]
    chosen, spelled = evaluate(model, tasks, bootstrap_iters=0)
    assert chosen.scores["chosen"]["acc,none"] == 0.5
    assert spelled.scores["spelled"]["exact_match,none"] == 1.0
    for scored in (chosen, spelled):
        assert (scored.energy.spans, scored.energy.inferences) == (1, 4)
        assert holds(scored.energy.energy, POWER_W * scored.energy.seconds)
    assert model.loglikelihood.__self__ is model  # its own method again


def test_what_cannot_be_measured_is_refused(model: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs a model, not its name"):
        evaluate("hf", ["arc_easy"])
    with pytest.raises(UsageError, match="remove use_cache"):
        evaluate(model, ["arc_easy"], use_cache=str(tmp_path / "cache"))
    with pytest.raises(UsageError, match="given twice: arc_easy, arc_easy"):
        evaluate(model, ["arc_easy", "arc_easy"])


def test_samples_are_counted_once(machine: Driver, model: Any) -> None:
    from lm_eval.api.instance import Instance

    from permille.integrations.lm_eval import _spans_around_calls

    def requests(*samples: int) -> list[Instance]:
        return [
            Instance("loglikelihood", {}, ("question", choice), i, ("task", sample, 1))
            for sample in samples
            for i, choice in enumerate(("yes", "no"))
        ]

    with permille.record() as rec, _spans_around_calls(rec, model, "task"):
        model.loglikelihood(requests(0, 1, 2))
        model.generate_until(requests(2, 3))
        model.loglikelihood(requests(0))
    assert [span.phase.inferences for span in rec.measured("task")] == [3, 1, None]
    assert rec["task"].kwh_per_1000 is None
