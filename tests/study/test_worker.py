"""What a worker makes of its durations."""

from __future__ import annotations

from array import array
from itertools import pairwise

import msgspec
import pytest

from permille.records.trial import Protocol
from permille.study.worker.main import runs_a_library_alone
from permille.study.worker.messages import Job
from permille.study.worker.scoring import evenly
from permille.workload.samples import Dataset
from permille.workload.specs import HarnessTask, ModelSpec


@pytest.mark.parametrize(("count", "most"), [(10, 10), (11, 10), (1_000, 10), (250_001, 20_000)])
def test_a_sample_of_durations_is_even_and_bounded(count: int, most: int) -> None:
    sample = evenly(array("q", range(count)), most, calls_per_pass=1)
    assert min(count, most) / 2 <= len(sample) <= most
    assert sample[0] == 0
    gaps = {after - before for before, after in pairwise(sample)}
    assert len(gaps) == 1


@pytest.mark.parametrize("calls_per_pass", [1, 2, 3, 10, 12, 97])
def test_a_sample_meets_every_request_of_a_pass(calls_per_pass: int) -> None:
    numbers = array("q", (i % calls_per_pass for i in range(20_000)))
    assert set(evenly(numbers, 2_000, calls_per_pass=calls_per_pass)) == set(range(calls_per_pass))


def test_only_a_worker_without_foreign_code_ends_before_its_modules_are_freed() -> None:
    model = ModelSpec(id="m", backend="transformers", category="task-specific")
    job = Job(
        task="text-classification",
        task_target="permille.tasks.text_classification:TextClassification",
        backend_target="permille.backends.transformers.plugin:TransformersBackend",
        model=model,
        dataset=Dataset(name="d", samples=(), digest=""),
        protocol=Protocol(inferences=1),
        least_query_s=0.0,
    )
    assert runs_a_library_alone(job)
    for change in (
        {"model": msgspec.structs.replace(model, backend="python")},
        {"model": msgspec.structs.replace(model, backend="a-plug-in")},
        {"model": msgspec.structs.replace(model, settings={"trust_remote_code": True})},
        {"task_target": "theirs:Task"},
        {"harness": HarnessTask(task="arc_easy")},
    ):
        assert not runs_a_library_alone(msgspec.structs.replace(job, **change))
