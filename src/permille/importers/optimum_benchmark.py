"""optimum-benchmark reports: ``benchmark.json``, or a config and a report in one folder.

The energy (kWh) in a report is that of the mean call, which processes ``batch_size`` samples. CPU
and RAM energy are CodeCarbon's estimates, GPU energy is from NVML. Inputs are random.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any

import msgspec

from permille.errors import ImportDataError
from permille.importers import Options, Tally
from permille.importers import trials as build
from permille.importers.codecarbon.importer import CPU_ACCURACY, GPU_ACCURACY, RAM_ACCURACY
from permille.importers.plausible import disagreement, power_fault
from permille.importers.reading.documents import document
from permille.importers.reading.files import Source
from permille.records.answers import Latency
from permille.records.energy import DomainEnergy, Phase, Problem
from permille.records.recording import DomainKind, Provenance
from permille.records.trial import Protocol, Trial
from permille.units import joules_from_kwh

SOURCE = "optimum-benchmark"
_QUERIES = (("forward",), ("call",), ("prefill", "decode"))
"""The parts of one call, by kind of model."""
_CONFIG = "benchmark_config.json"
# A config has about 3 KB: this is room for some 20,000 runs.
_MAX_CONFIG_BYTES = 64 << 20
"""The most characters of all configs of one import."""
_TOLD_OR_IDLE = {
    "scenario": {
        "name", "_target_", "input_shapes", "iterations", "duration", "warmup_runs", "memory",
        "latency", "energy",
    },
    "backend": {
        "name", "_target_", "model", "processor", "task", "device", "torch_dtype",
        "quantization_scheme", "seed",
    },
}  # fmt: skip
"""Keys of a config that are already in the cell or do not affect energy: repeats may differ in
them."""
_SUM_TOLERANCE = 0.01
_OF_ONE_PHASE = (
    "what CodeCarbon logged of one phase, over all its calls; import the benchmark.json (or the"
    " benchmark_report.json with its config) of the same run"
)
_OTHER_SCENARIOS = {
    "energy_star": (
        "scenario energy_star: its energies are of the whole dataset and it logs no time; import"
        " AI Energy Score's master_results.csv (permille import ai-energy-score), or measure with"
        " scenario inference and latency = true"
    ),
    "training": "scenario training: not the energy of inference; measure with scenario inference",
}


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
    total: float | None = None


class _Rate(msgspec.Struct):
    unit: str
    value: float


class _Part(msgspec.Struct):
    latency: _Times | None = None
    energy: _Energy | None = None
    throughput: _Rate | None = None
    efficiency: _Rate | None = None


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


class OptimumBenchmarkImporter:
    """The ``optimum-benchmark`` format."""

    name = SOURCE

    def trials(self, source: Source, tally: Tally, options: Options) -> Iterator[Trial]:
        """One trial per report. The source is read twice, first for the configs."""
        configs = _configs(source, tally)
        for member in source.members(tally.leave_out):
            path = PurePosixPath(member.name)
            if not member.is_of(".json"):
                continue
            content = document(member, tally)
            if path.name == _CONFIG:
                continue
            if not isinstance(content, dict):
                continue
            # The tool leaves CodeCarbon's output beside its report, as forward_codecarbon.json.
            if {"run_id", "energy_consumed"} <= content.keys():
                tally.leave_out(member.name, None, _OF_ONE_PHASE)
                continue
            report = content.get("report", content)
            # benchmark.json contains both; benchmark_report.json is the report alone.
            beside = configs.get(str(path.parent), "null")
            config = content["config"] if "config" in content else json.loads(beside)
            tally.rows += 1
            try:
                if config is None:
                    raise ValueError("no config beside this report (benchmark_config.json)")
                tally.place(member.name, None)
                yield _trial(config, report, options)
            except (msgspec.ValidationError, ValueError, OverflowError) as error:
                tally.leave_out(member.name, None, str(error))


importer = OptimumBenchmarkImporter()


def _configs(source: Source, tally: Tally) -> dict[str, str]:
    """The configs by their folder, as JSON. The members of an archive come in any order, so one
    may stand behind its report."""
    configs: dict[str, str] = {}
    room = _MAX_CONFIG_BYTES
    # An archive that cannot be read to its end gives what it has; the second reading reports it.
    with contextlib.suppress(ImportDataError):
        for member in source.members(lambda *_: None):
            path = PurePosixPath(member.name)
            if path.name != _CONFIG:
                continue
            # As text: a document of empty lists takes twenty times the memory of its text.
            text = json.dumps(document(member, Tally()))
            room -= len(text)
            if room < 0:
                reason = (
                    f"the configs have over {_MAX_CONFIG_BYTES >> 20} MiB: import the runs apart"
                )
                tally.leave_out(member.name, None, reason)
                break
            configs[str(path.parent)] = text
    return configs


def _trial(raw: Any, report: Any, options: Options) -> Trial:
    config = msgspec.convert(raw, _Config)
    if not isinstance(report, dict):
        raise ValueError("the report is not a JSON object")
    if config.scenario.name != "inference":
        known = _OTHER_SCENARIOS.get(config.scenario.name)
        raise ValueError(known or f"unknown scenario {config.scenario.name[:40]!r}")
    parts = _parts(report)
    backend = config.backend
    batch_size = config.scenario.input_shapes.batch_size
    # On a CPU, no figure of a GPU is missing; on a GPU, a 0 is a reading that failed.
    has_gpu = backend.device.lower() not in ("cpu", build.UNKNOWN)
    for part in parts:
        _check_rates(part, batch_size)
    phases = {"query": _phase(parts, batch_size, has_gpu=has_gpu)}
    if report.get("load_model"):
        load = msgspec.convert(report["load_model"], _Part)
        if load.energy is not None and load.latency is not None:
            phases = {"load": _phase([load], None, has_gpu=has_gpu), **phases}
    times = parts[0].latency
    latency = None
    # The percentiles of a whole call do not follow from those of prefill and decode.
    if len(parts) == 1 and times is not None:
        latency = Latency(p50=times.p50, p95=times.p95, mean=times.mean, n=times.count)
    return Trial(
        uid=f"{SOURCE}:{build.digest([msgspec.to_builtins(config), report])}",
        study=options.study or SOURCE,
        cell=build.cell(
            SOURCE,
            task=backend.task,
            # The tool generates random inputs of given shapes; there is no dataset.
            dataset="random inputs",
            model=backend.model,
            category="unknown",
            backend=backend.name,
            settings={
                "batch_size": batch_size,
                "device": backend.device,
                "dtype": backend.torch_dtype,
                "quantization": backend.quantization_scheme,
            }
            | _further(raw),
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
        notes=("energy of the mean call; optimum-benchmark's window may include its own start",),
    )


def _further(config: dict[str, Any]) -> dict[str, Any]:
    """Other settings of a run that affect its energy: lengths of inputs and answers, and how the
    model was loaded. Runs that differ in them are different cells."""
    shapes = config["scenario"].get("input_shapes") or {}
    further = {f"inputs.{name}": value for name, value in shapes.items() if name != "batch_size"}
    for part, names in _TOLD_OR_IDLE.items():
        further |= {
            f"{part}.{name}": value
            for name, value in config[part].items()
            if name not in names and value not in (None, False, {}, [])
        }
    return further


def _parts(report: dict[str, Any]) -> list[_Part]:
    """The parts of one call."""
    queries = [q for q in _QUERIES if any(report.get(name) for name in q)]
    if not queries:
        raise ValueError("no forward, call, or prefill and decode in this report")
    if len(queries) > 1:
        several = " and ".join(name for q in queries for name in q if report.get(name))
        raise ValueError(f"{several} in one report: it is not known which of them is one inference")
    missing = [name for name in queries[0] if not report.get(name)]
    if missing:
        raise ValueError(
            f"no {missing[0]} in this report: an inference is {' and '.join(queries[0])}"
        )
    return [msgspec.convert(report[name], _Part) for name in queries[0]]


def _check_rates(part: _Part, batch_size: int) -> None:
    """Samples per second and per kWh must follow from the latency and the energy."""
    if part.latency is None or part.energy is None:
        return
    kwh = part.energy.total or sum(
        filter(None, (part.energy.cpu, part.energy.ram, part.energy.gpu))
    )
    for name, rate, unit, of_call in (
        ("throughput", part.throughput, "samples/s", part.latency.mean),
        ("efficiency", part.efficiency, "samples/kWh", kwh),
    ):
        if rate is None or rate.unit != unit or not (rate.value > 0 and of_call > 0):
            continue
        if fault := disagreement(
            f"{name} ({unit})", rate.value, "the mean call", batch_size / of_call
        ):
            raise ValueError(fault)


# complex: which parts of which device add up to a figure is one table of cases
def _phase(parts: list[_Part], inferences: int | None, *, has_gpu: bool) -> Phase:
    known: tuple[tuple[str, str, DomainKind, Provenance, tuple[float, float]], ...] = (
        ("cpu", "cpu:0", "cpu", Provenance.ESTIMATED, CPU_ACCURACY),
        ("ram", "dram:0", "dram", Provenance.ESTIMATED, RAM_ACCURACY),
        ("gpu", "gpu", "gpu", Provenance.MEASURED, GPU_ACCURACY),
    )
    seconds = sum(_seconds(part) for part in parts)
    domains: dict[str, DomainEnergy] = {}
    problems: dict[str, Problem] = {}
    for column, name, kind, provenance, accuracy in known:
        logged = [getattr(part.energy, column) for part in parts]
        if any(kwh is not None and not 0 <= kwh < float("inf") for kwh in logged):
            raise ValueError(f"{column} energy is negative or not finite")
        # The tool writes 0 both if there is no GPU and if it did not read it.
        if column == "gpu" and not any(logged) and not has_gpu:
            continue
        joules = joules_from_kwh(sum(kwh for kwh in logged if kwh is not None))
        reason = (
            power_fault(kind, joules, seconds)
            if all(logged)
            else "0 or nothing was logged for a part of the call or all of it"
        )
        if reason is None:
            domains[name] = build.domain(joules, kind, SOURCE, provenance, accuracy)
        else:
            problems[name] = Problem(reason=reason, kind=kind)
    if not domains:
        reasons = "; ".join(sorted({problem.reason for problem in problems.values()}))
        raise ValueError(f"no component has an energy above 0 that can be true: {reasons}")
    return Phase(seconds=seconds, domains=domains, problems=problems, inferences=inferences)


def _seconds(part: _Part) -> float:
    """The mean latency of a part, after checking its units, latency and energies."""
    latency, energy = part.latency, part.energy
    if latency is None or energy is None:
        raise ValueError("latency or energy was not measured")
    if latency.unit != "s" or energy.unit != "kWh":
        raise ValueError(f"units {latency.unit} and {energy.unit}, not s and kWh")
    if not 0 < latency.mean < float("inf"):
        raise ValueError(f"a mean latency of {latency.mean} s")
    whole = sum(kwh for kwh in (energy.cpu, energy.ram, energy.gpu) if kwh is not None)
    # Written as what must hold: a NaN passes no comparison.
    if energy.total is not None and not (
        abs(energy.total - whole) <= _SUM_TOLERANCE * max(energy.total, whole)
    ):
        raise ValueError(f"total is {energy.total:g} kWh, but its parts add up to {whole:g}")
    return latency.mean
