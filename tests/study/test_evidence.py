"""A GPU that a worker names, against those that the meters saw in use."""

from __future__ import annotations

import pytest

from permille.records.answers import Latency
from permille.records.cell import ModelFacts
from permille.records.recording import RecorderStats, Recording, Series
from permille.study.run.evidence import unseen_gpu
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
