"""A store with a sweep of a server's load, beside a model that has no tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import to_builtins

from permille.records.answers import AnswerTimes, Latency, ScheduleLag, TokenSplit
from permille.records.energy import Estimate
from permille.records.recording import Span
from permille.records.trial import Protocol, Trial
from permille.store import Raw, Store
from tests.records import cell, trial

MODEL = "SmolLM2"
OTHER = "Qwen2.5"
POINTS = [(1, 300.0, 0.1), (2, 240.0, 0.2), (4, 190.0, 0.5), (8, 150.0, 1.2), (16, 120.0, 3.0)]
"""Clients, joules of 1,000 requests, seconds to the first token (p95)."""
LATE = ScheduleLag(p50=0.0, p95=0.01, most=0.9)
"""How late requests were sent to the other server at its highest rate."""


def load(
    at: int,
    energy_j: float,
    ttft_s: float,
    *,
    server: str = MODEL,
    by: str = "concurrency",
    **changed: Any,
) -> list[Trial]:
    """Three trials of a load whose figures differ by 2 % from each other."""
    model = f"{server}, {by} = {at}"
    split = TokenSplit(
        method="windows",
        input_j=Estimate(value=0.001, low=0.0005, high=0.0015),
        output_j=Estimate(value=0.01, low=0.009, high=0.011),
        rest_w=Estimate(value=2.0, low=1.0, high=3.0),
        n=40,
    )
    settings = {by: at, "model": server}
    plain: dict[str, Any] = {
        "cell": cell(model, backend="endpoint", settings=settings, category="general-purpose"),
        "protocol": Protocol(inferences=1000),
        "counts": {"tokens_in": 9000.0, "tokens_out": 20_000.0, "failed": 0.0},
        "tokens": split,
        "idle_j": energy_j / 4,
    }
    return [
        trial(
            energy_j * part,
            model=model,
            repeat=repeat,
            latency=Latency(
                p50=ttft_s, p95=2 * ttft_s, p99=3 * ttft_s, mean=ttft_s, n=1000,
                first_token_p50=ttft_s / 2, first_token_p95=ttft_s * part,
                first_token_p99=ttft_s * part * 2,
                output_token_p50=0.01, output_token_p95=0.02 * part, output_token_p99=0.03,
            ),
            **(plain | changed),
        )
        for repeat, part in enumerate((0.99, 1.0, 1.01))
    ]  # fmt: skip


def trials() -> list[Trial]:
    """The sweep, a load whose trials include one that failed, and a plain model."""
    found = [one for point in POINTS for one in load(*point)]
    broken = load(32, 100.0, 0.3)
    found += [*broken, load(32, 100.0, 0.3, status="failed", uid="lost", phases={})[0]]
    return found + [trial(model="plain", repeat=repeat) for repeat in range(2)]


def recorded(one: Trial) -> Raw | None:
    """Its answers' times, the first token between a quarter of the p95 and the p95; none of a plain
    model and of 32 clients, as in a store of an older version."""
    latency = one.latency
    if (
        latency is None
        or latency.first_token_p95 is None
        or one.cell.settings.get("concurrency") == 32
    ):
        return None
    first_ns = [
        round(latency.first_token_p95 * 1e9 * (250 + 750 * i / 999) / 1e3) for i in range(1000)
    ]
    answers = AnswerTimes(
        n=1000,
        first_ns=tuple(first_ns),
        token_ns=(10_000_000,) * 1000,
        whole_ns=tuple(2 * first for first in first_ns),
    )
    attributes = {"answers": to_builtins(answers)}
    query = Span(name="query", t0_ns=0, t1_ns=10**10, attributes=attributes)
    return Raw(recording=None, spans=(query,), durations_ns=())


def write(path: Path) -> Path:
    """The trials as a store, and those of another server, by its rate, once sent late."""
    other = load(2, 90.0, 0.4, server=OTHER, by="rate_per_s")
    other += load(4, 90.0, 0.4, server=OTHER, by="rate_per_s", schedule_lag=LATE)
    with Store(path) as opened:
        for one in trials() + other:
            opened.add(one, recorded(one))
    return path
