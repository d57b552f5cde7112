"""AIPerf's export and the result of vLLM's bench serve: files in the published formats."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from permille.analysis.boundaries import Bounded, within
from permille.records.recording import Provenance
from tests.conftest import Permille
from tests.importers.test_other_formats import read, saved

# GPU values: the example of AIPerf's docs/tutorials/gpu-telemetry.md.
AIPERF: dict[str, Any] = {
    "schema_version": "1.0",
    "request_throughput": {"unit": "requests/sec", "avg": 1.4},
    "request_count": {"unit": "requests", "avg": 64.0},
    "request_latency": {
        "unit": "ms", "avg": 700.0, "p50": 650.0, "p95": 900.0, "p99": 950.0, "min": 500.0,
        "max": 960.0, "std": 80.0,
    },
    "time_to_first_token": {"unit": "ms", "avg": 40.0, "p50": 35.0, "p95": 60.0, "p99": 70.0},
    "inter_token_latency": {"unit": "ms", "avg": 3.4, "p50": 3.3, "p95": 3.9, "p99": 4.1},
    "input_sequence_length": {"unit": "tokens", "avg": 100.0},
    "output_sequence_length": {"unit": "tokens", "avg": 200.0},
    "telemetry_data": {
        "summary": {
            "endpoints_configured": ["http://localhost:9401/metrics"],
            "endpoints_successful": ["http://localhost:9401/metrics"],
            "start_time": "2025-10-13T01:48:03.689885",
            "end_time": "2025-10-13T01:48:55.971544",
        },
        "endpoints": {
            "localhost:9401": {
                "gpus": {
                    "gpu_0": {
                        "gpu_index": 0,
                        "gpu_name": "NVIDIA H100 80GB HBM3",
                        "gpu_uuid": "GPU-afc3c15a-48a5-d669-0634-191c629f95fa",
                        "hostname": "69450c620e4d",
                        "metrics": {
                            "nvidia_power_usage": {
                                "avg": 348.69, "min": 120.57, "max": 386.02, "p10": None,
                                "count": 153, "unit": "W",
                            },
                            "nvidia_energy_consumption": {
                                "avg": 0.2378, "min": 0.229901671, "max": 0.246497393,
                                "count": 153, "unit": "MJ",
                            },
                        },
                    }
                }
            }
        },
    },
    "input_config": {
        "endpoint": {"model_names": ["Qwen/Qwen3-0.6B"], "type": "chat", "streaming": True},
        "loadgen": {"concurrency": 4, "request_count": 64},
    },
    "was_cancelled": False,
    "error_summary": [],
    "start_time": "2025-10-13T01:48:03.689885",
}  # fmt: skip

VLLM: dict[str, Any] = {
    "date": "20251013-014803",
    "endpoint_type": "vllm",
    "backend": "vllm",
    "label": None,
    "model_id": "Qwen/Qwen3-0.6B",
    "tokenizer_id": "Qwen/Qwen3-0.6B",
    "num_prompts": 100,
    "request_rate": "inf",
    "burstiness": 1.0,
    "max_concurrency": 8,
    "duration": 20.0,
    "completed": 98,
    "failed": 2,
    "total_input_tokens": 9800,
    "total_output_tokens": 12544,
    "request_throughput": 4.9,
    "request_goodput": None,
    "output_throughput": 627.2,
    "total_token_throughput": 1117.2,
    "mean_ttft_ms": 45.0, "median_ttft_ms": 40.0, "p95_ttft_ms": 80.0, "p99_ttft_ms": 90.0,
    "mean_tpot_ms": 5.2, "median_tpot_ms": 5.0, "p95_tpot_ms": 6.0, "p99_tpot_ms": 7.0,
    "mean_e2el_ms": 700.0, "median_e2el_ms": 690.0, "p95_e2el_ms": 800.0, "p99_e2el_ms": 850.0,
}  # fmt: skip


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The document with another value at a path of keys; None removes the key."""
    made = copy.deepcopy(document)
    *parents, last = path.split("/")
    inner = made
    for key in parents:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return made


GPU = "telemetry_data/endpoints/localhost:9401/gpus/gpu_0/metrics"


def test_aiperf_the_energy_is_what_the_counter_advanced_by(tmp_path: Path) -> None:
    (trial,), tally = read("aiperf", saved(tmp_path / "profile_export_aiperf.json", AIPERF))
    assert tally.bad == []
    query = trial.phases["query"]
    bounded = within(query, "accelerator")
    assert isinstance(bounded, Bounded)
    assert bounded.energy_j == pytest.approx(16_595.722)
    assert bounded.provenance is Provenance.MEASURED
    assert query.inferences == 64
    assert query.seconds == pytest.approx(52.281659)
    assert trial.started == "2025-10-13T01:48:03.689885"
    assert trial.counts == {"tokens_in": 6400.0, "tokens_out": 12800.0}
    assert trial.latency is not None
    assert (trial.latency.p95, trial.latency.first_token_p50) == (0.9, 0.035)
    assert trial.latency.output_token_p99 == pytest.approx(0.0041)
    assert trial.cell.model == "Qwen/Qwen3-0.6B"
    assert trial.cell.settings == {"concurrency": 4}
    assert "only GPUs" in str(within(query, "compute"))


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("telemetry_data", None, "no GPU telemetry"),
        ("was_cancelled", True, "cancelled"),
        ("request_count/avg", 0.0, "request_count"),
        ("request_count/avg", 3.5, "request_count"),
        ("request_count/avg", -1.0, "request_count"),
        ("request_latency/unit", "sec", "not in ms"),
        ("input_config/endpoint/model_names", [], "model_names"),
        (f"{GPU}/nvidia_energy_consumption/unit", "Wh", "energy in 'Wh'"),
        (f"{GPU}/nvidia_energy_consumption/unit", "kJ", "0.32 W on average|a factor of"),
        (f"{GPU}/nvidia_energy_consumption/max", 0.229901671, "not metered"),
        (f"{GPU}/nvidia_energy_consumption/max", None, "no readings of an energy counter"),
        (f"{GPU}/nvidia_energy_consumption", None, "no readings of an energy counter"),
        (f"{GPU}/nvidia_power_usage/avg", 50.0, "a factor of"),
        ("telemetry_data/summary/end_time", "2025-10-13T01:48:03.689885", "0 s long"),
        ("telemetry_data/endpoints", {}, "no GPU"),
    ],
)
def test_aiperf_what_contradicts_itself_is_named(
    tmp_path: Path, path: str, value: Any, reason: str
) -> None:
    trials, tally = read("aiperf", saved(tmp_path / "x.json", changed(AIPERF, path, value)))
    assert trials == []
    (bad,) = tally.bad
    assert any(each in bad.reason for each in reason.split("|")), bad.reason


def test_aiperf_since_it_subtracts_itself(tmp_path: Path) -> None:
    delta = {"avg": 0.016595722, "unit": "MJ"}
    newer = changed(AIPERF, f"{GPU}/nvidia_energy_consumption", delta)
    (trial,), _ = read("aiperf", saved(tmp_path / "x.json", newer))
    assert trial.phases["query"].domains.popitem()[1].energy_j == pytest.approx(16_595.722)
    # A reading in place of a difference does not agree with the power.
    whole = changed(AIPERF, f"{GPU}/nvidia_energy_consumption", delta | {"avg": 0.2378})
    trials, tally = read("aiperf", saved(tmp_path / "y.json", whole))
    assert trials == []
    assert "a factor of" in tally.bad[0].reason


def test_aiperf_no_gpu_takes_the_place_of_another(tmp_path: Path) -> None:
    two = copy.deepcopy(AIPERF)
    endpoints = two["telemetry_data"]["endpoints"]
    endpoints["h" * 300 + "1"] = endpoints["h" * 300 + "2"] = endpoints.pop("localhost:9401")
    trials, tally = read("aiperf", saved(tmp_path / "x.json", two))
    assert trials == []
    assert "two GPUs are called" in tally.bad[0].reason


def test_aiperf_one_gpu_without_a_figure_leaves_the_sum_without_one(tmp_path: Path) -> None:
    two = copy.deepcopy(AIPERF)
    gpus = two["telemetry_data"]["endpoints"]["localhost:9401"]["gpus"]
    gpus["gpu_1"] = copy.deepcopy(gpus["gpu_0"])
    del gpus["gpu_1"]["metrics"]["nvidia_energy_consumption"]
    (trial,), _ = read("aiperf", saved(tmp_path / "x.json", two))
    assert "no readings of an energy counter" in str(within(trial.phases["query"], "accelerator"))


def test_vllm_bench_serve_has_tokens_and_times_and_no_energy(tmp_path: Path) -> None:
    (trial,), tally = read("vllm-bench", saved(tmp_path / "x.json", VLLM))
    assert tally.bad == []
    query = trial.phases["query"]
    assert (query.seconds, query.inferences, query.domains) == (20.0, 98, {})
    assert "measures no energy" in str(within(query, "compute"))
    assert "measures no energy" in str(within(query, "accelerator"))
    assert trial.counts == {"tokens_in": 9800.0, "tokens_out": 12544.0, "failed": 2.0}
    assert trial.latency is not None
    assert (trial.latency.p95, trial.latency.first_token_p99) == (0.8, 0.09)
    assert trial.cell.settings["request_rate"] == "inf"
    assert trial.started == "2025-10-13T01:48:03"
    assert trial.protocol.inferences == 100


def test_vllm_bench_serve_without_what_a_latency_needs(tmp_path: Path) -> None:
    (trial,), _ = read("vllm-bench", saved(tmp_path / "x.json", changed(VLLM, "p95_e2el_ms", None)))
    assert trial.latency is None
    (trial,), _ = read("vllm-bench", saved(tmp_path / "x.json", VLLM | {"date": "yesterday"}))
    assert trial.started == ""
    failed = VLLM | {"completed": 0, "failed": 100, "request_throughput": 0.0}
    (trial,), _ = read("vllm-bench", saved(tmp_path / "x.json", failed))
    assert (trial.status, trial.phases) == ("failed", {})


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("duration", 0.0, "duration"),
        ("duration", 2000.0, "a factor of"),
        ("request_throughput", 0.0, "request_throughput is 0"),
        ("completed", -1, "completed"),
        ("total_input_tokens", "many", "total_input_tokens"),
        ("completed", None, "not a result"),
    ],
)
def test_vllm_bench_serve_what_is_wrong_is_named(
    tmp_path: Path, path: str, value: Any, reason: str
) -> None:
    trials, tally = read("vllm-bench", saved(tmp_path / "x.json", changed(VLLM, path, value)))
    assert trials == []
    assert [reason in bad.reason for bad in tally.bad] == [True]


def test_both_are_imported_and_shown(permille: Permille, tmp_path: Path) -> None:
    saved(tmp_path / "a.json", AIPERF)
    saved(tmp_path / "v.json", VLLM)
    for name, file in (("aiperf", "a.json"), ("vllm-bench", "v.json")):
        assert permille("import", name, file, "--json").json["trials"] == {"new": 1, "duplicate": 0}
        assert permille("import", name, file, "--json").json["trials"] == {"new": 0, "duplicate": 1}
    rows = permille("results", "--boundary", "accelerator", "--json").json["rows"]
    by_source = {row["source"]: row for row in rows}
    j_per_token = by_source["aiperf"]["per_token"]["output"]["value"]
    assert j_per_token == pytest.approx(16_595.722 / 12_800)
    assert by_source["vllm-bench"]["kwh_per_1000"]["value"] is None
    assert json.dumps(by_source["vllm-bench"]["tokens_per_s"]) == "627.2"
