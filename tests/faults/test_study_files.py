"""Hostile study files: whatever they hold, one line comes out, soon, and nothing outside the
study's folder is read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from permille.errors import PermilleError
from permille.study.plan import file
from permille.study.plan.entries import Settings
from permille.study.plan.grid import make
from tests.conftest import Permille
from tests.faults.conftest import MakeStudy

LONGEST = 2_000
"""Characters of a message, at most."""

SOUND = """
[study]
name = "s"
[[models]]
id = "m"
backend = "python"
category = "task-specific"
callable = "models:good"
[[tasks]]
task = "text-classification"
datasets = [{ path = "rows.jsonl", text = "text", label = "label" }]
"""

scalars = (
    st.none().map(lambda _: "x")
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["python", "onnx", "task-specific", "../../etc/passwd", "a\0b", "x" * 5000])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["path", "name", "text", "labels"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = sorted(
    {"id", "backend", "category", "prompt", "tasks", "params", "network", "callable", "path",
     "python_path", "labels", "load", *Settings.__struct_fields__}
)  # fmt: skip
tables = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), values, max_size=6)


def _toml(value: Any) -> str:
    """A value in TOML's inline form."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'


def _plan(text: str, folder: Path) -> None:
    """As `study check` does it: a plan, or one line."""
    try:
        make(file.parse(text, where="study.toml", folder=folder))
    except PermilleError as error:
        said = str(error)
    else:
        said = "a plan"
    assert len(said.splitlines()) == 1, said
    assert 0 < len(said) < LONGEST


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("study")
    (found / "models.py").write_text("def good(text): return text\n")
    (found / "rows.jsonl").write_text('{"text": "a", "label": "a"}\n{"text": "b", "label": "b"}\n')
    return found


SLOW_IS_NO_FAULT = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@SLOW_IS_NO_FAULT
@given(study=tables, model=tables, task=values, extra=tables)
def test_any_tree_is_a_plan_or_one_line(
    folder: Path, study: Any, model: Any, task: Any, extra: Any
) -> None:
    tree = {
        "study": {"name": "s"} | study,
        "models": [
            {"id": "m", "backend": "python", "category": "task-specific",
             "callable": "models:good"} | model
        ],
        "tasks": [{"task": "text-classification", "datasets": task}],
    }  # fmt: skip
    _plan("".join(f"{k} = {_toml(v)}\n" for k, v in tree.items()), folder)
    _plan("".join(f"{_toml(k)} = {_toml(v)}\n" for k, v in extra.items()), folder)


@SLOW_IS_NO_FAULT
@given(data=st.binary(max_size=400))
@example(b"\xff\xfe")
@example(b"a = " + b"[" * 100_000)
@example(b"a = " + b"{a=" * 50_000)
@example(b"a = " + b"9" * 10_000)
@example(b"a" + b".a" * 20_000 + b" = 1")
@example(b"a = 99999-99-99")
@example(b"x" * (file.MAX_BYTES + 1))
@example(SOUND.encode().replace(b"rows.jsonl", b"x" * 5000))
@example(SOUND.encode().replace(b"rows.jsonl", b"a\\u0000b"))
@example(SOUND.encode().replace(b"rows.jsonl", b"a\\nb"))
@example(SOUND.encode().replace(b"rows.jsonl", b"../a\\u2028b"))
@example(SOUND.encode().replace(b'"s"', b'"s"\nidle_s = nan'))
@example(SOUND.encode().replace(b'"s"', b'"s"\nprecision = nan'))
@example(SOUND.encode().replace(b'"s"', b'"s"\nseed = 99999999999999999999999'))
def test_any_bytes_are_a_plan_or_one_line(folder: Path, data: bytes) -> None:
    path = folder / "hostile.toml"
    path.write_bytes(data)
    try:
        make(file.read(path))
    except PermilleError as error:
        said = str(error)
    else:
        said = "a plan"
    assert len(said.splitlines()) == 1, said
    assert 0 < len(said) < LONGEST


@SLOW_IS_NO_FAULT
@given(cut=st.integers(0, len(SOUND)), put=st.text(max_size=10))
def test_a_sound_file_with_anything_put_in_is_a_plan_or_one_line(
    folder: Path, cut: int, put: str
) -> None:
    _plan(SOUND[:cut] + put + SOUND[cut:], folder)


def test_check_says_one_line_of_a_hostile_file(permille: Permille, tmp_path: Path) -> None:
    path = tmp_path / "hostile.toml"
    for data in (
        b"\x00\x1b[2J",
        b"a = " + b"[" * 5000,
        b"[study]\nnmae = 'x'",
        b"a=" + b"9" * 5000,
    ):
        path.write_bytes(data)
        done = permille("study", "check", str(path), code=2)
        assert len(done.err.strip().splitlines()) == 1
        assert "\x1b" not in done.err


def test_a_symlink_that_leaves_the_folder_is_refused(
    permille: Permille, make_study: MakeStudy, tmp_path: Path
) -> None:
    path = make_study("good")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (tmp_path / "rows.jsonl").rename(outside / "rows.jsonl")
    (tmp_path / "rows.jsonl").symlink_to(outside / "rows.jsonl")
    done = permille("study", "check", str(path), code=2)
    assert "outside the study's folder" in done.err
    assert f"--allow-path {outside}" in done.err
    assert permille("study", "check", str(path), "--allow-path", str(outside)).code == 0


@pytest.mark.parametrize("way", ["../secret.jsonl", "/etc/passwd", "inner/../../secret.jsonl"])
def test_a_path_that_climbs_is_refused(
    permille: Permille, make_study: MakeStudy, tmp_path: Path, way: str
) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path.parent / "secret.jsonl").write_text('{"text": "a", "label": "a"}\n')
    path = make_study("good")
    path.write_text(path.read_text().replace("rows.jsonl", way))
    assert "outside the study's folder" in permille("study", "check", str(path), code=2).err


def test_a_loop_of_symlinks_is_one_line(
    permille: Permille, make_study: MakeStudy, tmp_path: Path
) -> None:
    path = make_study("good")
    (tmp_path / "rows.jsonl").unlink()
    os.symlink("rows.jsonl", tmp_path / "rows.jsonl")
    done = permille("study", "check", str(path), code=2)
    assert len(done.err.strip().splitlines()) == 1
