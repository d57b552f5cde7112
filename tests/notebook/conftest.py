"""A store of two models, made without measuring."""

from __future__ import annotations

from pathlib import Path

import pytest

from permille.records.answers import Quality
from permille.store import Store
from tests.records import cell, trial


def fill(path: Path) -> Path:
    """Three trials of each of two models, and one that failed."""
    score = Quality(metric="accuracy", value=0.8, n=150)
    with Store(path) as store:
        for repeat in range(3):
            store.add(trial(36.0 + repeat, model="MiniLM", repeat=repeat, quality=score))
            store.add(
                trial(
                    720.0 + 40 * repeat,
                    model="SmolLM2",
                    repeat=repeat,
                    cell=cell("SmolLM2", category="general-purpose", settings={"batch_size": 4}),
                )
            )
        store.add(
            trial(model="MiniLM", repeat=3, status="failed", reason="out of memory", phases={})
        )
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return fill(tmp_path / "permille.db")
