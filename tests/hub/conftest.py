"""A Hub of our own on loopback, and an environment whose client asks it and nothing else."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_hub import FakeHub, serve
from tests.zygote import THE_HUBS, Zygote


class Hub:
    """The server, and the folder in which its client keeps what it has read."""

    def __init__(self, server: FakeHub, home: Path) -> None:
        self.server, self.home = server, home

    def forget(self) -> None:
        """Nothing is published, and nothing has been read."""
        self.server.forget()
        shutil.rmtree(self.home, ignore_errors=True)

    def seen_from(self, environment: dict[str, str]) -> dict[str, str]:
        """An environment whose client asks this server and nothing else."""
        no = ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE")
        return {name: value for name, value in environment.items() if name not in no} | {
            "HF_ENDPOINT": self.server.url,
            "HF_HOME": str(self.home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }


@pytest.fixture(scope="session")
def own_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serve() as server:
        yield Hub(server, tmp_path_factory.mktemp("hub") / "hf")


@pytest.fixture(scope="session")
def zygote(own_hub: Hub) -> Iterator[Zygote]:
    started = Zygote(
        own_hub.seen_from(dict(os.environ)),
        hub=all(map(importlib.util.find_spec, THE_HUBS)),
    )
    yield started
    started.close()


@pytest.fixture
def hub(own_hub: Hub, environment: dict[str, str], tmp_path: Path) -> FakeHub:
    own_hub.forget()
    seen = own_hub.seen_from(environment)
    environment.clear()
    environment.update(seen | {"PERMILLE_CACHE": str(tmp_path / "cache")})
    return own_hub.server
