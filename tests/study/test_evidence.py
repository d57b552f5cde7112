"""A worker's report against what was observed: a GPU that it names, answers that it counts."""

from __future__ import annotations

import pytest

from permille.records.answers import Latency, Quality
from permille.records.cell import ModelFacts
from permille.records.recording import RecorderStats, Recording, Series, Span
from permille.study.run.evidence import Assignment, contradiction, most_at_once, unseen_gpu
from permille.study.worker.messages import WorkerResult
from tests.records import domain

STATS = RecorderStats(cpu_s=0.0, wall_s=1.0, polls=1, missed=0, interval_s=0.1)


@pytest.mark.parametrize(
    ("device", "in_use", "noted"),
    [("cuda:0", False, True), ("cuda:0", True, False), ("cpu", False, False)],
)
def test_a_gpu_that_no_meter_saw_in_use_is_noted(device: str, in_use: bool, noted: bool) -> None:
    gpu = domain("gpu:0", kind="gpu", in_use=in_use)
    series = Series(domain=gpu, t_ns=(0, 1), energy_j=(0.0, 1.0))
    recording = Recording(series=(series,), events=(), stats=STATS)
    latency = Latency(p50=1.0, p95=1.0, mean=1.0, n=1)
    result = WorkerResult(
        facts=ModelFacts(), device=device, latency=latency, durations_ns=(1,), quality=None,
        counts={},
    )  # fmt: skip
    assert (unseen_gpu(result, recording) is not None) is noted


@pytest.mark.parametrize(
    ("most", "n", "expected"),
    [
        (None, -1, "the quality is of -1 answers"),
        (None, 7, None),
        (2, 7, "the quality is of 7 answers, and there are 2 samples"),
        (2, None, None),
    ],
)
def test_a_quality_is_of_answers_that_there_can_be(
    most: int | None, n: int | None, expected: str | None
) -> None:
    assignment = Assignment(
        began_ns=0, samples=1, batch_size=1, inferences=1, least_query_s=0.0, served=False,
        has_gpu=False, most_scored=most,
    )  # fmt: skip
    span = Span(name="query", t0_ns=10, t1_ns=1_010, attributes={"inferences": 1})
    latency = Latency(p50=5e-7, p95=5e-7, mean=5e-7, n=1)
    result = WorkerResult(
        facts=ModelFacts(), device="cpu", latency=latency, durations_ns=(500,),
        quality=Quality(metric="accuracy", value=1.0, n=n), counts={},
    )  # fmt: skip
    recording = Recording(series=(), events=(), stats=STATS, marks=(5, 2_000))
    assert contradiction(assignment, [span], result, recording) == expected


@pytest.mark.parametrize(("clients", "fits"), [(1_000, True), (None, False)])
def test_latencies_add_up_to_no_more_than_the_clients_could_wait_for(
    clients: int | None, fits: bool
) -> None:
    """1,000 clients are never idle, and each waits 1 s for each of its 10 answers."""
    settings = {} if clients is None else {"concurrency": clients}
    assignment = Assignment(
        began_ns=0, samples=1, batch_size=1, inferences=10_000, least_query_s=0.0, served=True,
        has_gpu=False, most_scored=1, most_at_once=most_at_once(settings),
    )  # fmt: skip
    span = Span(name="query", t0_ns=10, t1_ns=10**10, attributes={"inferences": 10_000})
    latency = Latency(p50=1.0, p95=1.0, mean=1.0, n=10_000)
    result = WorkerResult(
        facts=ModelFacts(), device="server", latency=latency, durations_ns=(10**9,) * 10_000,
        quality=None, counts={},
    )  # fmt: skip
    recording = Recording(series=(), events=(), stats=STATS, marks=(5, 10**10))
    problem = contradiction(assignment, [span], result, recording)
    assert (problem is None) is fits, problem
