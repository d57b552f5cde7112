"""Recordings of GPUs beside an external meter: read, refused, replayed through the real meter."""

from __future__ import annotations

import importlib
import json
import lzma
import struct
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.shared import shared

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
START_US = 1_700_000_000_000_000
HEADER = "timestamp, pstate, power.draw [W], power.draw.instant [W]\n"
VOLTS, AMPERES = 1586, 512  # 12.0 V and 25.0 A in the meter's units: 299.9 W


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def record(folder: Path, seconds: int = 12, packed: bool = True, power: str = "299.9") -> Path:
    """A recording of a constant 299.9 W, in the form of those that were published."""
    folder.mkdir()
    meter = bytearray()
    for i in range(seconds * 500):
        pair = (VOLTS << 4, AMPERES << 4)
        meter += struct.pack("<9H", round(i * 5867) % 65_536, *pair, 0, 0, 0, 0, 0, 0)
    if packed:
        (folder / "PMD_data.bin.xz").write_bytes(lzma.compress(bytes(meter)))
    else:
        (folder / "PMD_data.bin").write_bytes(bytes(meter))
    (folder / "PMD_start_ts.txt").write_text(f"{START_US + 50_000}")
    (folder / "timestamps.csv").write_text(
        "timestamp\n" + "".join(f"{START_US + s * 1_000_000}\n" for s in range(1, seconds))
    )
    rows = [HEADER]
    for i in range(seconds * 50):
        moment = datetime.fromtimestamp(START_US / 1e6 + 3600 + i * 0.02, UTC)
        rows.append(f"{moment:%Y/%m/%d %H:%M:%S.%f}"[:-3] + f", P0, {power}, {power}\n")
    (folder / "gpudata.csv").write_text("".join(rows) + "2023/11/14 23:13:3")
    return folder


@pytest.mark.parametrize("packed", [True, False])
def test_a_recording_is_read_whatever_its_zone(load: Any, tmp_path: Path, packed: bool) -> None:
    recording = load("gpu_recordings").load(record(tmp_path / "4090_step", packed=packed))
    first, last = recording.bounds_ns(0.3)
    assert recording.capability == (8, 9)
    assert (last - first) / 1e9 == pytest.approx(11.4, abs=0.05)
    truth_w = recording.truth_j(first, last) / ((last - first) / 1e9)
    assert truth_w == pytest.approx(VOLTS * 0.007568 * AMPERES * 0.0488, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "capability"),
    [("A100_step", (8, 0)), ("K40m_TR", (3, 5)), ("V100", (7, 0)), ("some_card", None)],
)
def test_the_card_is_read_from_the_folder(
    load: Any, tmp_path: Path, name: str, capability: tuple[int, int] | None
) -> None:
    assert load("gpu_recordings").load(record(tmp_path / name)).capability == capability


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("gpudata.csv", "timestamp, temperature.gpu\n"),
        ("gpudata.csv", ""),
        ("PMD_start_ts.txt", "yesterday"),
        ("PMD_start_ts.txt", "1"),
        ("PMD_data.bin.xz", "no archive"),
        ("timestamps.csv", "timestamp\nnever\n"),
    ],
)
def test_a_bad_recording_is_one_line(tmp_path: Path, file: str, text: str) -> None:
    folder = record(tmp_path / "A100_step")
    (folder / file).write_text(text)
    command = [sys.executable, str(BENCHMARKS / "gpu_traces.py"), "--windows", "1", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert str(folder) in done.stderr


def test_rows_of_a_constant_power(load: Any, tmp_path: Path) -> None:
    folder, target = record(tmp_path / "3090_step"), tmp_path / "rows.json"
    command = [sys.executable, str(BENCHMARKS / "gpu_traces.py"), "--windows", "4"]
    subprocess.run([*command, "--json", str(target), str(folder)], check=True, capture_output=True)
    document = json.loads(target.read_text())
    assert document["schema"] == 1
    rows = {(row["reading"], row["window_s"]): row for row in document["rows"]}
    row = rows["instant", 4.0]
    assert (row["windows"], row["refused"], row["outside"]) == (4, 0, 0)
    assert abs(row["error_worst"]) < 0.001
    assert 0.05 < row["half_width_median"] < 0.12
    assert rows["average", 1.0]["refused"] == 4  # one window of the average is no measurement
    assert rows["instant", None]["windows"] > 0  # placed between phases of load


@pytest.mark.parametrize("name", ["3090_square_wave", "3090_step", "A100_square_wave", "A100_step"])
def test_the_truth_of_published_recordings_is_within_the_interval(load: Any, name: str) -> None:
    recording = load("gpu_recordings").load(shared(f"gpu_power_traces/{name}"))
    traces = load("gpu_traces")
    for reading in recording.power_w:
        for window_s in (1.0, 4.0):
            spans = traces.windows(recording, window_s, 20)
            row = traces.row(recording, reading, window_s, spans, traces.permille)
            assert row.outside <= 1
            if window_s == 4.0:
                assert row.refused <= 3
