"""An export replaces what it should, and nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from permille.errors import UsageError
from permille.output import check_writable, write_whole
from permille.store import Store
from tests.conftest import Permille
from tests.records import trial

pytestmark = pytest.mark.slow

FORMATS = ("csv", "parquet", "json", "model-card", "codecarbon", "html")

TARGETS = (
    "permille.db", "link", "pipe", "permille.db-wal", "permille.db-journal", "other.db", "dangling",
    "to-store", "hard", "/dev/full", "/dev/null", "folder", "none/out",
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "permille.db"
    with Store(path) as opened:
        opened.add(trial(36.0))
    return path


@pytest.mark.parametrize("format_name", FORMATS)
def test_what_is_no_plain_file_of_an_export_is_left_alone(
    permille: Permille, store: Path, tmp_path: Path, format_name: str
) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(store.read_bytes())
    text = tmp_path / "text.txt"
    text.write_text("mine")
    (tmp_path / "link").symlink_to(text)
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    (tmp_path / "to-store").symlink_to(store)
    os.link(store, tmp_path / "hard")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    before = store.read_bytes()
    # One function writes all formats: each meets a few targets, and one all of them.
    for target in TARGETS if format_name == FORMATS[0] else TARGETS[:3]:
        said = permille("export", format_name, target, code=2).err
        assert "cannot write" in said, target
        assert len(said.strip().splitlines()) == 1
    assert store.read_bytes() == before
    assert other.read_bytes() == before
    assert text.read_text() == "mine"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "none").exists()
    assert not [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")]


@pytest.mark.parametrize(
    "command",
    [
        ("measure", "--export-json"), ("measure", "--export-csv"), ("measure", "--export-markdown"),
        ("gate", "--export-markdown"),
    ],
)  # fmt: skip
def test_a_measured_commands_file_replaces_no_store_and_is_refused_before(
    permille: Permille, store: Path, tmp_path: Path, command: tuple[str, str]
) -> None:
    before = store.read_bytes()
    lines = ("--", "touch", "ran", "---", "touch", "ran")
    refusal = permille(*command, "permille.db", *lines, code=2).err
    assert "cannot write permille.db: it is a store" in refusal
    assert store.read_bytes() == before
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("format_name", FORMATS)
def test_an_older_export_is_replaced(
    permille: Permille, store: Path, tmp_path: Path, format_name: str
) -> None:
    out = tmp_path / "out"
    out.write_text("old")
    out.chmod(0o640)
    permille("export", format_name, "out")
    assert out.read_bytes() != b"old"
    assert stat.S_IMODE(out.stat().st_mode) == 0o640


def test_what_cannot_be_written_whole_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    out = tmp_path / "out"
    out.write_text("old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        write_whole(out, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert out.read_text() == "old"


def test_a_path_that_cannot_be_examined_is_an_error_of_one_line(tmp_path: Path) -> None:
    out = tmp_path / ("long" * 100)
    with pytest.raises(UsageError, match=r"cannot write .*: File name too long"):
        write_whole(out, b"new")
    with pytest.raises(UsageError, match=r"cannot write .*: File name too long"):
        check_writable(out)


def test_a_dash_is_no_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="name a file instead of -"):
        check_writable(Path("-"))
