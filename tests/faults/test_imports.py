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
from permille.importers.files import Source
from tests.conftest import Permille
from tests.importers.codecarbon_files import RUN_COLUMNS, file, row

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
        with gzip.open(path, "wb", compresslevel=9) as stream:
            stream.write(first)
            for _ in range(2048):
                stream.write(bytes(1 << 18))
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


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS and sparse files as on Linux")
def test_two_gigabytes_are_imported_within_500_mb(tmp_path: Path) -> None:
    """The whole command, address space and all. Between the rows lie 2 GiB without a line
    break; no more is held than a line may have."""
    path = tmp_path / "big.csv"
    columns = RUN_COLUMNS["3.3.2"]
    with path.open("wb") as stream:
        stream.write(file("3.3.2", *({"run_id": f"a{i}"} for i in range(5000))).encode())
        stream.truncate(2 << 30)  # sparse
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


# --- any bytes ---------------------------------------------------------------------------

_FORMATS = ["ai-energy-score", "codecarbon", "ml-energy", "optimum-benchmark", "power-hungry-2023"]
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
    }
    tar = _tar(members)
    return (_zip(members), tar, gzip.compress(tar), lzma.compress(tar), bz2.compress(tar))


def _imported(path: Path, format_name: str) -> None:
    """All of it; ImportDataError is what may be raised."""
    tally = Tally()
    with contextlib.suppress(ImportDataError):
        for trial in plugins.load("importers", format_name).trials(Source(path), tally, Options()):
            assert all(
                domain.energy_j > 0
                for phase in trial.phases.values()
                for domain in phase.domains.values()
            )
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
    | st.sampled_from(["gpqa", "image-chat", "s", "kWh", "vllm", "1e999"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([
                "task", "configurations", "model_id", "report", "config", "forward", "prefill",
                "decode", "latency", "energy", "unit", "mean", "count", "p50", "p95", "cpu", "gpu",
                "ram", "backend", "scenario", "name", "model", "device", "load_model",
                "energy_per_request_joules", "energy_per_token_joules", "avg_output_len",
                "output_throughput_tokens_per_sec", "max_num_seqs", "num_gpus", "gpu_model",
            ]) | st.text(max_size=5),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)  # fmt: skip


@_SHORT
@given(content=_JSON, format_name=st.sampled_from(["ml-energy", "optimum-benchmark"]))
def test_any_json_is_trials_or_named(tmp_path: Path, content: Any, format_name: str) -> None:
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps(content))
    _imported(path, format_name)


@_SHORT
@given(content=st.binary(max_size=2000), format_name=st.sampled_from(_FORMATS))
def test_any_bytes_are_trials_or_named(tmp_path: Path, content: bytes, format_name: str) -> None:
    for name in ("model_parameters.csv", "performance.csv", "benchmark.json"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "emissions" / "complete").mkdir(parents=True, exist_ok=True)
    (tmp_path / "emissions" / "complete" / "qa_squad.csv").write_bytes(content)
    _imported(tmp_path, format_name)
