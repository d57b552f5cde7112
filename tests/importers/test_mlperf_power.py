"""MLPerf power logs: the energy between the marks, its uncertainty, clocks, and hostile files."""

from __future__ import annotations

import json
import math
import tarfile
from pathlib import Path
from typing import Any

import pytest

from permille.analysis.boundaries import Bounded, within
from permille.importers import Options, Tally
from permille.importers.mlperf_power import loadgen
from permille.importers.mlperf_power.importer import importer
from permille.importers.reading.files import Source
from permille.records.energy import Refused
from permille.records.recording import Provenance
from permille.records.trial import Trial
from tests.conftest import Permille
from tests.importers.mlperf_files import PTD_LOGS, detail, run, spl, write


def read(path: Path) -> tuple[list[Trial], list[str]]:
    tally = Tally()
    trials = list(importer.trials(Source(path), tally, Options()))
    return trials, [bad.reason for bad in tally.bad]


def test_the_energy_between_the_marks_by_mlperfs_own_rule(tmp_path: Path) -> None:
    """Idle before and after is not counted, nor is the ranging run."""
    files = run(power_w=lambda at_s: 100.0 + at_s if 0 < at_s < 60 else 20.0)
    (trial,), bad = read(write(tmp_path, files))
    assert bad == []
    query = trial.phases["query"]
    node = query.domains["node"]
    assert query.seconds == pytest.approx(60.0)
    assert query.inferences == trial.protocol.inferences == 60_000
    assert node.energy_j == pytest.approx(60.0 * 130.0)  # the mean of 101 to 159 W
    assert (node.accuracy_low, node.accuracy_high) == (0.01, 0.01)
    # rectangular, at each edge: a step of 1 s and clocks 0.5 s apart, at 159 W
    assert node.edge_j == pytest.approx(math.sqrt(2 / 3) * 1.5 * 159.0)
    assert node.provenance is Provenance.MEASURED
    assert (trial.cell.task, trial.cell.model) == ("image-classification", "resnet50")
    assert (trial.device, trial.environment.facts["meter"]) == ("edge-box", "YokogawaWT310")
    assert trial.latency is None  # of Offline it would be that of the whole query
    assert trial.started == "2024-07-20T17:54:38.800000+00:00"
    assert isinstance(within(query, "node"), Bounded)
    assert isinstance(within(query, "compute"), Refused)  # the wall knows no parts


def test_the_logs_that_are_held_have_short_texts(tmp_path: Path) -> None:
    path = tmp_path / "mlperf_log_detail.txt"
    path.write_text(detail({"loadgen_version": "4" * 5000, "sut": "x" * 5000}))
    for member in Source(path).members(lambda *_: None):
        held = loadgen.detail(member, Tally())
        assert held["loadgen_version"] == "4" * 300
        assert len(json.dumps(held)) < 2000


@pytest.mark.parametrize(
    ("changes", "inferences"),
    [
        ({"effective_scenario": "SingleStream", "generated_samples_per_query": 1}, 40_000),
        ({"effective_scenario": "MultiStream", "generated_samples_per_query": 8}, 320_000),
        ({"effective_scenario": "Server", "generated_samples_per_query": 1}, 40_000),
    ],
)
def test_samples_are_queries_times_those_of_each(
    tmp_path: Path, changes: dict[str, Any], inferences: int
) -> None:
    latencies = {
        "result_50.00_percentile_latency_ns": 1_000_000,
        "result_95.00_percentile_latency_ns": 2_000_000,
        "result_99.00_percentile_latency_ns": 3_000_000,
        "result_mean_latency_ns": 1_100_000,
        "result_query_count": 40_000,
        "result_samples_per_second": None,
    }
    (trial,), _ = read(write(tmp_path, run(changes | latencies)))
    assert trial.phases["query"].inferences == inferences
    assert trial.latency is not None
    assert (trial.latency.p50, trial.latency.p99) == (0.001, 0.003)


def test_an_unconfirmed_meter_has_a_wider_bound_and_a_note(tmp_path: Path) -> None:
    without = write(tmp_path / "a", run(leave_out=["power/ptd_logs.txt"]))
    above = run()
    above["power/ptd_logs.txt"] = PTD_LOGS + (
        "07-20-2024 17:55:00.000: WARNING: Uncertainty 1.37%, which is above 1.00% limit for the"
        " last sample!\n"
    )
    for folder in (without, write(tmp_path / "b", above)):
        (trial,), _ = read(folder)
        assert trial.phases["query"].domains["node"].accuracy_high == 0.05
        assert any("power/ptd_logs.txt" in n and n.endswith("±5 %") for n in trial.notes)


def test_clocks_in_different_zones_need_the_zones(tmp_path: Path) -> None:
    """MLPerf 1.0: both logs in local time, whose zones the director's files tell."""
    shifted = run(of_spl={"shift_s": 3600.0})
    trials, bad = read(write(tmp_path / "unknown", shifted))
    assert trials == []
    assert "different zones" in bad[0]
    shifted["power/client.json"] = json.dumps({"timezone": 0})
    shifted["power/server.json"] = json.dumps({"timezone": -3600})
    (trial,), _ = read(write(tmp_path / "known", shifted))
    assert trial.phases["query"].domains["node"].energy_j == pytest.approx(6000.0)
    assert any("+1 h apart" in note for note in trial.notes)


def test_a_log_that_fits_both_zones_is_refused(tmp_path: Path) -> None:
    files = run(of_spl={"last_s": 2 * 3600.0})
    files["power/server.json"] = json.dumps({"timezone": -3600})
    trials, bad = read(write(tmp_path, files))
    assert trials == []
    assert "not known which is right" in bad[0]


@pytest.mark.parametrize(
    ("changes", "of_spl", "reason"),
    [
        ({}, {"last_s": 40.0}, "no sample for 20 s"),
        ({}, {"first_s": 62.0}, "no sample between"),
        ({"power_begin": None}, {}, "no power_begin"),
        ({"power_end": "noon"}, {}, "not a time"),
        ({"power_end": "07-20-2024 17:54:00.000"}, {}, "not after power_begin"),
        ({"effective_scenario": "Batch"}, {}, "unknown scenario 'Batch'"),
        ({"effective_test_mode": "AccuracyOnly"}, {}, "import the performance run"),
        ({"generated_samples_per_query": -1}, {}, "not a whole number"),
        ({"result_query_count": 2**53}, {}, "more than any run has"),
        ({"effective_scenario": "Server", "result_query_count": None}, {}, "LoadGen before 2.0"),
        ({"result_samples_per_second": 10.0}, {}, "a factor of"),
    ],
)
def test_a_run_without_a_sure_figure_is_named(
    tmp_path: Path, changes: dict[str, Any], of_spl: dict[str, float], reason: str
) -> None:
    trials, bad = read(write(tmp_path, run(changes, of_spl=of_spl)))
    assert trials == []
    assert len(bad) == 1
    assert reason in bad[0]


def test_a_power_that_no_machine_draws_is_named(tmp_path: Path) -> None:
    trials, bad = read(write(tmp_path, run(power_w=1e6)))
    assert trials == []
    assert "more than a machine draws" in bad[0]


def test_bad_lines_are_named_and_samples_without_power_are_left_out(tmp_path: Path) -> None:
    files = run(power_w=lambda at_s: float("nan") if at_s == 20.0 else 100.0)
    files["run_1/spl.txt"] = "Time,yesterday,Watts,1\nTime,\nremark\n" + files["run_1/spl.txt"]
    files["run_1/mlperf_log_detail.txt"] += ":::MLLOG {\n"
    (trial,), bad = read(write(tmp_path, files))
    assert trial.phases["query"].domains["node"].energy_j == pytest.approx(6000.0)
    assert any("1 samples of the meter" in note for note in trial.notes)
    assert [reason.partition(":")[0] for reason in bad] == [
        "not an entry of LoadGen",
        "not a sample of PTDaemon",
        "not a sample of PTDaemon",
    ]


def test_times_that_go_back_are_refused(tmp_path: Path) -> None:
    files = run()
    files["run_1/spl.txt"] += spl(100.0)
    trials, bad = read(write(tmp_path, files))
    assert trials == []
    assert "the time does not increase" in bad[0]


def test_the_folder_of_one_run_and_an_archive_give_the_same_trial(tmp_path: Path) -> None:
    root = write(tmp_path / "tree", run())
    (whole,), _ = read(root)
    (performance,) = root.rglob("performance")
    (alone,), _ = read(performance)
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        archive.add(root / "closed", arcname="closed")
    (packed,), _ = read(tmp_path / "all.tar.gz")
    assert whole.uid == alone.uid == packed.uid
    assert whole.cell == alone.cell == packed.cell


def test_a_log_alone_says_what_is_missing(tmp_path: Path) -> None:
    trials, bad = read(write(tmp_path, {"run_1/spl.txt": spl(100.0)}))
    assert trials == []
    assert "no mlperf_log_detail.txt beside" in bad[0]
    assert read(write(tmp_path / "b", {"run_1/mlperf_log_detail.txt": detail({})})) == ([], [])


def test_imported_it_is_a_row_of_the_node(permille: Permille, tmp_path: Path) -> None:
    permille("import", "mlperf-power", str(write(tmp_path / "tree", run())))
    (row,) = permille("results", "--json", "--boundary", "node").json["rows"]
    assert row["kwh_per_1000"]["value"] == pytest.approx(6000.0 / 60 / 3.6e6)
    assert (row["provenance"], row["source"]) == ("measured", "mlperf-power")
