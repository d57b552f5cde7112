"""A worker's report against what was observed: a GPU that it names, answers that it counts."""

from __future__ import annotations

import pytest

from permille.records.answers import Latency, Quality, ScheduleLag
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


@pytest.mark.parametrize(("clients", "fits"), [(2_000, True), (None, False)])
def test_latencies_add_up_to_no_more_than_the_clients_could_wait_for(
    clients: int | None, fits: bool
) -> None:
    """2,000 clients are never idle, and each waits 1 s for each of its 10 answers."""
    settings = {} if clients is None else {"concurrency": clients}
    assignment = Assignment(
        began_ns=0, samples=1, batch_size=1, inferences=20_000, least_query_s=0.0, served=True,
        has_gpu=False, most_scored=1, most_at_once=most_at_once(settings),
    )  # fmt: skip
    span = Span(name="query", t0_ns=10, t1_ns=10**10, attributes={"inferences": 20_000})
    latency = Latency(p50=1.0, p95=1.0, mean=1.0, n=20_000)
    result = WorkerResult(
        facts=ModelFacts(), device="server", latency=latency, durations_ns=(10**9,) * 20_000,
        quality=None, counts={},
    )  # fmt: skip
    recording = Recording(series=(), events=(), stats=STATS, marks=(5, 10**10))
    problem = contradiction(assignment, [span], result, recording)
    assert (problem is None) is fits, problem


def served(*, durations_ns: tuple[int, ...], lag: ScheduleLag | None) -> str | None:
    """What is wrong with a server's trial of one second with these latencies, all alike."""
    n, each_s = len(durations_ns), durations_ns[0] / 1e9
    assignment = Assignment(
        began_ns=0, samples=1, batch_size=1, inferences=n, least_query_s=0.0, served=True,
        has_gpu=False, most_scored=1, most_at_once=most_at_once({}),
    )  # fmt: skip
    span = Span(name="query", t0_ns=10, t1_ns=10**9 + 10, attributes={"inferences": n})
    result = WorkerResult(
        facts=ModelFacts(), device="cpu", latency=Latency(p50=each_s, p95=each_s, mean=each_s, n=n),
        durations_ns=durations_ns, quality=None, counts={}, schedule_lag=lag,
    )  # fmt: skip
    recording = Recording(series=(), events=(), stats=STATS, marks=(5, 2 * 10**9))
    return contradiction(assignment, [span], result, recording)


@pytest.mark.parametrize(
    ("p50", "p95", "most", "possible"),
    [
        (0.0, 0.0, 0.0, True),
        (0.5, 0.5, 9.0, True),
        (0.2, 0.1, 9.0, False),
        (0.1, 0.2, 0.1, False),
        (-0.1, 0.2, 0.3, False),
        (0.1, 0.6, 0.6, False),  # longer than the latency, of which it is a part
        (0.1, 0.2, float("inf"), False),
        (0.1, float("nan"), 0.3, False),
    ],
)
def test_a_schedule_lag_is_a_part_of_its_latency(
    p50: float, p95: float, most: float, possible: bool
) -> None:
    lag = ScheduleLag(p50=p50, p95=p95, most=most)
    assert (served(durations_ns=(500_000_000,), lag=lag) is None) is possible


def test_requests_that_were_late_were_not_all_in_flight_at_once() -> None:
    # Of 100,000 a second, each took half a second: 50,000 at once, unless it was the lag.
    many = (500_000_000,) * 100_000
    assert served(durations_ns=many, lag=None) == (
        "the latencies add up to more than so many requests at once could take"
    )
    assert served(durations_ns=many, lag=ScheduleLag(p50=0.4, p95=0.5, most=0.5)) is None
