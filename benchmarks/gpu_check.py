"""What NVML's meter is worth on this machine: one run on a GPU, a table and a JSON.

    python benchmarks/gpu_check.py [--seconds S] [--steps LIST] [--json FILE]

Without a GPU it says "not run" and exits 0. The steps, per GPU:

    tick       how often the energy counter steps, over many steps
    agreement  the counter against the power reading, integrated over the same stretch
    idle       power while this script does nothing
    adding up  two adjacent spans against the one around both
    reads      the counter's mean power when it is read every 1 s, 0.1 s and 10 ms: the same, unless
               reading disturbs it
    sensor     steps of load: how far each power reading lies behind, and the window that follows
               from it, beside what permille takes it for (needs torch with CUDA)
    added      time that permille adds to 1 ms kernels (needs torch with CUDA)
    quickstart permille run quickstart (needs its assets: permille assets fetch quickstart)
    replicas   ten cells of the study of 2023 as replicas on the GPU (needs torch with CUDA)
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gpu_sensor
import gpu_studies
import msgspec

import permille
from permille.meters import MeterUnavailable, Reading, nvml_power
from permille.meters.nvml import NvmlMeter, open_meter
from permille.meters.nvml_gpu import NvmlGpu, optional
from permille.study.worker.queries import one_pass

Infer = Callable[[], None]
READ_S = 0.001
POWER_S = 0.02
SENSOR_POLL_S = 0.005
LOAD_STEPS = 6
QUICKSTART_S, REPLICAS_S = 300.0, 560.0
CELLS = Path(__file__).with_name("gpu_cells.toml")
READ_EVERY_S = (1.0, 0.1, 0.01)
STEPS = ("counter", "agreement", "adding_up", "reads", "sensor", "added", "quickstart", "replicas")
NO_LOAD = "not run: torch with CUDA cannot be imported"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each check")
    parser.add_argument(
        "--steps", type=_steps, default=STEPS, help=f"only these of {','.join(STEPS)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    try:
        meter = open_meter()
    except MeterUnavailable as error:
        print(f"not run: {error}")
        return 0
    assert isinstance(meter, NvmlMeter)
    load = cuda_load()
    found: dict[str, Any] = {
        "schema": 1,
        "permille": permille.__version__,
        "driver": driver(),
        "devices": {d.name: d.device for d in meter.domains},
        "load": "1 ms kernels (torch)" if load else "none: torch with CUDA cannot be imported",
    }
    run: dict[str, Callable[[], Any]] = {
        "counter": lambda: counter(meter, args.seconds),
        "agreement": lambda: agreement(meter, args.seconds, load),
        "adding_up": lambda: adding_up(args.seconds / 4, load),
        "reads": lambda: reads(meter, args.seconds, load),
        "sensor": lambda: sensor(meter, load) if load else NO_LOAD,
        "added": lambda: added(load) if load else NO_LOAD,
        "quickstart": lambda: gpu_studies.study(["quickstart", "--repeats", "1"], QUICKSTART_S),
        "replicas": lambda: (
            gpu_studies.study([str(CELLS), "--device", "cuda"], REPLICAS_S) if load else NO_LOAD
        ),
    }
    found |= {step: run[step]() for step in STEPS if step in args.steps}
    meter.close()
    print(table(found))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    return 0


def _steps(text: str) -> tuple[str, ...]:
    steps = tuple(text.split(","))
    if not set(steps) <= set(STEPS):
        raise argparse.ArgumentTypeError(f"{text!r}: known are {', '.join(STEPS)}")
    return steps


def driver() -> str:
    import pynvml

    return str(pynvml.nvmlSystemGetDriverVersion())


def counter(meter: NvmlMeter, seconds: float) -> dict[str, dict[str, float | int | None]]:
    """By GPU with a counter: its tick (median, least, most, s) and its mean power meanwhile (W),
    with nothing of ours running."""
    series: dict[str, list[Reading]] = {d.name: [] for d in meter.domains}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for reading in meter.read():
            series[reading.domain].append(reading)
        time.sleep(READ_S)
    return {name: ticks(readings) for name, readings in series.items()}


def ticks(readings: Sequence[Reading]) -> dict[str, float | int | None]:
    """Of one GPU's readings. Pure. None where there is no counter, or too few steps."""
    told = [(r.t_ns, r.energy_j) for r in readings if r.energy_j is not None]
    steps = [b[0] for a, b in itertools.pairwise(told) if a[1] != b[1]]
    gaps = [(b - a) / 1e9 for a, b in itertools.pairwise(steps)]
    if not gaps:
        return {"steps": len(steps), "tick_s": None, "idle_w": None}
    level = dict(told)
    return {
        "steps": len(steps),
        "tick_s": statistics.median(gaps),
        "tick_least_s": min(gaps),
        "tick_most_s": max(gaps),
        "idle_w": (level[steps[-1]] - level[steps[0]]) / ((steps[-1] - steps[0]) / 1e9),
    }


def agreement(
    meter: NvmlMeter, seconds: float, infer: Infer | None
) -> dict[str, dict[str, float | None]]:
    """By GPU: mean power by the counter, by the power reading integrated, and their ratio; under
    load where there is one."""
    import pynvml

    handles = {
        d.name: pynvml.nvmlDeviceGetHandleByIndex(int(d.name.partition(":")[2]))
        for d in meter.domains
    }
    worker = threading.Thread(target=run_for, args=(infer, seconds + 1.0)) if infer else None
    if worker:
        worker.start()
        time.sleep(0.5)
    powers: dict[str, list[tuple[float, float]]] = {name: [] for name in handles}
    before = {r.domain: r for r in meter.read()}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, handle in handles.items():
            milliwatts = pynvml.nvmlDeviceGetPowerUsage(handle)
            powers[name].append((time.monotonic(), milliwatts / 1e3))
        time.sleep(POWER_S)
    after = {r.domain: r for r in meter.read()}
    if worker:
        worker.join()
    return {name: compared(before[name], after[name], powers[name]) for name in handles}


def compared(
    before: Reading, after: Reading, powers: Sequence[tuple[float, float]]
) -> dict[str, float | None]:
    """Mean watts by the counter beside those of (seconds, watts) by trapezes. Pure."""
    sampled_s = powers[-1][0] - powers[0][0]
    pairs = itertools.pairwise(powers)
    power_w = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairs) / sampled_s
    if before.energy_j is None or after.energy_j is None:
        return {"counter_w": None, "power_w": power_w, "ratio": None}
    counter_w = (after.energy_j - before.energy_j) / ((after.t_ns - before.t_ns) / 1e9)
    ratio = counter_w / power_w if power_w > 0 else None
    return {"counter_w": counter_w, "power_w": power_w, "ratio": ratio}


def reads(
    meter: NvmlMeter, seconds: float, infer: Infer | None
) -> dict[str, dict[str, float | None]]:
    """By GPU: the counter's mean watts by how often it was read (s), each way twice, in turns and
    under load where there is one. Dauner et al. (HotCarbon 2026) found one that falls short when it
    is read often."""
    watts: dict[str, dict[float, list[float]]] = {d.name: {} for d in meter.domains}
    # There and back, so that a steady drift (a GPU that warms up) is in all means alike.
    for every_s in (*READ_EVERY_S, *reversed(READ_EVERY_S)):
        worker = threading.Thread(target=run_for, args=(infer, seconds + 1.0)) if infer else None
        if worker:
            worker.start()
            time.sleep(0.5)
        for name, points in _polled(meter, seconds, every_s).items():
            if (mean := mean_w(points)) is not None:
                watts[name].setdefault(every_s, []).append(mean)
        if worker:
            worker.join()
    return {
        name: {
            f"{every_s:g}": statistics.fmean(of[every_s]) if every_s in of else None
            for every_s in READ_EVERY_S
        }
        for name, of in watts.items()
    }


def _polled(meter: NvmlMeter, seconds: float, every_s: float) -> dict[str, list[Reading]]:
    series: dict[str, list[Reading]] = {}
    end = time.monotonic() + seconds
    while True:
        for reading in meter.read():
            series.setdefault(reading.domain, []).append(reading)
        if time.monotonic() + every_s > end:
            return series
        time.sleep(every_s)


def mean_w(readings: Sequence[Reading]) -> float | None:
    """Of a counter, from its first step to its last; None without two. Pure."""
    readings_j = [(r.t_ns, r.energy_j) for r in readings if r.energy_j is not None]
    steps = [b for a, b in itertools.pairwise(readings_j) if a[1] != b[1]]
    if len(steps) < 2:
        return None
    (first_ns, first_j), (last_ns, last_j) = steps[0], steps[-1]
    return (last_j - first_j) / ((last_ns - first_ns) / 1e9)


def sensor(meter: NvmlMeter, infer: Infer) -> dict[str, dict[str, Any]]:
    """By GPU and reading: what steps of load say of it, beside what permille takes it for."""
    import pynvml

    read: dict[str, Callable[[], float | None]] = {}
    stated: dict[str, nvml_power.Source] = {}
    for domain in meter.domains:
        handle = pynvml.nvmlDeviceGetHandleByIndex(int(domain.name.partition(":")[2]))
        for source in ("counter", "instant", "power"):
            gpu = NvmlGpu(handle, domain, source, "")
            if _answers(gpu):
                read[f"{domain.name} {source}"] = partial(gpu.value, pynvml)
                stated[f"{domain.name} {source}"] = source
    points, edges = gpu_sensor.record_steps(
        read, partial(run_for, infer), LOAD_STEPS, SENSOR_POLL_S
    )
    figures: dict[str, dict[str, Any]] = {}
    for name, source in stated.items():
        if source == "counter":
            continue
        gpu_name = name.rpartition(" ")[0]
        energy_j = gpu_sensor.interpolated(points.get(f"{gpu_name} counter", []))
        measured = gpu_sensor.response(points[name], edges, energy_j)
        handle = pynvml.nvmlDeviceGetHandleByIndex(int(gpu_name.partition(":")[2]))
        taken = nvml_power.sensor(_capability(handle), source)
        figures[name] = {
            "measured": None if measured is None else measured._asdict(),
            "taken": None if taken is None else msgspec.to_builtins(taken),
        }
    return figures


def _answers(gpu: NvmlGpu) -> bool:
    import pynvml

    try:
        return gpu.value(pynvml) is not None
    except pynvml.NVMLError:
        return False


def _capability(handle: Any) -> tuple[int, int] | None:
    import pynvml

    return optional(pynvml, pynvml.nvmlDeviceGetCudaComputeCapability, handle)  # type: ignore[no-any-return]


def adding_up(seconds: float, infer: Infer | None) -> dict[str, dict[str, Any]]:
    """By domain: two adjacent spans and the one around both (J)."""

    def work(seconds: float) -> None:
        if infer:
            run_for(infer, seconds)
        else:
            time.sleep(seconds)

    with permille.record(boundary="node") as rec, rec.span("both"):
        with rec.span("first"):
            work(seconds)
        with rec.span("second"):
            work(seconds)
    phases = {name: rec.measured(name)[0].phase for name in ("first", "second", "both")}
    found: dict[str, dict[str, Any]] = {}
    for domain in (s.domain.name for s in rec.recording.series):
        problems = [p.problems[domain].reason for p in phases.values() if domain in p.problems]
        if problems:
            found[domain] = {"reason": problems[0]}
            continue
        parts = {name: phase.domains[domain] for name, phase in phases.items()}
        rest_j = parts["both"].energy_j - parts["first"].energy_j - parts["second"].energy_j
        edge_j = sum(part.edge_j**2 for part in parts.values()) ** 0.5
        found[domain] = {
            **{f"{name}_j": part.energy_j for name, part in parts.items()},
            "rest_j": rest_j,
            "stated_j": 2 * edge_j,
        }
    return found


def cuda_load() -> Infer | None:
    """Kernels of about 1 ms in all, waited for. None without torch and CUDA."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    size = 1024
    a = torch.randn(size, size, device="cuda")

    def kernels(times: int) -> float:
        torch.cuda.synchronize()
        began = time.monotonic()
        for _ in range(times):
            torch.mm(a, a)
        torch.cuda.synchronize()
        return (time.monotonic() - began) / times

    # The first ones set up cuBLAS, and the clocks still rise.
    kernels(50)
    in_one = max(1, round(0.001 / kernels(200)))

    def infer() -> None:
        for _ in range(in_one):
            torch.mm(a, a)
        torch.cuda.synchronize()

    return infer


def run_for(infer: Infer, seconds: float) -> int:
    """Inferences one by one for so long; how many."""
    done, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        infer()
        done += 1
    return done


def added(infer: Infer, repeats: int = 5, n: int = 500) -> dict[str, float]:
    """Microseconds an inference, in the worker's loop within a recording, and in a plain loop
    without one; by turns."""
    bare, under = [], []
    for _ in range(repeats):
        began = time.monotonic()
        for _ in range(n):
            infer()
        bare.append(_each_us(time.monotonic() - began, n))
        with permille.record() as rec, rec.span("query"):
            began = time.monotonic()
            one_pass(lambda _: infer(), [None] * n, array("q"), [])
            under.append(_each_us(time.monotonic() - began, n))
    return {
        "bare_us": statistics.median(bare),
        "under_us": statistics.median(under),
        "added_us": statistics.median(under) - statistics.median(bare),
    }


def _each_us(seconds: float, n: int) -> float:
    return 1e6 * seconds / n


def table(found: dict[str, Any]) -> str:
    """For people: the steps that were run."""
    lines = [f"permille {found['permille']}, driver {found['driver']}, load: {found['load']}"]
    for name, device in found["devices"].items():
        lines.append(f"{name} {device}")
        if tick := found.get("counter", {}).get(name):
            lines.append(f"  tick       {_ms(tick['tick_s'])}, {tick['steps']} steps seen")
            lines.append(f"  idle       {_number(tick['idle_w'], 'W')}")
        if agreed := found.get("agreement", {}).get(name):
            lines.append(
                f"  agreement  counter {_number(agreed['counter_w'], 'W')}, integrated power"
                f" {_number(agreed['power_w'], 'W')}, ratio {_number(agreed['ratio'], '')}"
            )
    for step, write in (
        ("adding_up", _adding_up_lines),
        ("reads", _reads_lines),
        ("sensor", _sensor_lines),
        ("added", _added_lines),
        ("quickstart", _study_lines),
        ("replicas", _study_lines),
    ):
        if isinstance(found.get(step), str):
            lines.append(f"{step}: {found[step]}")
        elif step in found:
            lines += [f"{step}: {line}" for line in write(found[step])]
    return "\n".join(lines)


def _adding_up_lines(sums_of: dict[str, Any]) -> list[str]:
    return [
        f"{name}: no figure: {sums['reason']}"
        if "reason" in sums
        else f"{name}: {sums['first_j']:.4g} + {sums['second_j']:.4g} J in {sums['both_j']:.4g} J;"
        f" rest {sums['rest_j']:.3g} J, stated ±{sums['stated_j']:.3g} J"
        for name, sums in sums_of.items()
    ]


def _reads_lines(watts_of: dict[str, Any]) -> list[str]:
    return [
        f"{name}: counter "
        + ", ".join(f"{_number(watts, 'W')} read every {every} s" for every, watts in of.items())
        for name, of in watts_of.items()
    ]


def _sensor_lines(readings: dict[str, Any]) -> list[str]:
    lines = []
    for name, one in readings.items():
        taken, measured = one["taken"], one["measured"]
        if measured is None:
            lines.append(f"{name}: no step of load in it")
            continue
        most = "" if measured["rise_s"] is not None else "at most "
        lines.append(
            f"{name}: updated every {_ms(measured['period_s'])}, averaged over {most}"
            f"{_ms(measured['window_s'])} ({measured['steps']} steps); taken as"
            f" {_ms(taken['period_s'])} and {_ms(taken['window_s'])}"
        )
    return lines


def _added_lines(extra: dict[str, float]) -> list[str]:
    return [f"{extra['added_us']:.3g} us to 1 ms kernels ({extra['bare_us']:.5g} us bare)"]


def _study_lines(study: dict[str, Any]) -> list[str]:
    lines = [
        f"{study['cells']} cells with a figure, trials: {study['trials']}, {study['seconds']:.0f} s"
        + (f"; {study['reason']}" if study["reason"] else "")
    ]
    lines += [
        f"{model}: {name} {_number(joules, 'J')} per 1,000"
        for model, of_gpu in study["gpu_j_per_1000"].items()
        for name, joules in of_gpu.items()
    ]
    return [*lines, *study["reasons"]]


def _ms(seconds: float | None) -> str:
    return "not seen" if seconds is None else f"{1000 * seconds:.3g} ms"


def _number(value: float | None, unit: str) -> str:
    return "n/a" if value is None else f"{value:.5g} {unit}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
