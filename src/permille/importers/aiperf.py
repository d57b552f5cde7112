"""NVIDIA AIPerf: `profile_export_aiperf.json`, with the energy of its GPU telemetry.

The energy is that of the telemetry's period, which begins before the first request and ends after
the last one; of every GPU that it lists, whether the server uses it or not. Only GPUs are metered,
so these trials only have the boundary ``accelerator``. Format: ai-dynamo/aiperf,
src/aiperf/common/models/export_models.py and docs/tutorials/gpu-telemetry.md.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from permille.importers import Options, Tally
from permille.importers import trials as build
from permille.importers.codecarbon.importer import GPU_ACCURACY
from permille.importers.plausible import disagreement, power_fault
from permille.importers.reading.documents import one_trial_each
from permille.importers.reading.files import Source
from permille.records.answers import Latency
from permille.records.energy import DomainEnergy, Phase, Problem
from permille.records.recording import Provenance
from permille.records.trial import Protocol, Trial

SOURCE = "aiperf"

# Each under its names, the newest first: since ai-dynamo/aiperf#976 they begin with the vendor.
_ENERGY = ("nvidia_energy_consumption", "energy_consumption")
_POWER = ("nvidia_power_usage", "gpu_power_usage")
_JOULES = {"mJ": 1e-3, "J": 1.0, "kJ": 1e3, "MJ": 1e6}

Number = Annotated[float, msgspec.Meta(ge=0, le=1e15)]


class BenchmarkMetric(msgspec.Struct, frozen=True):
    """A metric with its unit and statistics."""

    unit: str
    avg: Number | None = None
    min: Number | None = None
    max: Number | None = None
    p50: Number | None = None
    p95: Number | None = None
    p99: Number | None = None


class TelemetryPeriod(msgspec.Struct, frozen=True):
    """When the GPUs were read."""

    start_time: datetime.datetime
    end_time: datetime.datetime


class TelemetryGpu(msgspec.Struct, frozen=True):
    """A GPU and its metrics."""

    gpu_name: str
    gpu_uuid: str
    metrics: dict[str, BenchmarkMetric]


class TelemetryEndpoint(msgspec.Struct, frozen=True):
    """The GPUs of one machine."""

    gpus: dict[str, TelemetryGpu]


class GpuTelemetry(msgspec.Struct, frozen=True):
    """The readings of the GPUs."""

    summary: TelemetryPeriod
    endpoints: dict[str, TelemetryEndpoint]


class BenchmarkedEndpoint(msgspec.Struct, frozen=True):
    """The server under load."""

    model_names: Annotated[list[str], msgspec.Meta(min_length=1)]


class LoadSettings(msgspec.Struct, frozen=True):
    """The load."""

    concurrency: int | None = None
    request_rate: float | None = None


class BenchmarkConfig(msgspec.Struct, frozen=True):
    """The configuration of the run."""

    endpoint: BenchmarkedEndpoint
    loadgen: LoadSettings = LoadSettings()


class ProfileExport(msgspec.Struct, frozen=True):
    """The keys that a trial needs."""

    input_config: BenchmarkConfig
    request_count: BenchmarkMetric
    request_latency: BenchmarkMetric | None = None
    time_to_first_token: BenchmarkMetric | None = None
    inter_token_latency: BenchmarkMetric | None = None
    input_sequence_length: BenchmarkMetric | None = None
    output_sequence_length: BenchmarkMetric | None = None
    error_request_count: BenchmarkMetric | None = None
    telemetry_data: GpuTelemetry | None = None
    start_time: str | None = None
    was_cancelled: bool | None = None


class AiperfImporter:
    """The ``aiperf`` format: one JSON document for each run."""

    name = SOURCE

    def trials(self, source: Source, tally: Tally, options: Options) -> Iterator[Trial]:
        """One trial for each file."""
        return one_trial_each(
            source,
            tally,
            frozenset({"input_config", "request_count"}),
            "a profile_export_aiperf.json",
            lambda content: _trial(content, options),
        )


importer = AiperfImporter()


def _trial(raw: dict[str, Any], options: Options) -> Trial:
    run = msgspec.convert(raw, ProfileExport)
    done = run.request_count.avg
    if run.was_cancelled:
        raise ValueError("the run was cancelled")
    if not done or done != int(done):
        raise ValueError(f"request_count is {done}, not a number of requests")
    if run.telemetry_data is None:
        raise ValueError("no GPU telemetry, so no energy: run aiperf with --gpu-telemetry")
    load = run.input_config.loadgen
    settings = {"concurrency": load.concurrency, "request_rate": load.request_rate}
    counts = _counts(run, done)
    gpus = [gpu for each in run.telemetry_data.endpoints.values() for gpu in each.gpus.values()]
    return Trial(
        uid=f"{SOURCE}:{build.digest(raw)}",
        study=options.study or SOURCE,
        cell=build.cell(
            SOURCE,
            task="text-generation",
            dataset=build.UNKNOWN,
            model=", ".join(run.input_config.endpoint.model_names),
            category="general-purpose",
            backend="endpoint",
            settings={name: value for name, value in settings.items() if value is not None},
        ),
        repeat=0,
        status="done",
        reason=None,
        started=build.started(run.start_time),
        protocol=Protocol(inferences=int(done + counts.get("failed", 0.0)), name=SOURCE),
        environment=build.environment(
            {
                "gpu_model": ", ".join(sorted({g.gpu_name for g in gpus})),
                "gpu_count": str(len(gpus)),
            }
        ),
        source=SOURCE,
        device=f"{len(gpus)} x {gpus[0].gpu_name}"[: build.MAX_NAME] if gpus else None,
        phases={"query": _query(run.telemetry_data, int(done))},
        latency=_latency(run, int(done)),
        counts=counts,
        notes=(
            "energy of all GPUs listed, over the telemetry's period, which is longer than that of"
            " the requests; tokens per second are over that period too",
        ),
    )


def _query(telemetry: GpuTelemetry, inferences: int) -> Phase:
    period = telemetry.summary
    seconds = (period.end_time - period.start_time).total_seconds()
    if seconds <= 0:
        raise ValueError(f"the telemetry's period is {seconds:g} s long")
    domains: dict[str, DomainEnergy] = {}
    problems = dict(build.GPU_ONLY)
    for endpoint, machine in telemetry.endpoints.items():
        for key, gpu in machine.gpus.items():
            name = f"gpu:{endpoint}/{key}"[: build.MAX_NAME]
            if name in domains or name in problems:
                raise ValueError(f"two GPUs are called {name[:60]!r}")
            energy = _energy(gpu, seconds)
            if isinstance(energy, Problem):
                problems[name] = energy
            else:
                domains[name] = build.domain(
                    energy, "gpu", SOURCE, Provenance.MEASURED, GPU_ACCURACY
                )
    if not domains:
        reasons = {problem.reason for name, problem in problems.items() if problem.kind == "gpu"}
        raise ValueError("; ".join(sorted(reasons)) or "the telemetry has no GPU")
    return Phase(seconds=seconds, domains=domains, problems=problems, inferences=inferences)


def _energy(gpu: TelemetryGpu, seconds: float) -> float | Problem:
    """Joules by the GPU's counter. The mean power must agree with them."""
    counter = next((gpu.metrics[name] for name in _ENERGY if name in gpu.metrics), None)
    power = next((gpu.metrics[name] for name in _POWER if name in gpu.metrics), None)
    advance = None if counter is None else _advance(counter)
    if counter is None or advance is None:
        return Problem(reason="no readings of an energy counter in the telemetry", kind="gpu")
    if counter.unit not in _JOULES:
        raise ValueError(f"energy in {counter.unit[:20]!r}, not in {', '.join(_JOULES)}")
    energy_j = advance * _JOULES[counter.unit]
    fault = power_fault("gpu", energy_j, seconds)
    if fault is None and power is not None and power.avg and power.unit == "W":
        fault = disagreement(
            "energy (J)", energy_j, "mean power x the telemetry's period", power.avg * seconds
        )
    return energy_j if fault is None else Problem(reason=fault, kind="gpu")


def _advance(counter: BenchmarkMetric) -> float | None:
    """What the counter advanced by, in its unit; None if that is not known."""
    if counter.min is not None and counter.max is not None:
        return counter.max - counter.min  # the readings, totals since the driver was loaded
    # Since ai-dynamo/aiperf#596 the tool subtracts: such a metric has no statistics but ``avg``,
    # the difference from the last reading before the profiling.
    return counter.avg if counter.min is None and counter.max is None else None


def _counts(run: ProfileExport, done: float) -> dict[str, float]:
    """Totals over the requests that succeeded."""
    counts = {}
    for name, metric in (
        ("tokens_in", run.input_sequence_length),
        ("tokens_out", run.output_sequence_length),
    ):
        if metric is not None and metric.avg is not None:
            counts[name] = metric.avg * done
    if run.error_request_count is not None and run.error_request_count.avg is not None:
        counts["failed"] = run.error_request_count.avg
    return counts


def _latency(run: ProfileExport, n: int) -> Latency | None:
    whole = run.request_latency
    if whole is None or whole.avg is None or whole.p50 is None or whole.p95 is None:
        return None
    first, each = run.time_to_first_token, run.inter_token_latency
    for metric in (whole, first, each):
        if metric is not None and metric.unit != "ms":
            raise ValueError(f"times in {metric.unit[:20]!r}, not in ms")
    return Latency(
        p50=whole.p50 / 1000,
        p95=whole.p95 / 1000,
        p99=build.seconds(whole.p99),
        mean=whole.avg / 1000,
        n=n,
        first_token_p50=build.seconds(first.p50 if first else None),
        first_token_p95=build.seconds(first.p95 if first else None),
        first_token_p99=build.seconds(first.p99 if first else None),
        output_token_p50=build.seconds(each.p50 if each else None),
        output_token_p95=build.seconds(each.p95 if each else None),
        output_token_p99=build.seconds(each.p99 if each else None),
    )
