"""ML.ENERGY, AI Energy Score and optimum-benchmark: small files by hand, and real samples."""

from __future__ import annotations

import copy
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from permille import plugins
from permille.analysis.boundaries import Bounded, within
from permille.analysis.compare import compare
from permille.analysis.summaries import summarise
from permille.errors import CompareError, ImportDataError
from permille.importers import Importer, Options, Tally, optimum_benchmark
from permille.importers.reading.documents import MAX_NESTED
from permille.importers.reading.files import Source
from permille.records.energy import Boundary
from permille.records.recording import Provenance
from permille.records.trial import Trial
from tests.shared import shared


def read(name: str, path: Path) -> tuple[list[Trial], Tally]:
    importer: Importer = plugins.load("importers", name)
    tally = Tally()
    return list(importer.trials(Source(path), tally, Options())), tally


def saved(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_every_importer_is_registered_by_its_name() -> None:
    names = plugins.names("importers")
    expected = [
        "ai-energy-score",
        "aiperf",
        "boamps",
        "codecarbon",
        "ml-energy",
        "optimum-benchmark",
    ]
    assert names == sorted([*expected, "mlperf-power", "power-hungry-2023", "vllm-bench"])
    assert [plugins.load("importers", name).name for name in names] == names


# --- ML.ENERGY -------------------------------------------------------------------------------

CHAT: dict[str, Any] = {
    "model_id": "some/chat",
    "nickname": "Chat",
    "gpu_model": "H100",
    "num_gpus": 2,
    "avg_power_watts": 500.0,
    "max_num_seqs": 8,
    "avg_batch_size": 7.5,
    "avg_output_len": 600.0,
    "output_throughput_tokens_per_sec": 1200.0,
    "energy_per_request_joules": 300.0,
    "energy_per_token_joules": 0.5,
    "total_params_billions": 14.0,
    "activated_params_billions": 3.0,
    "tensor_parallel": 2,
}
IMAGE: dict[str, Any] = {
    "model_id": "some/image",
    "gpu_model": "B200",
    "num_gpus": 1,
    "avg_power_watts": 500.0,
    "batch_size": 4,
    "batch_latency_s": 2.0,
    "energy_per_image_joules": 250.0,
    "inference_steps": 20,
}


def leaderboard(path: Path, task: str, *configurations: Any) -> Path:
    return saved(path / f"{task}.json", {"task": task, "configurations": list(configurations)})


def test_a_chat_server(tmp_path: Path) -> None:
    (trial,), tally = read("ml-energy", leaderboard(tmp_path, "lm-arena-chat", CHAT))
    assert tally.bad == []
    assert (trial.cell.task, trial.cell.dataset) == ("text-generation", "lm-arena-chat")
    assert (trial.cell.category, trial.cell.backend) == ("general-purpose", "vllm")
    assert trial.protocol.batch_size == 8
    assert trial.counts == {"tokens_out": 600.0, "avg_batch_size": 7.5}
    assert trial.cell.settings["tensor_parallel"] == 2
    assert "energy_per_request_joules" not in trial.cell.settings
    assert (trial.facts.params, trial.facts.active_params) == (14_000_000_000, 3_000_000_000)
    query = trial.phases["query"]
    assert (query.seconds, query.inferences) == (0.5, 1)
    assert query.domains["gpu"].energy_j == 300.0
    assert query.domains["gpu"].provenance is Provenance.MEASURED
    assert query.domains["gpu"].energy_j / trial.counts["tokens_out"] == 0.5


def test_only_the_accelerator_boundary_has_a_figure(tmp_path: Path) -> None:
    (trial,), _ = read("ml-energy", leaderboard(tmp_path, "text-to-image", IMAGE))
    query = trial.phases["query"]
    assert trial.cell.backend == "xdit"
    assert (query.seconds, trial.counts) == (0.5, {"images": 1.0})
    assert isinstance(within(query, "accelerator"), Bounded)
    wider: tuple[Boundary, ...] = ("compute", "node", "facility")
    for boundary in wider:
        assert "only GPUs" in str(within(query, boundary))


def test_models_are_compared_at_the_same_batch_size_alone(tmp_path: Path) -> None:
    path = leaderboard(
        tmp_path,
        "gpqa",
        *(CHAT | {"model_id": m, "max_num_seqs": n} for m, n in (("a", 8), ("a", 64), ("b", 8))),
        CHAT | {"model_id": "c", "max_num_seqs": 64},
    )
    trials, _ = read("ml-energy", path)
    summaries = summarise(trials, "accelerator")
    (both,) = compare(summaries, "a", "b").cells
    assert {both.a.cell.settings["batch_size"], both.b.cell.settings["batch_size"]} == {8}
    with pytest.raises(CompareError, match="never measured at the same batch size"):
        compare(summaries, "b", "c")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"energy_per_request_joules": -1.0}, "above 0"),
        ({"energy_per_request_joules": "many"}, "Expected `float"),
        ({"energy_per_token_joules": 5.0}, "not energy per token"),
        ({"avg_output_len": None}, "avg_output_len"),
        ({"max_num_seqs": None}, "batch_size"),
        ({"max_num_seqs": -1}, "max_num_seqs"),
        ({"max_num_seqs": 0, "batch_size": 4}, "max_num_seqs"),
        ({"max_num_seqs": 1e25}, "max_num_seqs"),
        ({"max_num_seqs": 2**70}, "max_num_seqs"),
        ({"avg_power_watts": 50.0}, "a factor of"),
        ({"avg_power_watts": 0.0}, "avg_power_watts"),
        ({"energy_per_request_joules": 0.0}, "above 0"),
        ({"energy_per_image_joules": 250.0}, "which is one inference"),
    ],
)
def test_bad_configurations_are_named(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    path = leaderboard(tmp_path, "gpqa", CHAT | changed, CHAT)
    trials, tally = read("ml-energy", path)
    assert len(trials) == 1
    assert reason in tally.bad[0].reason
    assert tally.bad[0].row == 1


def test_other_documents_are_left_alone_or_named(tmp_path: Path) -> None:
    saved(tmp_path / "index.json", {"models": {}})
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    leaderboard(tmp_path, "unheard-of", CHAT)
    trials, tally = read("ml-energy", tmp_path)
    assert trials == []
    assert sorted(b.file for b in tally.bad) == ["broken.json", "deep.json", "unheard-of.json"]


def test_a_models_file_is_no_second_measurement(tmp_path: Path) -> None:
    of_model = {"model_id": "some/chat", "task": "gpqa", "configurations": [CHAT]}
    path = saved(tmp_path / "some__chat__gpqa.json", of_model)
    leaderboard(tmp_path, "gpqa", CHAT)
    trials, tally = read("ml-energy", tmp_path)
    assert (len(trials), tally.bad) == (1, [])
    trials, tally = read("ml-energy", path)
    assert trials == []
    assert ["import the folder tasks" in bad.reason for bad in tally.bad] == [True]


@pytest.mark.parametrize("configurations", [[None], [{}], {}, None])
def test_no_configuration_goes_without_a_word(tmp_path: Path, configurations: Any) -> None:
    path = saved(tmp_path / "gpqa.json", {"task": "gpqa", "configurations": configurations})
    trials, tally = read("ml-energy", path)
    assert (trials, tally.bad_count) == ([], 1)


VERSION_2 = {"Model": "m", "GPU model": "A100", "Batch size": 4, "Energy per image (J)": 500.0}


@pytest.mark.parametrize("content", [VERSION_2, [VERSION_2]])
def test_version_2_is_refused_by_name(tmp_path: Path, content: Any) -> None:
    trials, tally = read("ml-energy", saved(tmp_path / "model.json", content))
    assert trials == []
    assert ["version 2" in bad.reason for bad in tally.bad] == [True]


def test_version_1_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "A100_chat_benchmark.csv"
    path.write_text("model,throughput,response_length,latency,energy\nm,1,2,3,4\n")
    for source in (path, tmp_path):
        trials, tally = read("ml-energy", source)
        assert trials == []
        assert ["version 1" in bad.reason for bad in tally.bad] == [True]


def test_the_whole_leaderboard() -> None:
    trials, tally = read("ml-energy", shared("samples/mlenergy-leaderboard-v3.tar.xz"))
    assert len(trials) == len({t.uid for t in trials}) == 187 + 173 + 328 + 50 + 638 + 382 + 100
    assert tally.bad == []
    for trial in trials:
        (gpu,) = trial.phases["query"].domains.values()
        assert gpu.kind == "gpu"


# --- AI Energy Score -------------------------------------------------------------------------

SCORE_COLUMNS = (
    "model_name,model_class,task,reasoning_state,total_prompts,successful_prompts,failed_prompts,"
    "total_duration_seconds,avg_total_time,avg_time_to_first_token,total_tokens,"
    "total_prompt_tokens,total_completion_tokens,throughput_tokens_per_second,gpu_energy_wh,"
    "wh_per_1000_queries,co2_emissions_g,tokens_per_joule,avg_energy_per_prompt_wh,timestamp,"
    "error_message"
)
SCORE = {
    "model_name": "some/model",
    "model_class": "B",
    "task": "text_generation",
    "reasoning_state": "off",
    "total_prompts": "1000",
    "successful_prompts": "1000",
    "total_duration_seconds": "60",
    "total_prompt_tokens": "5000",
    "total_completion_tokens": "9000",
    "gpu_energy_wh": "12.5",
    "wh_per_1000_queries": "12.5",
    "timestamp": "2025-01-01T00:00:00",
}


def scores(path: Path, *rows: dict[str, str]) -> Path:
    lines = [
        ",".join((SCORE | changed).get(c, "") for c in SCORE_COLUMNS.split(",")) for changed in rows
    ]
    file = path / "master_results.csv"
    file.write_text("\n".join([SCORE_COLUMNS, *lines]) + "\n")
    return file


def test_a_score(tmp_path: Path) -> None:
    (trial,), tally = read("ai-energy-score", scores(tmp_path, {}))
    assert tally.bad == []
    assert trial.cell.task == "text-generation"
    assert trial.cell.settings == {"model_class": "B", "reasoning_state": "off"}
    assert trial.counts == {"tokens_in": 5000.0, "tokens_out": 9000.0}
    query = trial.phases["query"]
    assert query.domains["gpu"].energy_j == pytest.approx(45_000)
    assert (query.inferences, query.seconds) == (1000, 60.0)
    assert "only GPUs" in str(within(query, "node"))


def test_a_failed_run_is_a_failed_trial_without_energy(tmp_path: Path) -> None:
    lost = {"successful_prompts": "0", "gpu_energy_wh": "", "error_message": '"CUDA error:\nboom"'}
    (trial, good), tally = read("ai-energy-score", scores(tmp_path, lost, {}))
    assert tally.bad == []
    assert (trial.status, trial.phases) == ("failed", {})
    assert "boom" in str(trial.reason)
    assert good.status == "done"


def test_of_a_long_traceback_the_message_is_kept(tmp_path: Path) -> None:
    error = "Traceback\n" + 50 * "  File x\n" + "CUDA out of memory"
    lost = {"successful_prompts": "0", "gpu_energy_wh": "", "error_message": f'"{error}"'}
    (failed, answered), _ = read(
        "ai-energy-score", scores(tmp_path, lost, {"error_message": f'"{error}"'})
    )
    for text in (str(failed.reason), answered.notes[-1]):
        assert text.endswith("CUDA out of memory")
        assert len(text) < 400


@pytest.mark.parametrize(("per_1000", "inferences"), [("25", 500), ("12.5", 1000), ("", 500)])
def test_which_prompts_count_follows_from_the_file(
    tmp_path: Path, per_1000: str, inferences: int
) -> None:
    half = {"successful_prompts": "500", "wh_per_1000_queries": per_1000}
    (trial,), _ = read("ai-energy-score", scores(tmp_path, half))
    assert trial.phases["query"].inferences == inferences


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"wh_per_1000_queries": "99"}, "does not follow"),
        ({"avg_energy_per_prompt_wh": "1.25"}, "a factor of"),
        ({"co2_emissions_g": "5000"}, "which no grid emits"),
        ({"total_duration_seconds": "1e7"}, "less than any GPU"),
        ({"gpu_energy_wh": "0"}, "above 0"),
        ({"gpu_energy_wh": "nan"}, "missing"),
        ({"gpu_energy_wh": "-1"}, "above 0"),
        ({"total_prompts": "1e25"}, "at most 64 bits"),
        ({"total_prompts": "-1"}, "above 0"),
        ({"successful_prompts": "999.5"}, "whole number"),
        ({"successful_prompts": "2000"}, "2000 prompts of 1000"),
    ],
)
def test_scores_that_contradict_themselves_are_named(
    tmp_path: Path, changed: dict[str, str], reason: str
) -> None:
    trials, tally = read("ai-energy-score", scores(tmp_path, changed, {}))
    assert len(trials) == 1
    assert [(bad.row, reason in bad.reason) for bad in tally.bad] == [(2, True)]


# --- optimum-benchmark -----------------------------------------------------------------------


def part(mean: float, kwh: dict[str, float | None]) -> dict[str, Any]:
    times = {"unit": "s", "count": 100, "mean": mean, "p50": mean, "p95": 2 * mean, "values": []}
    return {"latency": times, "energy": {"unit": "kWh", **kwh}}


BENCHMARK: dict[str, Any] = {
    "config": {
        "backend": {"name": "pytorch", "model": "tiny", "task": "text-classification"},
        "scenario": {"name": "inference", "input_shapes": {"batch_size": 4}},
        "environment": {"cpu": "Some CPU", "cpu_count": 2, "gpu": None},
    },
    "report": {
        "load_model": part(1.0, {"cpu": 1e-6, "ram": 1e-6, "gpu": 0.0}),
        "forward": part(0.2, {"cpu": 2e-6, "ram": 1e-6, "gpu": 0.0}),
    },
}


def test_a_benchmark(tmp_path: Path) -> None:
    (trial,), tally = read("optimum-benchmark", saved(tmp_path / "benchmark.json", BENCHMARK))
    assert tally.bad == []
    assert trial.latency is not None
    assert (trial.latency.p50, trial.latency.n) == (0.2, 100)
    query = trial.phases["query"]
    assert (query.inferences, query.seconds) == (4, 0.2)
    energies = {name: d.energy_j for name, d in query.domains.items()}
    assert energies == pytest.approx({"cpu:0": 7.2, "dram:0": 3.6})
    assert {d.provenance for d in query.domains.values()} == {Provenance.ESTIMATED}
    assert set(trial.phases) == {"load", "query"}
    assert trial.environment.facts["cpu"] == "Some CPU"


def test_a_config_and_a_report_in_one_folder_are_the_same_benchmark(tmp_path: Path) -> None:
    saved(tmp_path / "benchmark.json", BENCHMARK)
    saved(tmp_path / "benchmark_config.json", BENCHMARK["config"])
    saved(tmp_path / "benchmark_report.json", BENCHMARK["report"])
    trials, tally = read("optimum-benchmark", tmp_path)
    assert tally.bad == []
    assert len(trials) == 2
    assert len({t.uid for t in trials}) == 1


def test_more_configs_than_memory_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimum_benchmark, "_MAX_CONFIG_BYTES", 500)
    for run in ("a", "b", "c"):
        (tmp_path / run).mkdir()
        saved(tmp_path / run / "benchmark_config.json", BENCHMARK["config"])
        saved(tmp_path / run / "benchmark_report.json", BENCHMARK["report"])
    trials, tally = read("optimum-benchmark", tmp_path)
    assert len(trials) == 2
    assert [(bad.file, bad.reason) for bad in tally.bad] == [
        ("c/benchmark_config.json", "the configs have over 0 MiB: import the runs apart"),
        ("c/benchmark_report.json", "no config beside this report (benchmark_config.json)"),
    ]


def test_a_config_behind_its_report_in_an_archive_is_found(tmp_path: Path) -> None:
    path = tmp_path / "run.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("report", "config"):
            file = saved(tmp_path / f"benchmark_{name}.json", BENCHMARK[name])
            archive.add(file, f"run/{file.name}")
    trials, tally = read("optimum-benchmark", path)
    assert (len(trials), tally.files, tally.bad) == (1, 2, [])


def test_what_comes_before_the_damage_of_an_archive_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "runs.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(saved(tmp_path / "benchmark.json", BENCHMARK), "benchmark.json")
        archive.add(saved(tmp_path / "long.json", [0] * 100_000), "long.json")
    path.write_bytes(path.read_bytes()[:50_000])
    importer: Importer = plugins.load("importers", "optimum-benchmark")
    trials = importer.trials(Source(path), Tally(), Options())
    assert next(trials).source == "optimum-benchmark"
    with pytest.raises(ImportDataError, match="to its end"):
        next(trials)


def test_a_generating_model_is_its_prefill_and_its_decoding(tmp_path: Path) -> None:
    both = {
        "prefill": part(0.1, {"cpu": 1e-6, "ram": 1e-6, "gpu": 3e-6}),
        "decode": part(0.4, {"cpu": 2e-6, "ram": 1e-6, "gpu": 5e-6}),
    }
    path = saved(tmp_path / "benchmark.json", BENCHMARK | {"report": both})
    (trial,), _ = read("optimum-benchmark", path)
    query = trial.phases["query"]
    assert query.seconds == pytest.approx(0.5)
    assert query.domains["gpu"].energy_j == pytest.approx(8e-6 * 3.6e6)
    assert trial.latency is None


@pytest.mark.parametrize(("prefill", "decode"), [(0.0, 6e-5), (6e-5, 0.0), (None, 6e-5)])
def test_a_gpu_that_was_read_in_one_part_alone_leaves_the_whole_without_a_figure(
    tmp_path: Path, prefill: float | None, decode: float
) -> None:
    both = {
        "prefill": part(0.1, {"cpu": 1e-6, "ram": 1e-6, "gpu": prefill}),
        "decode": part(0.4, {"cpu": 2e-6, "ram": 1e-6, "gpu": decode}),
    }
    path = saved(tmp_path / "benchmark.json", BENCHMARK | {"report": both})
    (trial,), _ = read("optimum-benchmark", path)
    query = trial.phases["query"]
    assert "a part of the call" in query.problems["gpu"].reason
    assert not isinstance(within(query, "compute"), Bounded)


def test_a_gpu_that_ran_and_was_not_read_is_lacking(tmp_path: Path) -> None:
    on_gpu = copy.deepcopy(BENCHMARK)
    on_gpu["config"]["backend"]["device"] = "cuda"
    (trial,), _ = read("optimum-benchmark", saved(tmp_path / "benchmark.json", on_gpu))
    assert "gpu" in trial.phases["query"].problems


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("energy_star", "ai-energy-score"),
        ("training", "not the energy of inference"),
        ("x", "unknown scenario"),
    ],
)
def test_other_scenarios_are_refused_by_name(tmp_path: Path, name: str, reason: str) -> None:
    other = copy.deepcopy(BENCHMARK)
    other["config"]["scenario"] = {"name": name, "num_samples": 1000}
    for content in ({"latency": None}, {}):
        other["report"]["forward"] |= content
        trials, tally = read("optimum-benchmark", saved(tmp_path / "benchmark.json", other))
        assert trials == []
        assert [name in bad.reason and reason in bad.reason for bad in tally.bad] == [True]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"energy": {"unit": "kWh", "cpu": 2e-6, "ram": 1e-6, "total": 3e-5}}, "add up"),
        ({"efficiency": {"unit": "samples/kWh", "value": 1e5}}, "efficiency"),
        ({"throughput": {"unit": "samples/s", "value": 2000.0}}, "throughput"),
        ({"latency": {"unit": "s", "count": 1, "mean": -0.2, "p50": 0.2, "p95": 0.2}}, "latency"),
        ({"energy": {"unit": "kWh", "cpu": 5.5e-10, "ram": 0.0}}, "0.0099 W"),
        ({"energy": {"unit": "kWh", "cpu": 1.0, "ram": 0.0}}, "more than a machine"),
    ],
)
def test_a_report_that_contradicts_itself_is_named(
    tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    other = copy.deepcopy(BENCHMARK)
    other["report"]["forward"] |= changed
    trials, tally = read("optimum-benchmark", saved(tmp_path / "benchmark.json", other))
    assert trials == []
    assert [reason in bad.reason for bad in tally.bad] == [True]


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        ("scenario", "input_shapes", {"batch_size": 4, "sequence_length": 1024}),
        ("scenario", "generate_kwargs", {"max_new_tokens": 1000}),
        ("scenario", "new_tokens", 1000),
        ("backend", "torch_compile", True),
        ("backend", "quantization_config", {"bits": 4}),
    ],
)
def test_runs_of_other_inputs_or_options_are_other_cells(
    tmp_path: Path, where: str, name: str, value: Any
) -> None:
    other = copy.deepcopy(BENCHMARK)
    other["config"][where][name] = value
    cells = []
    for content in (BENCHMARK, other):
        (trial,), _ = read("optimum-benchmark", saved(tmp_path / "benchmark.json", content))
        cells.append(trial.cell.id)
    assert cells[0] != cells[1]


def test_repeats_that_differ_in_their_seed_are_one_cell(tmp_path: Path) -> None:
    cells = set()
    for seed in (1, 2):
        repeat = copy.deepcopy(BENCHMARK)
        repeat["config"]["backend"]["seed"] = seed
        repeat["config"]["scenario"]["iterations"] = seed
        (trial,), _ = read("optimum-benchmark", saved(tmp_path / "benchmark.json", repeat))
        cells.add(trial.cell.id)
    assert len(cells) == 1


def test_a_report_of_several_kinds_of_call_is_named(tmp_path: Path) -> None:
    other = copy.deepcopy(BENCHMARK)
    other["report"]["call"] = other["report"]["forward"]
    trials, tally = read("optimum-benchmark", saved(tmp_path / "benchmark.json", other))
    assert trials == []
    assert "forward and call in one report" in tally.bad[0].reason


@pytest.mark.parametrize("batch_size", [-1, 0, 1e25, 2**70, 1.5])
def test_a_senseless_batch_is_named(tmp_path: Path, batch_size: float) -> None:
    other = copy.deepcopy(BENCHMARK)
    other["config"]["scenario"]["input_shapes"]["batch_size"] = batch_size
    trials, tally = read("optimum-benchmark", saved(tmp_path / "benchmark.json", other))
    assert trials == []
    assert ["batch_size" in bad.reason for bad in tally.bad] == [True]


def test_what_codecarbon_logged_of_a_phase_is_told_from_a_report(tmp_path: Path) -> None:
    saved(tmp_path / "benchmark.json", BENCHMARK)
    logged = {"run_id": "r", "project_name": "codecarbon", "energy_consumed": 0.1, "duration": 9.0}
    saved(tmp_path / "forward_codecarbon.json", logged)
    trials, tally = read("optimum-benchmark", tmp_path)
    assert len(trials) == 1
    assert [(bad.file, "one phase" in bad.reason) for bad in tally.bad] == [
        ("forward_codecarbon.json", True)
    ]


# --- JSON that is none -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ml-energy", "optimum-benchmark"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"task": "gpqa", "configurations": [{"model_id": "\xff"}]}', "not text in utf-8"),
        (b"\xff", "not text in utf-8"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 1\n", "Git LFS pointer"),
        (b"<!doctype html><html></html>", "a web page"),
    ],
)
def test_a_file_that_is_no_json_is_one_line(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / "benchmark.json"
    path.write_bytes(content)
    trials, tally = read(name, path)
    assert trials == []
    assert [reason in bad.reason for bad in tally.bad] == [True]


@pytest.mark.parametrize("nested", ['{"a": *}', "[*]"])
def test_a_deep_document_is_one_line(tmp_path: Path, nested: str) -> None:
    opened, _, closed = nested.partition("*")
    path = tmp_path / "benchmark.json"
    for depth, fits in ((MAX_NESTED - 1, True), (MAX_NESTED, False)):
        deep = f"{opened * depth}1{closed * depth}"
        path.write_text(f'{{"x": {deep}, {json.dumps(BENCHMARK)[1:]}')
        trials, tally = read("optimum-benchmark", path)
        assert (len(trials), tally.bad_count) == ((1, 0) if fits else (0, 1))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps(BENCHMARK), encoding=encoding)
    trials, tally = read("optimum-benchmark", path)
    assert (len(trials), tally.bad) == (1, [])


def test_faulty_benchmarks_are_named(tmp_path: Path) -> None:
    faults = {
        "report_alone": BENCHMARK["report"],
        "zero": {"forward": part(0.1, {"cpu": 0.0, "ram": 0.0})},
        "negative": {"forward": part(0.1, {"cpu": -1.0, "ram": 0.0})},
        "other": {"train": part(0.1, {"cpu": 1.0})},
        "text": "nothing",
    }
    for name, report in faults.items():
        whole = report if name == "report_alone" else BENCHMARK | {"report": report}
        saved(tmp_path / f"{name}.json", whole)
    watts = copy.deepcopy(BENCHMARK)
    watts["report"]["forward"]["energy"]["unit"] = "Wh"
    saved(tmp_path / "units.json", watts)
    trials, tally = read("optimum-benchmark", tmp_path)
    assert trials == []
    assert len(tally.bad) == len(faults) + 1


def test_the_real_report() -> None:
    trials, tally = read("optimum-benchmark", shared("samples/optimum-benchmark"))
    assert tally.bad == []
    assert len({t.uid for t in trials}) == 1
    trial = trials[0]
    assert sum(d.energy_j for d in trial.phases["query"].domains.values()) == pytest.approx(
        2.12740223358211e-06 * 3.6e6
    )
    assert trial.phases["query"].seconds == pytest.approx(0.07763659377)
