"""A Hub of our own on loopback, and an environment whose client asks it and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_hub import FakeHub, serve


@pytest.fixture
def hub(environment: dict[str, str], tmp_path: Path) -> Iterator[FakeHub]:
    with serve() as found:
        environment["HF_ENDPOINT"] = found.url
        environment["HF_HOME"] = str(tmp_path / "hf")
        environment["PERMILLE_CACHE"] = str(tmp_path / "cache")
        environment["HF_HUB_DISABLE_TELEMETRY"] = "1"
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
            environment.pop(name, None)
        yield found
