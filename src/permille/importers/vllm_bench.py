"""Results of `vllm bench serve --save-result`: tokens and times of a server under load, no energy.

The tool measures no energy, so these trials have none in any boundary. Its percentiles of the whole
answer are only in the file with ``--percentile-metrics ttft,tpot,e2el --metric-percentiles 95,99``.
Format: vllm-project/vllm, vllm/benchmarks/serve.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from permille.importers import Options, Tally
from permille.importers import trials as build
from permille.importers.plausible import disagreement
from permille.importers.reading.documents import one_trial_each
from permille.importers.reading.files import Source
from permille.records.answers import Latency
from permille.records.energy import Phase, Problem
from permille.records.trial import Protocol, Trial

SOURCE = "vllm-bench"

_NO_ENERGY = "vllm bench serve measures no energy"
UNMETERED = {
    "gpu": Problem(reason=_NO_ENERGY, kind="gpu"),
    "cpu:0": Problem(reason=_NO_ENERGY, kind="cpu"),
}

Requests = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Quantity = Annotated[float, msgspec.Meta(ge=0, le=1e15)]


class ServedBenchmark(msgspec.Struct, frozen=True):
    """The keys that a trial needs. Times are in milliseconds, ``duration`` in seconds."""

    model_id: str
    duration: Annotated[float, msgspec.Meta(gt=0, le=1e9)]
    completed: Requests
    total_input_tokens: Quantity
    request_throughput: Quantity
    date: str = ""
    failed: Requests | None = None
    total_output_tokens: Quantity | None = None
    backend: str | None = None
    endpoint_type: str | None = None
    request_rate: float | str | None = None
    burstiness: Quantity | None = None
    max_concurrency: Requests | None = None
    mean_e2el_ms: Quantity | None = None
    median_e2el_ms: Quantity | None = None
    p95_e2el_ms: Quantity | None = None
    p99_e2el_ms: Quantity | None = None
    median_ttft_ms: Quantity | None = None
    p95_ttft_ms: Quantity | None = None
    p99_ttft_ms: Quantity | None = None
    median_tpot_ms: Quantity | None = None
    p95_tpot_ms: Quantity | None = None
    p99_tpot_ms: Quantity | None = None


class VllmBenchImporter:
    """The ``vllm-bench`` format: one JSON document for each run."""

    name = SOURCE

    def trials(self, source: Source, tally: Tally, options: Options) -> Iterator[Trial]:
        """One trial for each file."""
        return one_trial_each(
            source,
            tally,
            frozenset({"model_id", "completed"}),
            "a result of vllm bench serve",
            lambda content: _trial(content, options),
        )


importer = VllmBenchImporter()


def _trial(raw: dict[str, Any], options: Options) -> Trial:
    run = msgspec.convert(raw, ServedBenchmark)
    _check(run)
    if not run.completed:
        return msgspec.structs.replace(
            _done(run, raw, options), status="failed", reason="no request succeeded", phases={},
            latency=None, counts={},
        )  # fmt: skip
    return _done(run, raw, options)


def _check(run: ServedBenchmark) -> None:
    """Compare the throughput with the requests and the time.

    Raises:
        ValueError: they contradict each other.
    """
    if not run.completed:
        return  # nothing to compare: its throughput is 0, as it should be
    if not run.request_throughput:
        raise ValueError(f"request_throughput is 0, but {run.completed} requests succeeded")
    computed = run.completed / run.duration
    fault = disagreement(
        "request_throughput", run.request_throughput, "completed / duration", computed
    )
    if fault is not None:
        raise ValueError(fault)


def _done(run: ServedBenchmark, raw: dict[str, Any], options: Options) -> Trial:
    settings = {
        "request_rate": run.request_rate,
        "burstiness": run.burstiness,
        "max_concurrency": run.max_concurrency,
    }
    counts = {
        "tokens_in": run.total_input_tokens,
        "tokens_out": run.total_output_tokens,
        "failed": run.failed,
    }
    phase = Phase(seconds=run.duration, domains={}, problems=UNMETERED, inferences=run.completed)
    return Trial(
        # --save-detailed adds lists of all requests; with them or without, it is the same run.
        uid=f"{SOURCE}:{build.digest({k: v for k, v in raw.items() if not isinstance(v, list)})}",
        study=options.study or SOURCE,
        cell=build.cell(
            SOURCE,
            task="text-generation",
            dataset=build.UNKNOWN,
            model=run.model_id,
            category="general-purpose",
            backend=run.backend or run.endpoint_type or build.UNKNOWN,
            # Without the Nones: an older version lacks the key where a newer one writes null, and
            # both are the same load.
            settings={name: value for name, value in settings.items() if value is not None},
        ),
        repeat=0,
        status="done",
        reason=None,
        started=build.started(run.date),
        protocol=Protocol(inferences=run.completed + (run.failed or 0), name=SOURCE),
        environment=build.environment({}),
        source=SOURCE,
        phases={"query": phase},
        latency=_latency(run),
        counts={name: float(count) for name, count in counts.items() if count is not None},
        notes=(f"a server under load; {_NO_ENERGY}",),
    )


def _latency(run: ServedBenchmark) -> Latency | None:
    """None without the percentiles of the whole answer."""
    mean_ms, p50_ms, p95_ms = run.mean_e2el_ms, run.median_e2el_ms, run.p95_e2el_ms
    if mean_ms is None or p50_ms is None or p95_ms is None:
        return None
    return Latency(
        p50=p50_ms / 1000,
        p95=p95_ms / 1000,
        p99=build.seconds(run.p99_e2el_ms),
        mean=mean_ms / 1000,
        n=run.completed,
        # Without streaming the tool writes 0 for the time to the first token.
        first_token_p50=build.seconds(run.median_ttft_ms or None),
        first_token_p95=build.seconds(run.p95_ttft_ms or None),
        first_token_p99=build.seconds(run.p99_ttft_ms or None),
        output_token_p50=build.seconds(run.median_tpot_ms or None),
        output_token_p95=build.seconds(run.p95_tpot_ms or None),
        output_token_p99=build.seconds(run.p99_tpot_ms or None),
    )
