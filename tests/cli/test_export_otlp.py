"""``permille export otlp``: OpenTelemetry's own messages read the file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from permille.cli import dispatch
from permille.records.machine import Environment
from permille.store import Store
from tests.otlp_collector import points
from tests.records import cell, trial

HOSTILE = 'evil"}]}\n\x1b[2J'


def test_each_figure_is_a_gauge_with_its_interval_at_its_last_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, file = tmp_path / "permille.db", tmp_path / "energy.jsonl"
    with Store(store) as opened:
        for repeat in range(2):
            day = f"2026-01-0{repeat + 1}T00:00:00+00:00"
            opened.add(trial(36.0 + 2 * repeat, model="small", repeat=repeat, started=day))
            opened.add(trial(50.0, model=HOSTILE, repeat=repeat))
            opened.add(trial(51.0, model="undated", repeat=repeat, started="never"))
        opened.add(trial(9.0, model="once"))
    assert dispatch(["export", "otlp", str(file), "--store", str(store)]) == 0
    err = capsys.readouterr().err
    assert "1 row is left out: no figure with an interval" in err
    assert "1 row is left out: a trial has no valid date" in err
    text = file.read_text(encoding="utf-8")
    assert text.count("\n") == 1
    received = points(json_format.Parse(text, ExportMetricsServiceRequest()))
    value, low, high = (
        {attributes["permille.model"]: (attributes, point) for attributes, point in each}
        for each in (received[f"permille.energy_per_1000{end}"] for end in ("", ".low", ".high"))
    )
    assert set(value) == {"small", 'evil"}]}  [2J'}
    attributes, point = value["small"]
    assert point.as_double == pytest.approx(37.0)
    assert low["small"][1].as_double < 37.0 < high["small"][1].as_double
    assert point.time_unix_nano == 1_767_312_000_000_000_000  # 2 January 2026
    assert attributes["permille.boundary"] == "compute"
    assert attributes["permille.provenance"] == "measured"
    assert "permille.weights" not in attributes


@pytest.mark.parametrize(
    "started",
    ["0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59+00:00", "9999-12-31T23:59:59-14:00"],
)
def test_a_time_that_otlp_cannot_hold_is_no_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], started: str
) -> None:
    store, file = tmp_path / "permille.db", tmp_path / "energy.jsonl"
    with Store(store) as opened:
        for repeat in range(2):
            opened.add(trial(36.0 + repeat, model="small", repeat=repeat))
            opened.add(trial(50.0 + repeat, model="ancient", repeat=repeat, started=started))
    assert dispatch(["export", "otlp", str(file), "--store", str(store)]) == 0
    assert "1 row is left out: a trial has no valid date" in capsys.readouterr().err
    message = json_format.Parse(file.read_text(), ExportMetricsServiceRequest())
    (figure,) = points(message)["permille.energy_per_1000"]
    assert figure[0]["permille.model"] == "small"


def test_the_time_of_a_figure_is_not_that_of_another_machine_or_backend(tmp_path: Path) -> None:
    store, file = tmp_path / "permille.db", tmp_path / "energy.jsonl"
    first = datetime(2026, 1, 1, tzinfo=UTC)
    of_others: dict[str, Any] = {
        "source": "another tool",
        "environment": Environment(fingerprint="both"),
    }
    with Store(store) as opened:
        for repeat in range(2):
            for day, machine in enumerate(("near", "far")):
                opened.add(
                    trial(36.0 + repeat, repeat=repeat, uid=f"{machine}{repeat}",
                          environment=Environment(fingerprint=machine),
                          started=(first + timedelta(days=day)).isoformat())
                )  # fmt: skip
            for day, backend in ((8, "onnx"), (9, "llama")):
                opened.add(
                    trial(36.0 + repeat, repeat=repeat, uid=f"{backend}{repeat}",
                          cell=cell(id=backend, backend=backend),
                          started=(first + timedelta(days=day)).isoformat(), **of_others)
                )  # fmt: skip
    assert dispatch(["export", "otlp", str(file), "--store", str(store)]) == 0
    message = json_format.Parse(file.read_text(), ExportMetricsServiceRequest())
    days = [
        (attributes["permille.fingerprint"], point.time_unix_nano)
        for attributes, point in points(message)["permille.energy_per_1000"]
    ]
    expected = (("near", 0), ("far", 1), ("both", 8), ("both", 9))
    ns = {day: int((first + timedelta(days=day)).timestamp()) * 10**9 for _, day in expected}
    assert sorted(days) == sorted((machine, ns[day]) for machine, day in expected)
