"""MLPerf power logs in the form that LoadGen, SPEC PTDaemon and mlcommons/power-dev write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

BEGIN = datetime(2024, 7, 20, 17, 54, 38, 800_000, UTC)
PLACE = "closed/Acme/results/edge-box/resnet50/offline/performance"
ENTRIES: dict[str, Any] = {
    "loadgen_version": "4.1",
    "effective_scenario": "Offline",
    "effective_test_mode": "PerformanceOnly",
    "generated_query_count": 1,
    "generated_samples_per_query": 60_000,
    "result_validity": "VALID",
    "result_query_count": 1,
    "result_samples_per_second": 1000.0,
    "result_mean_latency_ns": 30_000_000_000,
}
SUMMARY = """================================================
MLPerf Results Summary
================================================
SUT name : KILT SUT
Scenario : Offline
"""
PTD_LOGS = """07-20-2024 17:50:00.000: Uncertainty checking for YokogawaWT310 is activated
07-20-2024 17:50:01.000: Go with mark 'testing'
"""


def clock(moment: datetime) -> str:
    """A time as both logs write it."""
    return f"{moment:%m-%d-%Y %H:%M:%S}.{moment.microsecond // 1000:03d}"


def spl(
    power_w: Callable[[float], float] | float,
    *,
    first_s: float = -5.0,
    last_s: float = 70.0,
    shift_s: float = 0.0,
) -> str:
    """A sample a second, from ``first_s`` to ``last_s`` after the run began."""
    rows, at_s = [], first_s
    while at_s <= last_s:
        watts = power_w if isinstance(power_w, int | float) else power_w(at_s)
        moment = BEGIN + timedelta(seconds=at_s + shift_s)
        rows.append(
            f"Time,{clock(moment)},Watts,{watts:f},Volts,228.370000,Amps,0.204280,PF,0.502300,"
            "Mark,2024-07-20_testing\n"
        )
        at_s += 1.0
    return "".join(rows)


def detail(changes: dict[str, Any], seconds: float = 60.0) -> str:
    """LoadGen's log of a run of so many seconds; a change to None leaves an entry out."""
    marks = {"power_begin": clock(BEGIN), "power_end": clock(BEGIN + timedelta(seconds=seconds))}
    entries = {**ENTRIES, **marks, **changes}
    rest = {"time_ms": 1.5, "namespace": "mlperf::logging", "event_type": "POINT_IN_TIME"}
    return "".join(
        f":::MLLOG {json.dumps({'key': key, 'value': value, **rest, 'metadata': {}})}\n"
        for key, value in entries.items()
        if value is not None
    )


def write(root: Path, files: dict[str, str], place: str = PLACE) -> Path:
    """The files of a performance folder; returns ``root``."""
    for name, content in files.items():
        path = root / place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def run(
    changes: dict[str, Any] | None = None,
    power_w: Callable[[float], float] | float = 100.0,
    leave_out: Iterable[str] = (),
    of_spl: dict[str, float] | None = None,
) -> dict[str, str]:
    """Every file of a run, by its name within the performance folder."""
    identify = {"cmd": "Identify", "reply": "YokogawaWT310,C2PH13047V,version=1.10.0-0929dd45"}
    files = {
        "run_1/spl.txt": spl(power_w, **(of_spl or {})),
        "run_1/mlperf_log_detail.txt": detail(changes or {}),
        "run_1/mlperf_log_summary.txt": SUMMARY,
        "ranging/spl.txt": spl(500.0),
        "ranging/mlperf_log_detail.txt": detail({}),
        "power/client.json": json.dumps({"timezone": 0, "version": 1}),
        "power/server.json": json.dumps({"timezone": 0, "ptd_messages": [identify]}),
        "power/ptd_logs.txt": PTD_LOGS,
    }
    return {name: text for name, text in files.items() if name not in leave_out}
