"""optimum-benchmark reports: ``benchmark.json``, or a config and a report in one folder.

The energy (kWh) of a report is of the mean call, which answers ``batch_size`` samples; its CPU
and RAM come from CodeCarbon's estimates, its GPU from NVML. Inputs are random.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any

import msgspec

from permille.importers import Options, Tally
from permille.importers import trials as build
from permille.importers.codecarbon import CPU_ACCURACY, GPU_ACCURACY, RAM_ACCURACY
from permille.importers.documents import document
from permille.importers.files import Source
from permille.records import (
    DomainEnergy,
    DomainKind,
    Latency,
    Phase,
    Problem,
    Protocol,
    Provenance,
    Trial,
)
from permille.units import joules_from_kwh

SOURCE = "optimum-benchmark"
_QUERIES = (("forward",), ("call",), ("prefill", "decode"))
"""What one call consists of, by kind of model; the first that the report has."""
_MAX_CONFIGS = 10_000


class _Times(msgspec.Struct):
    unit: str
    count: Annotated[int, msgspec.Meta(ge=0, le=10**12)]
    mean: float
    p50: float
    p95: float


class _Energy(msgspec.Struct):
    unit: str
    cpu: float | None = None
    ram: float | None = None
    gpu: float | None = None


class _Part(msgspec.Struct):
    latency: _Times | None = None
    energy: _Energy | None = None


class _Shapes(msgspec.Struct):
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=10**9)] = 1


class _Scenario(msgspec.Struct):
    name: str
    input_shapes: _Shapes = msgspec.field(default_factory=_Shapes)


class _Backend(msgspec.Struct):
    name: str
    model: str
    task: str
    device: str = build.UNKNOWN
    torch_dtype: str | None = None
    quantization_scheme: str | None = None


class _Config(msgspec.Struct):
    backend: _Backend
    scenario: _Scenario
    environment: dict[str, Any] = {}


class Importer:
    """The ``optimum-benchmark`` format."""

    name = SOURCE

    def trials(self, source: Source, tally: Tally, options: Options) -> Iterator[Trial]:
        """One trial a report; a folder's config comes before its report."""
        configs: dict[str, Any] = {}
        for member in source.members(tally.leave_out):
            path = PurePosixPath(member.name)
            if not member.is_of(".json"):
                continue
            content = document(member, tally)
            folder = str(path.parent)
            if path.name == "benchmark_config.json" and len(configs) < _MAX_CONFIGS:
                configs[folder] = content
                continue
            if not isinstance(content, dict):
                continue
            report = content.get("report", content)
            config = content.get("config", configs.get(folder))
            tally.rows += 1
            try:
                if config is None:
                    raise ValueError("no config beside this report (benchmark_config.json)")
                yield _trial(msgspec.convert(config, _Config), report, options)
            except (msgspec.ValidationError, ValueError, OverflowError) as error:
                tally.leave_out(member.name, None, str(error))


importer = Importer()


def _trial(config: _Config, report: Any, options: Options) -> Trial:
    if not isinstance(report, dict):
        raise ValueError("the report is not a JSON object")
    names = next((q for q in _QUERIES if all(report.get(n) for n in q)), None)
    if names is None:
        raise ValueError("no forward, call, or prefill and decode in this report")
    parts = [msgspec.convert(report[name], _Part) for name in names]
    backend = config.backend
    batch_size = config.scenario.input_shapes.batch_size
    phases = {"query": _phase(parts, batch_size)}
    if report.get("load_model"):
        load = msgspec.convert(report["load_model"], _Part)
        if load.energy is not None and load.latency is not None:
            phases = {"load": _phase([load], None), **phases}
    times = parts[0].latency
    latency = None
    if len(parts) == 1 and times is not None:
        latency = Latency(p50=times.p50, p95=times.p95, mean=times.mean, n=times.count)
    return Trial(
        uid=f"{SOURCE}:{build.digest([msgspec.to_builtins(config), report])}",
        study=options.study or SOURCE,
        cell=build.cell(
            SOURCE,
            task=backend.task,
            dataset="random inputs",
            model=backend.model,
            category="unknown",
            backend=backend.name,
            settings={
                "batch_size": batch_size,
                "device": backend.device,
                "dtype": backend.torch_dtype,
                "quantization": backend.quantization_scheme,
            },
        ),
        repeat=0,
        status="done",
        reason=None,
        started="",
        protocol=Protocol(inferences=batch_size, batch_size=batch_size, name=SOURCE),
        environment=build.environment(
            {name: str(value) for name, value in config.environment.items() if value}
        ),
        source=SOURCE,
        device=backend.device,
        phases=phases,
        latency=latency,
        notes=("energy of the mean call; optimum-benchmark's window may hold its own start",),
    )


def _phase(parts: list[_Part], inferences: int | None) -> Phase:
    known: tuple[tuple[str, str, DomainKind, Provenance, tuple[float, float]], ...] = (
        ("cpu", "cpu:0", "cpu", Provenance.ESTIMATED, CPU_ACCURACY),
        ("ram", "dram:0", "dram", Provenance.ESTIMATED, RAM_ACCURACY),
        ("gpu", "gpu", "gpu", Provenance.MEASURED, GPU_ACCURACY),
    )
    seconds = 0.0
    for part in parts:
        if part.latency is None or part.energy is None:
            raise ValueError("latency or energy was not measured")
        if part.latency.unit != "s" or part.energy.unit != "kWh":
            raise ValueError(f"units {part.latency.unit} and {part.energy.unit}, not s and kWh")
        seconds += part.latency.mean
    domains: dict[str, DomainEnergy] = {}
    problems: dict[str, Problem] = {}
    for column, name, kind, provenance, accuracy in known:
        logged = [getattr(part.energy, column) for part in parts]
        if any(kwh is not None and not 0 <= kwh < float("inf") for kwh in logged):
            raise ValueError(f"{column} energy is negative or not finite")
        if all(logged):
            joules = joules_from_kwh(sum(logged))
            domains[name] = build.domain(joules, kind, SOURCE, provenance, accuracy)
        elif column != "gpu":  # 0 on a GPU's place is how the tool writes that there is none
            problems[name] = Problem(reason="0 or nothing was logged", kind=kind)
    if not domains or not seconds > 0:
        raise ValueError("no component has an energy above 0")
    return Phase(seconds=seconds, domains=domains, problems=problems, inferences=inferences)
