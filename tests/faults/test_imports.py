"""Files to import are hostile: nothing is written outside, nothing unpacks without bound, memory
is bounded, and any bytes at all are trials or a line."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from permille import plugins
from permille.errors import ImportDataError
from permille.importers import Options, Tally
from permille.importers.plausible import MOST_W
from permille.importers.reading.files import Source
from permille.store import Store
from tests.campaigns import size
from tests.conftest import Permille
from tests.importers.codecarbon_files import RUN_COLUMNS, TASK_COLUMNS, file, row

pytestmark = pytest.mark.slow

ESCAPES = ["../evil.csv", "a/../../evil.csv", "/evil.csv", "..\\evil.csv", "C:\\evil.csv"]


def _tar(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def _zip(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


@pytest.mark.parametrize("pack", [_tar, _zip, lambda m: gzip.compress(_tar(m))])
def test_what_climbs_out_of_an_archive_is_left_out_and_nothing_is_unpacked(
    permille: Permille, tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    members = {name: file("3.0.0", {"run_id": name}).encode() for name in [*ESCAPES, "ok.csv"]}
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "archive").write_bytes(pack(members))
    before = sorted(tmp_path.rglob("*"))
    report = permille("import", "codecarbon", "in/archive", "--json").json
    assert report["trials"]["new"] == 1
    assert sorted(bad["file"] for bad in report["bad"]) == sorted(ESCAPES)
    new = {path.name for path in set(tmp_path.rglob("*")) - set(before)}
    assert new == {"permille.db"}


@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_a_bomb_is_refused_and_what_came_before_is_kept(
    permille: Permille, tmp_path: Path, kind: str
) -> None:
    """512 MiB in half a megabyte. A zip tells its size beforehand; a stream is found out."""
    path = tmp_path / f"bomb.{kind}"
    first = file("3.0.0", *({"run_id": f"r{i}"} for i in range(10))).encode()
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            archive.writestr("first.csv", first)
            with archive.open("bomb.csv", "w") as member:
                for _ in range(2048):
                    member.write(bytes(1 << 18))
    else:
        path.write_bytes(gzip.compress(first) + gzip.compress(bytes(1 << 20)) * 512)
    done = permille("import", "codecarbon", str(path), "--json", code=2)
    assert "refused as a bomb" in done.err
    assert done.json["trials"]["new"] == (0 if kind == "zip" else 10)
    assert permille("results", "--json").code == 0


COMMAND = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (500 << 20, 500 << 20))
from permille.cli import dispatch
sys.exit(dispatch(sys.argv[1:]))
"""


@pytest.mark.campaign
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS and sparse files as on Linux")
def test_two_gigabytes_are_imported_within_500_mb(tmp_path: Path) -> None:
    """The whole command, address space and all. Between the rows lie 2 GiB without a line
    break (600 MiB in `make test`); no more is held than a line may have."""
    path = tmp_path / "big.csv"
    columns = RUN_COLUMNS["3.3.2"]
    with path.open("wb") as stream:
        stream.write(file("3.3.2", *({"run_id": f"a{i}"} for i in range(5000))).encode())
        stream.truncate(size(600 << 20, 2 << 30))  # sparse
        stream.seek(0, 2)
        stream.write(("\n" + row(columns, run_id="last")).encode())
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "import", "codecarbon", str(path), "--json"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["trials"]["new"] == 5001
    assert ["characters" in bad["reason"] for bad in report["bad"]] == [True]


# --- the same run again ------------------------------------------------------------------

_PARTS = {"cpu_energy": 0.2, "gpu_energy": 0.5, "ram_energy": 0.3}


@pytest.fixture
def in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _total(run_id: str, kwh: float, seconds: float, **changed: str) -> dict[str, str]:
    """A row of a run whose totals so far are these."""
    energies = {name: f"{part * kwh:.9f}" for name, part in _PARTS.items()}
    figures = {"duration": f"{seconds}", "energy_consumed": f"{kwh}", "emissions": f"{kwh * 0.2}"}
    return {"run_id": run_id, "project_name": "m"} | energies | figures | changed


def _again(permille: Permille, *rows: dict[str, str], options: str = "") -> Any:
    Path("emissions.csv").write_text(file("3.0.0", *rows))
    arguments = ("import", "codecarbon", "emissions.csv", "--json", *options.split())
    return permille(*arguments).json


def _counts(report: Any) -> tuple[int, int, int]:
    """New, known already, and replaced."""
    return report["trials"]["new"], report["trials"]["duplicate"], report["replaced_count"]


def _stored_kwh() -> dict[str, float]:
    with Store(Path("permille.db"), readonly=True) as store:
        return {
            trial.uid.partition(":")[2]: round(
                sum(d.energy_j for d in trial.phases["query"].domains.values()) / 3.6e6, 6
            )
            for trial in store.trials()
        }


def _is_whole(permille: Permille) -> None:
    assert permille("store", "check").code == 0


@pytest.mark.usefixtures("in_its_folder")
def test_a_run_imported_again_after_a_flush_is_replaced_by_the_fuller_one(
    permille: Permille,
    tmp_path: Path,
) -> None:
    part, other, whole = _total("a", 1.0, 7200), _total("b", 2.0, 7200), _total("a", 3.0, 21600)
    first = _again(permille, part, other)
    assert _counts(first) == (2, 0, 0)
    again = _again(permille, part, other, whole)
    assert _counts(again) == (0, 1, 1)
    assert "1 kWh in 7200 s" in again["replaced"][0]
    assert _stored_kwh() == {"a": 3.0, "b": 2.0}
    _is_whole(permille)
    earlier = _again(permille, part)
    assert _counts(earlier) == (0, 1, 0)
    assert _stored_kwh() == {"a": 3.0, "b": 2.0}
    shown = permille("results", "--json").json["rows"]
    assert [row["trials"]["done"] for row in shown] == [2]


@pytest.mark.usefixtures("in_its_folder")
def test_a_run_that_is_all_of_a_file_and_has_grown_is_imported(permille: Permille) -> None:
    _again(permille, _total("a", 1.0, 7200))
    report = _again(permille, _total("a", 3.0, 21600))
    assert _counts(report) == (0, 0, 1)
    with Store(Path("permille.db"), readonly=True) as store:
        (trial,) = store.trials()
    assert any("1 kWh in 7200 s" in note for note in trial.notes)


@pytest.mark.usefixtures("in_its_folder")
def test_a_run_whose_rows_lie_far_apart_comes_to_its_last_total(permille: Permille) -> None:
    """Further than the runs that are held open, over the bounds of a batch."""
    between = (_total(f"r{i}", 1.0, 7200) for i in range(1500))
    report = _again(permille, _total("a", 1.0, 7200), *between, _total("a", 3.0, 21600))
    assert _counts(report) == (1501, 0, 1)
    assert _stored_kwh()["a"] == 3.0
    _is_whole(permille)


@pytest.mark.usefixtures("in_its_folder")
def test_a_run_in_two_files_of_one_folder_comes_to_its_fuller_total(permille: Permille) -> None:
    for name, kwh in (("a", 1.0), ("b", 3.0), ("c", 2.0)):
        folder = Path("runs")
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.csv").write_text(file("3.0.0", _total("x", kwh, kwh * 7200)))
    report = permille("import", "codecarbon", "runs", "--json").json
    assert _counts(report) == (1, 1, 1)
    assert _stored_kwh() == {"x": 3.0}


@pytest.mark.usefixtures("in_its_folder")
def test_a_run_read_by_another_task_is_not_taken_for_a_fuller_one(permille: Permille) -> None:
    tasks = file(
        "2.8.3", _total("a", 1.0, 7200, task_name="x"), _total("a", 2.0, 14400, task_name="y"),
        tasks=True,
    )  # fmt: skip
    Path("tasks.csv").write_text(tasks)
    command = ("import", "codecarbon", "tasks.csv", "--json")
    assert _counts(permille(*command, "--query-task", "x").json) == (1, 0, 0)
    assert _counts(permille(*command).json) == (0, 1, 0)
    assert _stored_kwh() == {"a": 1.0}


@pytest.mark.usefixtures("in_its_folder")
def test_what_contradicts_a_known_run_is_named_and_changes_nothing(permille: Permille) -> None:
    _again(permille, _total("a", 3.0, 7200))
    report = _again(permille, _total("a", 2.0, 21600))
    assert _counts(report) == (0, 1, 0)
    (bad,) = report["bad"]
    assert (bad["file"], bad["row"]) == ("emissions.csv", 2)
    assert "neither is a later total" in bad["reason"]
    assert _stored_kwh() == {"a": 3.0}


@pytest.mark.parametrize("options", ["--inferences 50", "--study other"])
@pytest.mark.usefixtures("in_its_folder")
def test_a_fuller_run_that_is_imported_otherwise_is_named(permille: Permille, options: str) -> None:
    _again(permille, _total("a", 1.0, 7200))
    report = _again(permille, _total("a", 3.0, 21600), options=options)
    assert report["replaced_count"] == 0
    (bad,) = report["bad"]
    assert "more complete here (3 kWh" in bad["reason"]
    assert options.split()[0] in bad["reason"]
    assert _stored_kwh() == {"a": 1.0}


@pytest.mark.usefixtures("in_its_folder")
def test_an_integer_beyond_64_bits_is_named_by_its_row(permille: Permille) -> None:
    configuration = {
        "model_id": "m", "gpu_model": "H100", "num_gpus": 1, "avg_power_watts": 600.0,
        "max_num_seqs": 8, "avg_output_len": 600.0, "output_throughput_tokens_per_sec": 1200.0,
        "energy_per_request_joules": 300.0,
    }  # fmt: skip
    wide = configuration | {"seed": 2**70}
    content = {"task": "gpqa", "configurations": [configuration, wide]}
    Path("gpqa.json").write_text(json.dumps(content))
    report = permille("import", "ml-energy", "gpqa.json", "--json").json
    assert report["trials"]["new"] == 1
    (bad,) = report["bad"]
    assert (bad["file"], bad["row"]) == ("gpqa.json", 2)
    assert "64 bits" in bad["reason"]


# --- any bytes ---------------------------------------------------------------------------

_DOCUMENTS = ["aiperf", "boamps", "ml-energy", "optimum-benchmark", "vllm-bench"]
_FORMATS = [
    "ai-energy-score",
    "aiperf",
    "boamps",
    "codecarbon",
    "ml-energy",
    "mlperf-power",
    "optimum-benchmark",
    "power-hungry-2023",
    "vllm-bench",
]
_SHORT = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@cache
def _sound() -> tuple[bytes, ...]:
    members = {
        "emissions/base/emissions_base_a.csv": file("2.3.1", {}, tasks=True).encode(),
        "tasks/x.json": b'{"task": "gpqa", "configurations": [{"model_id": "m"}]}',
        "benchmark.json": b'{"config": {}, "report": {"forward": {}}}',
        "master_results.csv": b"model_name,task\nm,t\n",
        "run_1/spl.txt": b"Time,12-23-2020 10:21:51.496,Watts,23.4,Volts,228.3,Mark,testing\n",
        "run_1/mlperf_log_detail.txt": b':::MLLOG {"key": "power_begin", "value": "x"}\n',
    }
    tar = _tar(members)
    return (_zip(members), tar, gzip.compress(tar), lzma.compress(tar), bz2.compress(tar))


def _imported(path: Path, format_name: str) -> None:
    """All of it; ImportDataError is what may be raised. What comes out could be true."""
    tally = Tally()
    with contextlib.suppress(ImportDataError):
        for trial in plugins.load("importers", format_name).trials(Source(path), tally, Options()):
            for phase in trial.phases.values():
                for domain in phase.domains.values():
                    assert 0 < domain.energy_j <= phase.seconds * MOST_W * 1.001
    assert len(tally.bad) <= 20


@_SHORT
@given(data=st.data(), format_name=st.sampled_from(_FORMATS))
def test_a_damaged_archive_is_trials_or_one_line(
    tmp_path: Path, data: st.DataObject, format_name: str
) -> None:
    content = bytearray(data.draw(st.sampled_from(_sound())))
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    path = tmp_path / "archive"
    path.write_bytes(bytes(content[:cut] if data.draw(st.booleans()) else content))
    _imported(path, format_name)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["gpqa", "image-chat", "s", "kWh", "vllm", "inference", "1e999"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([
                "task", "configurations", "model_id", "report", "config", "forward", "prefill",
                "decode", "latency", "energy", "unit", "mean", "count", "p50", "p95", "cpu", "gpu",
                "ram", "backend", "scenario", "name", "model", "device", "load_model",
                "energy_per_request_joules", "energy_per_token_joules", "avg_output_len",
                "output_throughput_tokens_per_sec", "max_num_seqs", "num_gpus", "gpu_model",
                "total", "throughput", "efficiency", "value", "avg_power_watts", "batch_size",
                "input_shapes", "run_id", "energy_consumed", "Model", "GPU model",
                "measures", "infrastructure", "taskStage", "taskFamily", "algorithms", "nbRequest",
                "measurementMethod", "powerConsumption", "measurementDuration", "permille",
            ]) | st.text(max_size=5),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)  # fmt: skip


@_SHORT
@given(content=_JSON, format_name=st.sampled_from(_DOCUMENTS))
def test_any_json_is_trials_or_named(tmp_path: Path, content: Any, format_name: str) -> None:
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps(content))
    _imported(path, format_name)


_WORDS = st.sampled_from([
    "", "0", "-1", "nan", "1e25", "0,5", "1e-9", "3.6e6", "20", "0.001", "r1", "r2", '"', "\ufeff",
])  # fmt: skip
_LINES = st.sampled_from([
    RUN_COLUMNS["3.0.0"], RUN_COLUMNS["3.1.0"], TASK_COLUMNS["2.8.3"], "sep=;", "<html>", "{",
    "version https://git-lfs.github.com/spec/v1", "timestamp,project_name,duration,emissions",
])  # fmt: skip
_ROWS = st.builds(
    lambda version, changed: row(RUN_COLUMNS[version], **changed),
    st.sampled_from(["2.0.0", "3.0.0", "3.1.0"]),
    st.dictionaries(
        st.sampled_from([
            "run_id", "duration", "cpu_energy", "gpu_energy", "energy_consumed", "emissions",
            "gpu_power", "pue", "timestamp", "project_name",
        ]),
        _WORDS,
        max_size=3,
    ),
)  # fmt: skip


@_SHORT
@given(lines=st.lists(_LINES | _ROWS, max_size=8), delimiter=st.sampled_from(",;\t"))
def test_any_lines_in_any_order_are_runs_or_named(
    tmp_path: Path, lines: list[str], delimiter: str
) -> None:
    content = "\n".join(line.rstrip("\n").replace(",", delimiter) for line in lines)
    path = tmp_path / "emissions.csv"
    path.write_text(content, encoding="utf-8")
    _imported(path, "codecarbon")


@_SHORT
@given(content=st.binary(max_size=2000), format_name=st.sampled_from(_FORMATS))
def test_any_bytes_are_trials_or_named(tmp_path: Path, content: bytes, format_name: str) -> None:
    for name in ("model_parameters.csv", "performance.csv", "benchmark.json"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "emissions" / "complete").mkdir(parents=True, exist_ok=True)
    (tmp_path / "emissions" / "complete" / "qa_squad.csv").write_bytes(content)
    _imported(tmp_path, format_name)
