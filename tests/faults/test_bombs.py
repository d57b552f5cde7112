"""Files that are small on disk, or say that they are huge: memory and time stay bounded."""

from __future__ import annotations

import resource
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from permille.weights import gguf, onnx, safetensors
from permille.weights.header import UnreadableWeightsError
from tests.campaigns import size
from tests.conftest import PATIENCE_S

pytestmark = pytest.mark.slow

STUDY = """
[study]
name = "s"
[[models]]
id = "m"
backend = "python"
category = "task-specific"
callable = "model:predict"
[[tasks]]
task = "text-classification"
datasets = [{{ path = "{name}" }}]
"""
MEMORY_BYTES = 1_500_000_000
ROWS = size(800, 1200)
"""Of 2 MB each, which is more than the memory."""


def check(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """``permille study check`` of a data set, with little memory."""
    (folder / "model.py").write_text("def predict(text): return text\n")
    (folder / "study.toml").write_text(STUDY.format(name=name))
    return subprocess.run(
        [sys.executable, "-m", "permille", "study", "check", "study.toml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES)),
    )


def is_one_line(done: subprocess.CompletedProcess[str]) -> bool:
    return done.returncode == 2 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


@pytest.mark.campaign
def test_a_parquet_file_of_long_texts_is_one_line_in_little_memory(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect(config={"threads": 1}) as db:
        db.execute(
            f"COPY (SELECT repeat('a', 2000000) || range AS text, 'x' AS label FROM range({ROWS}))"
            f" TO '{tmp_path / 'd.parquet'}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 60)"
        )
    done = check(tmp_path, "d.parquet")
    assert is_one_line(done), done.stderr[-2000:]


@pytest.mark.parametrize("start", [b"", b"text,label\n", b'text,label\n"', b"text,label\na,"])
def test_a_csv_file_of_one_line_of_holes_is_one_line_in_little_memory(
    tmp_path: Path, start: bytes
) -> None:
    with (tmp_path / "d.csv").open("wb") as file:
        file.write(start)
        file.truncate(1_900_000_000)
    done = check(tmp_path, "d.csv")
    assert is_one_line(done), done.stderr[-2000:]
    assert "a row is longer than 1 MiB" in done.stderr


def test_a_csv_row_of_endless_short_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(b"text,label\n" + b'"\n",' * 400_000)
    done = check(tmp_path, "d.csv")
    assert is_one_line(done), done.stderr[-2000:]


def test_an_onnx_file_of_zeros_is_refused_at_its_first_byte(tmp_path: Path) -> None:
    with (tmp_path / "m.onnx").open("wb") as file:
        file.truncate(8 << 30)
    with pytest.raises(UnreadableWeightsError, match="a field number that protobuf does not have"):
        onnx.read(tmp_path / "m.onnx")


@pytest.mark.parametrize("content", [b"\x08\x00", b"\x15\0\0\0\0"])
def test_an_onnx_file_of_more_fields_than_a_model_has_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(onnx, "_MOST_FIELDS", 1_000)
    (tmp_path / "m.onnx").write_bytes(content * 1_001)
    with pytest.raises(UnreadableWeightsError, match="more than 1,000 fields"):
        onnx.read(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "entry",
    [
        '{"shape": [' + ",".join(["9" * 4000] * 1000) + '], "data_offsets": [0, 0]}',
        '{"shape": [' + "9" * 4_000_000 + '], "data_offsets": [0, 0]}',
        '{"shape": [' + ",".join(["9"] * 100_000) + '], "data_offsets": [0, 0]}',
        '{"shape": [1], "data_offsets": [0, 1e999]}',
        '{"shape": [-1], "data_offsets": [0, 0]}',
        '{"shape": [1.5], "data_offsets": [0, 0]}',
    ],
)
def test_numbers_that_no_shape_has_are_refused_unread(tmp_path: Path, entry: str) -> None:
    header = f'{{"a": {entry}}}'.encode()
    file = tmp_path / "m.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(UnreadableWeightsError, match="header is damaged"):
        safetensors.read(file)


@pytest.mark.parametrize(("of", "limit"), [(8, "_MAX_READS"), (8, "_MAX_HEADER_BYTES")])
def test_a_gguf_header_of_holes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: int, limit: str
) -> None:
    monkeypatch.setattr(gguf, limit, 10_000)
    file = tmp_path / "m.gguf"
    with file.open("wb") as stream:
        stream.write(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"a")
        stream.write(struct.pack("<IIQ", 9, of, 9_000_000))
        stream.truncate(9_000_000 * 8)
    with pytest.raises(UnreadableWeightsError, match="header is damaged"):
        gguf.read(file)
