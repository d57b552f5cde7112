"""Recordings of a GPU's own power readings beside an external meter, as Yang et al. published them.

A recording is a folder: ``gpudata.csv`` (what nvidia-smi printed), ``PMD_data.bin`` or
``PMD_data.bin.xz`` (the external meter), ``PMD_start_ts.txt`` and ``timestamps.csv``.
"""

from __future__ import annotations

import bisect
import csv
import lzma
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

LIMIT_BYTES = 256 << 20
RECORD_BYTES = 18
TICKS_PER_S = 2_933_500.0
VOLTS, AMPERES = 0.007568, 0.0488
LEAD_US = 50_000
HOUR_NS = 3_600_000_000_000
MOST_HOURS = 14
"""No time zone is further from UTC."""
COLUMNS = {"average": "power.draw [W]", "instant": "power.draw.instant [W]"}
CAPABILITIES = {
    r"[HG]H?[12]00": (9, 0),
    r"A100|A800|A30(?!\d)": (8, 0),
    r"30[5-9]0|A[2456]000|A10(?!\d)|A16|A40(?!\d)": (8, 6),
    r"40[5-9]0|L40?S?(?![a-z])": (8, 9),
    r"50[5-9]0": (12, 0),
    r"V100|TITAN ?V": (7, 0),
    r"20[5-8]0|16[5-6]0|T4(?!\d)|RTX[5-8]000": (7, 5),
    r"P100": (6, 0),
    r"10[5-8]0|P40(?!\d)": (6, 1),
    r"M40|M60|9[5-8]0|7[45]0": (5, 2),
    r"K[248]0|K80|7[78]0|TITAN": (3, 5),
}
"""Compute capability by the card's name within the folder's; NVML would state it."""


class BadRecording(Exception):
    """The folder is not a recording; the message says which file is at fault."""


@dataclass(frozen=True)
class GpuRecording:
    """One recording. Instants are Unix nanoseconds; ``energy_j`` is the external meter's."""

    name: str
    capability: tuple[int, int] | None
    read_ns: list[int]
    power_w: dict[str, list[float]]
    meter_ns: np.ndarray
    energy_j: np.ndarray
    phases_ns: list[int]

    def reading_w(self, reading: str, t_ns: int) -> float:
        """The latest figure at ``t_ns``."""
        at = bisect.bisect_right(self.read_ns, t_ns) - 1
        return self.power_w[reading][max(0, at)]

    def truth_j(self, t0_ns: int, t1_ns: int) -> float:
        """Joules of the external meter between two instants."""
        start = int(self.meter_ns[0])
        # interp computes in doubles, which have Unix time only in steps of 256 ns.
        at = np.interp([t0_ns - start, t1_ns - start], self.meter_ns - start, self.energy_j)
        return float(at[1] - at[0])

    def bounds_ns(self, margin_s: float) -> tuple[int, int]:
        """From where to where both have data, less ``margin_s`` on each side."""
        margin = round(margin_s * 1e9)
        first = max(self.read_ns[0], int(self.meter_ns[0])) + margin
        return first, min(self.read_ns[-1], int(self.meter_ns[-1])) - margin


def load(folder: Path) -> GpuRecording:
    """The recording in ``folder``.

    Raises:
        BadRecording: a file is missing, too large, or not what it should be.
    """
    try:
        start_ns = (int((folder / "PMD_start_ts.txt").read_text().strip()) - LEAD_US) * 1000
        phases = _phases(folder / "timestamps.csv")
        ticks_s, power_w = _meter(_meter_bytes(folder))
        read_ns, readings = _readings(folder / "gpudata.csv")
    except (OSError, ValueError, KeyError, lzma.LZMAError, EOFError, csv.Error) as error:
        raise BadRecording(f"{folder} is not a recording: {error}") from error
    meter_ns = start_ns + np.round(ticks_s * 1e9).astype(np.int64)
    step_j = np.diff(ticks_s) * (power_w[1:] + power_w[:-1]) / 2
    energy_j = np.concatenate([[0.0], np.cumsum(step_j)])
    hours = round((read_ns[0] - start_ns) / HOUR_NS)  # local time, whose zone the file lacks
    if abs(hours) > MOST_HOURS:
        raise BadRecording(f"{folder}: the readings and the external meter lie {hours} hours apart")
    recording = GpuRecording(
        name=folder.name,
        capability=_capability(folder),
        read_ns=[t - hours * HOUR_NS for t in read_ns],
        power_w=readings,
        meter_ns=meter_ns,
        energy_j=energy_j,
        phases_ns=phases,
    )
    first, last = recording.bounds_ns(0.3)
    if last - first < 1e9:
        raise BadRecording(f"{folder}: the readings and the external meter share no full second")
    return recording


def _capability(folder: Path) -> tuple[int, int] | None:
    """Of the card that the folder, or the one above it, is named after."""
    for name in (folder.name, folder.resolve().parent.name):
        for pattern, capability in CAPABILITIES.items():
            if re.search(rf"(?<![0-9A-Z])(?:{pattern})", name, re.IGNORECASE):
                return capability
    return None


def _phases(path: Path) -> list[int]:
    lines = path.read_text().split()[1:]
    return sorted({int(line) * 1000 for line in lines})


def _meter_bytes(folder: Path) -> bytes:
    packed, plain = folder / "PMD_data.bin.xz", folder / "PMD_data.bin"
    if packed.exists():
        with lzma.open(packed) as file:
            # A few kB of xz may unpack to any size; one byte more tells that there is more.
            raw = file.read(LIMIT_BYTES + 1)
    else:
        with plain.open("rb") as file:
            raw = file.read(LIMIT_BYTES + 1)
    if len(raw) > LIMIT_BYTES:
        raise ValueError(f"the external meter's data exceeds {LIMIT_BYTES >> 20} MiB")
    return raw


def _meter(raw: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since the first record, and the card's watts, of each record."""
    count = len(raw) // RECORD_BYTES
    if count < 1000:
        raise ValueError(f"the external meter has {count} records")
    table = np.frombuffer(raw[: count * RECORD_BYTES], dtype="<u2").reshape(count, 9)
    # The ticks are a counter of 16 bits, which wraps every 22 ms.
    steps = np.mod(np.diff(table[:, 0].astype(np.int64)), 65_536)
    values = np.maximum(table[:, 1:].view("<i2") >> 4, 0).astype(float)
    power_w = (values[:, 0::2] * VOLTS * values[:, 1::2] * AMPERES).sum(axis=1)
    return np.concatenate([[0.0], np.cumsum(steps) / TICKS_PER_S]), power_w


def _readings(path: Path) -> tuple[list[int], dict[str, list[float]]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, skipinitialspace=True))
    if not rows:
        raise ValueError("gpudata.csv is empty")
    header = [name.strip() for name in rows[0]]
    found = {name: header.index(column) for name, column in COLUMNS.items() if column in header}
    if not found:
        raise ValueError("gpudata.csv has no column power.draw [W] or power.draw.instant [W]")
    times: list[int] = []
    readings: dict[str, list[float]] = {name: [] for name in found}
    for row in rows[1:]:
        if len(row) != len(header):  # nvidia-smi was stopped while it wrote
            continue
        try:
            values = {name: float(row[at].removesuffix(" W")) for name, at in found.items()}
        except ValueError:  # "[N/A]" or "[Not Supported]"
            continue
        moment = datetime.strptime(row[0], "%Y/%m/%d %H:%M:%S.%f").replace(tzinfo=UTC)
        times.append(round(moment.timestamp() * 1000) * 1_000_000)
        for name, value in values.items():
            readings[name].append(value)
    if len(times) < 50:
        raise ValueError(f"gpudata.csv has {len(times)} usable readings")
    return times, readings
