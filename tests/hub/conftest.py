"""A Hub of our own on loopback, and an environment whose client asks it and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fake_hub import FakeHub, serve


@contextmanager
def hub_for(environment: dict[str, str], folder: Path) -> Iterator[FakeHub]:
    """The Hub of this environment, whose caches are in the folder."""
    with serve() as found:
        environment["HF_ENDPOINT"] = found.url
        environment["HF_HOME"] = str(folder / "hf")
        environment["PERMILLE_CACHE"] = str(folder / "cache")
        environment["HF_HUB_DISABLE_TELEMETRY"] = "1"
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
            environment.pop(name, None)
        yield found


@pytest.fixture
def hub(environment: dict[str, str], tmp_path: Path) -> Iterator[FakeHub]:
    with hub_for(environment, tmp_path) as found:
        yield found
