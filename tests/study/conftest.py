"""A small study of callables, that every test of a run may change."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.callable_study import write_study

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

TEXTS = [f"{word} number {i}" for i in range(10) for word in ("good", "bad")]


def write_small(
    folder: Path, *models: str, repeats: int = 2, warmup: int = 0, timeout_s: float = 60.0
) -> Path:
    """A study of the callables named; the path of its file."""
    return write_study(
        folder, *models, source=MODELS, texts=TEXTS, inferences=20, repeats=repeats,
        warmup=warmup, idle_s=0.2, timeout_s=timeout_s,
    )  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small study to the test's folder."""
    return functools.partial(write_small, tmp_path)
