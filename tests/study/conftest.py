"""A small study of callables, that every test of a run may change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

MODELS = """
import os, signal, time

def quick(text):
    return "good" if "good" in text else "bad"

def slow(text):
    time.sleep(0.003)
    return quick(text)

_seen = 0

def breaks(text):
    global _seen
    _seen += 1
    if _seen == 7:
        raise ValueError("boom on the 7th")
    return quick(text)

def dies(text):
    os.kill(os.getpid(), signal.SIGKILL)

def hangs(text):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)

def babbles(text):
    print("\\x1b[31mgarbage" * 1000)
    os.write(1, b"\\xff\\x00" * 5000)
    return quick(text)

def unreadable(text):
    return "neither"
"""

ROWS = [
    f'{{"text": "this is {word} number {i}", "label": "{word}"}}'
    for i in range(10)
    for word in ("good", "bad")
]

STUDY = """
[study]
name = "small"
inferences = 20
repeats = {repeats}
warmup = {warmup}
idle_s = 0.2
timeout_s = {timeout_s}

{models}

[[tasks]]
task = "text-classification"
datasets = [{{ path = "rows.jsonl", text = "text", label = "label" }}]
"""

MODEL = """
[[models]]
id = "{name}"
backend = "python"
category = "task-specific"
callable = "models:{name}"
"""


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Path]:
    """Writes a study of the callables named; the path of its file."""

    def write(*models: str, repeats: int = 2, warmup: int = 0, timeout_s: float = 60.0) -> Path:
        (tmp_path / "models.py").write_text(MODELS)
        (tmp_path / "rows.jsonl").write_text("\n".join(ROWS) + "\n")
        path = tmp_path / "study.toml"
        tables = "".join(MODEL.format(name=name) for name in models)
        path.write_text(
            STUDY.format(repeats=repeats, warmup=warmup, timeout_s=timeout_s, models=tables)
        )
        return path

    return write
