"""permille's NVML meter and energy arithmetic on recordings beside an external meter.

``python benchmarks/gpu_traces.py DIR...``: each DIR is a recording, or a folder of recordings (see
``gpu_recordings.py``). The meter and the recorder's poller are the real ones; only NVML's answers
and the clock are replayed.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import pynvml
from gpu_recordings import BadRecording, GpuRecording, load

from permille.energy.span_energy import span_energy
from permille.meters import nvml
from permille.meters.nvml_gpu import open_gpu
from permille.recorder.poller import POLL_S, Poller
from permille.records.energy import Refused
from permille.records.recording import Span

WINDOWS_S = (0.3, 0.5, 1.0, 2.0, 4.0, 8.0)
MARGIN_S = 0.3
"""Left out at both ends of a recording. Polls after its end find the last reading."""
LEAD_S = 0.5
"""Polled before a window; after it, until the readings of its end have come."""


@dataclass(frozen=True)
class Row:
    """Windows of one length; ``window_s`` None: placed as the runner places query spans. ``errors``
    and the half-width are relative to the external meter and to the figure."""

    recording: str
    reading: str
    window_s: float | None
    windows: int
    refused: int
    outside: int
    error_median: float | None
    error_worst: float | None
    half_width_median: float | None


@dataclass(frozen=True)
class Figure:
    """A tool's joules, and from where to where it says that the truth lies."""

    energy_j: float
    low_j: float | None = None
    high_j: float | None = None


ZEUS_POLL_NS = 50_000_000
"""Half of the update period of these cards."""

Measure = Callable[[GpuRecording, str, int, int], Figure | None]


def _not_supported(*_: object) -> NoReturn:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


class ReplayedNvml:
    """pynvml, but for a GPU without a counter whose power is what a recording says at ``now_ns``.

    ``reading`` decides which: with "average" the driver has no field POWER_INSTANT.
    """

    def __init__(self, recording: GpuRecording, reading: str, now_ns: int) -> None:
        self._recording, self._reading = recording, reading
        self.now_ns = now_ns

        self._answers: dict[str, Callable[..., Any]] = {
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetCudaComputeCapability": self._capability,
            "nvmlDeviceGetPowerUsage": lambda _: self._power_mw(),
            "nvmlDeviceGetFieldValues": self._fields,
        }

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvmlDevice"):
            return getattr(pynvml, name)
        return self._answers.get(name, _not_supported)

    def _power_mw(self) -> int:
        return round(1000 * self._recording.reading_w(self._reading, self.now_ns))

    def _capability(self, _: int) -> tuple[int, int]:
        return self._recording.capability or _not_supported()

    def _fields(self, _: int, ids: list[int]) -> Any:
        if self._reading != "instant" or ids != [pynvml.NVML_FI_DEV_POWER_INSTANT]:
            _not_supported()
        values = (pynvml.c_nvmlFieldValue_t * 1)()
        values[0].value.uiVal = self._power_mw()
        return values

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(1e9 * seconds)


def permille(recording: GpuRecording, reading: str, t0_ns: int, t1_ns: int) -> Figure | None:
    """The span's energy by the NVML meter, the poller, the series and ``energy.span_energy``."""
    begin_ns = t0_ns - round(1e9 * LEAD_S)
    replayed = ReplayedNvml(recording, reading, begin_ns - round(1e9 * nvml.WATCH_S))
    gpu = open_gpu(replayed, 0)
    meter = nvml.NvmlMeter(
        replayed, [gpu], {}, clock_ns=lambda: replayed.now_ns, sleep=replayed.sleep
    )
    poller = Poller([meter])
    lag_s = meter.domains[0].sensor.lag_s if meter.domains[0].sensor else 0.0
    end_ns = t1_ns + round(1e9 * (lag_s + POLL_S))
    step_ns = round(1e9 * poller.interval_s)
    polls = [*range(begin_ns, t0_ns, step_ns), *range(t0_ns, t1_ns, step_ns)]
    for replayed.now_ns in [*polls, *range(t1_ns, end_ns + step_ns, step_ns)]:
        poller.poll()
    builder = poller.counters["gpu:0"]
    figure = span_energy(
        builder.series(), Span(name="query", t0_ns=t0_ns, t1_ns=t1_ns), builder.events(end_ns)
    )
    if isinstance(figure, Refused):
        return None
    low, high = figure.accuracy_low * figure.energy_j, figure.accuracy_high * figure.energy_j
    edge_j = 2 * figure.edge_j
    return Figure(
        figure.energy_j,
        figure.energy_j - math.hypot(low, edge_j),
        figure.energy_j + math.hypot(high, edge_j),
    )


def zeus(recording: GpuRecording, reading: str, t0_ns: int, t1_ns: int) -> Figure | None:
    """zeus without a counter, by its source (zeus/monitor/power.py, PowerMonitor.get_energy): polls
    at half the update period, of which only those with a new value are kept; the trapezoid over
    those within the window, and 0 J with fewer than two."""
    polls = range(-(-t0_ns // ZEUS_POLL_NS) * ZEUS_POLL_NS, t1_ns + 1, ZEUS_POLL_NS)
    before_w = recording.reading_w(reading, polls.start - ZEUS_POLL_NS)
    kept: list[tuple[int, float]] = []
    for t_ns in polls:
        power_w = recording.reading_w(reading, t_ns)
        if power_w != before_w:
            kept.append((t_ns, power_w))
        before_w = power_w
    return Figure(sum((b - a) / 1e9 * (v + w) / 2 for (a, v), (b, w) in pairwise(kept)))


def codecarbon(recording: GpuRecording, reading: str, t0_ns: int, t1_ns: int) -> Figure | None:
    """codecarbon without a counter, by its source (codecarbon/core/gpu_device.py,
    GPUDevice.delta): the latest power times the time since the measurement before, with
    measure_power_secs = 1, and at the end. It reads nvmlDeviceGetPowerUsage: the average."""
    times = [*range(t0_ns, t1_ns, 1_000_000_000), t1_ns]
    return Figure(sum((b - a) / 1e9 * recording.reading_w(reading, b) for a, b in pairwise(times)))


TOOLS: dict[str, Measure] = {"permille": permille, "zeus": zeus, "codecarbon": codecarbon}


def query_spans(recording: GpuRecording) -> list[tuple[int, int]]:
    """Spans as the runner places them: from the start of one phase of load to that of a later one,
    a second or longer."""
    first, last = recording.bounds_ns(MARGIN_S)
    inside = [t for t in recording.phases_ns if first <= t <= last]
    spans = [(a, b) for a in inside for b in inside if 1e9 <= b - a <= 8e9]
    return random.Random(0).sample(spans, min(len(spans), 200))


def windows(recording: GpuRecording, window_s: float, count: int) -> list[tuple[int, int]]:
    """Random windows of one length; none where the recording is too short."""
    first, last = recording.bounds_ns(MARGIN_S)
    width = round(1e9 * window_s)
    if last - first < width:
        return []
    # By name and length: each tool and each reading gets the same windows.
    draw = random.Random(f"{recording.name} {window_s}")
    starts = [draw.randint(first, last - width) for _ in range(count)]
    return [(start, start + width) for start in starts]


def row(
    recording: GpuRecording,
    reading: str,
    window_s: float | None,
    spans: list[tuple[int, int]],
    measure: Measure,
) -> Row:
    """What ``measure`` says of ``spans``."""
    errors, widths, outside = [], [], 0
    for t0_ns, t1_ns in spans:
        figure = measure(recording, reading, t0_ns, t1_ns)
        if figure is None:
            continue
        truth_j = recording.truth_j(t0_ns, t1_ns)
        errors.append(figure.energy_j / truth_j - 1)
        if figure.low_j is not None and figure.high_j is not None:
            outside += not figure.low_j <= truth_j <= figure.high_j
            widths.append((figure.high_j - figure.low_j) / 2 / figure.energy_j)
    return Row(
        recording=recording.name,
        reading=reading,
        window_s=window_s,
        windows=len(spans),
        refused=len(spans) - len(errors),
        outside=outside,
        error_median=statistics.median(errors) if errors else None,
        error_worst=max(errors, key=abs, default=None),
        half_width_median=statistics.median(widths) if widths else None,
    )


def rows(recording: GpuRecording, count: int, measure: Measure) -> Iterator[Row]:
    """Every reading of a recording, over every length of window and the query spans."""
    for reading in recording.power_w:
        for window_s in WINDOWS_S:
            spans = windows(recording, window_s, count)
            if spans:
                yield row(recording, reading, window_s, spans, measure)
        spans = query_spans(recording)
        if spans:
            yield row(recording, reading, None, spans, measure)


def folders(path: Path) -> list[Path]:
    """``path`` where it is a recording, else the folders within that are."""
    if (path / "gpudata.csv").exists():
        return [path]
    found = sorted(file.parent for file in path.rglob("gpudata.csv"))
    if not found:
        raise BadRecording(f"{path}: no gpudata.csv in it or below")
    return found


def show(row: Row) -> str:
    """A line of the table."""
    per_cent = [
        "" if value is None else f"{100 * value:+.1f} %"
        for value in (row.error_median, row.error_worst)
    ]
    width = "" if row.half_width_median is None else f"±{100 * row.half_width_median:.1f} %"
    given = row.windows - row.refused
    length = "query" if row.window_s is None else f"{row.window_s:g} s"
    return (
        f"| {row.recording} | {row.reading} | {length} | {row.windows} | {row.refused} "
        f"| {f'{100 * row.outside / given:.0f} %' if given and width else ''} "
        f"| {per_cent[0]} | {per_cent[1]} | {width} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--windows", type=int, default=200, help="of each length (200)")
    parser.add_argument("--tool", choices=TOOLS, default="permille", help="whose arithmetic")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    arguments = parser.parse_args()
    if arguments.windows < 1:
        parser.error("--windows: one or more")
    table: list[Row] = []
    bad = False
    print(
        "| recording | reading | window | windows | refused | outside | median | worst | stated |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for path in arguments.folders:
        try:
            for folder in folders(path):
                for found in rows(load(folder), arguments.windows, TOOLS[arguments.tool]):
                    table.append(found)
                    print(show(found), flush=True)
        except BadRecording as error:
            bad = True
            print(error, file=sys.stderr)
    if arguments.json is not None:
        document = {"schema": 1, "rows": [asdict(one) for one in table]}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    return 2 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
