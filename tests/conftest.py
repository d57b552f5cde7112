"""What the tests of whole commands share: a folder of their own, a fake powercap tree, the
program itself in a process of its own."""

from __future__ import annotations

import gc
import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

from permille.records.energy import Estimate
from tests.powercap import Constant, Driver, FakePowercap
from tests.zygote import Zygote

POWER_W = 60.0
LIMIT_W = 25.0
"""What the fake package states as its limit. No more than four times that is plausible (100 W), and
the less that is, the less uncertain is the edge of a span whose process was descheduled there."""
PATIENCE_S = 600.0
"""After which something never comes, on however busy a machine."""
A_CAMPAIGN = 20
"""Tests that one of a campaign takes as long as, roughly."""

# How long an example takes says something of the machine, and nothing of the code.
hypothesis.settings.register_profile("permille", deadline=None)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=20)  # `make check`
hypothesis.settings.load_profile("permille")


IMPORTS_TORCH = re.compile(
    r'\b(later|importorskip)\("(torch|transformers|diffusers)"|\btiny_models\b'
)
"""What a file says whose tests import torch in their own process."""


class _Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """A file's tests share what is slow to set up, and stay on one worker; so do those of all files
    that import torch, which takes seconds."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        self._scopes: dict[str, str] = {}

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file not in self._scopes:
            text = (self.config.rootpath / file).read_text(encoding="utf-8")
            self._scopes[file] = "torch" if IMPORTS_TORCH.search(text) else file
        return self._scopes[file]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Of `--dist loadfile`, the only one that the tests are run with."""
    return _Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which pytest-xdist hands out files (`--dist loadfile --no-loadscope-reorder`).

    After two files with tests that measure, which mostly wait, comes one that keeps a processor
    busy; of each kind the longest come first, and the many quick files last, so that no worker is
    left alone with a long one.
    """
    measuring: Counter[Path] = Counter()
    busy: Counter[Path] = Counter()
    for item in items:
        names = {mark.name for mark in item.iter_markers()}
        kind = measuring if "measuring" in names else busy
        if names & {"measuring", "slow"}:
            kind[item.path] += A_CAMPAIGN if "campaign" in names else 1
    place = {path: 2.0 * n + 1.5 for n, (path, _) in enumerate(busy.most_common())}
    place |= {path: float(n) for n, (path, _) in enumerate(measuring.most_common())}
    items.sort(key=lambda item: place.get(item.path, math.inf))


def pytest_collection_finish() -> None:
    """Keep Python's collector from going over what was imported and collected, which stays."""
    gc.collect()
    gc.freeze()


def holds(estimate: Estimate | None, truth: float) -> bool:
    """Whether the interval of a figure that exists includes what the fake machine really used.

    A test that measures asks this, with the time that really passed. A tolerance around a nominal
    value would be a statement about how busy the machine is that runs the test.
    """
    assert estimate is not None, "there is no figure"
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low <= estimate.value <= estimate.high
    return estimate.low <= truth <= estimate.high


class Finished:
    """A finished command."""

    def __init__(self, process: subprocess.CompletedProcess[str]) -> None:
        self.code = process.returncode
        self.out = process.stdout
        self.err = process.stderr

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        assert self.out, self.err
        return json.loads(self.out)


class Permille(Protocol):
    """Runs ``permille`` in the test's folder."""

    def __call__(self, *args: str, code: int | None = 0, **env: str) -> Finished: ...


def environment_in(folder: Path) -> dict[str, str]:
    """An environment in which nothing of the user's is read or written."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PERMILLE_")}
    (folder / "tmp").mkdir()
    # A lock of its own: tests may run side by side.
    kept["TMPDIR"] = str(folder / "tmp")
    if "PERMILLE_CACHE" in os.environ:
        kept["PERMILLE_CACHE"] = os.environ["PERMILLE_CACHE"]
    return kept


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return environment_in(tmp_path)


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    started = Zygote()
    yield started
    started.close()


def permille_in(folder: Path, environment: dict[str, str], zygote: Zygote) -> Permille:
    """The program, in this folder and environment."""

    def run(*args: str, code: int | None = 0, **env: str) -> Finished:
        changed = environment | env
        if zygote.can_fork(changed):
            process = zygote.run(args, folder, changed, PATIENCE_S)
        else:
            process = subprocess.run(
                [sys.executable, "-m", "permille", *args],
                cwd=folder, env=changed, capture_output=True, text=True,
                timeout=PATIENCE_S, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        finished = Finished(process)
        if code is not None:
            assert finished.code == code, f"exit {finished.code}\n{finished.out}\n{finished.err}"
        return finished

    return run


@pytest.fixture
def permille(environment: dict[str, str], tmp_path: Path, zygote: Zygote) -> Permille:
    return permille_in(tmp_path, environment, zygote)


@contextmanager
def powercap_in(folder: Path, environment: dict[str, str]) -> Iterator[Driver]:
    """A fake package that draws 60 W, which ``permille`` takes for this machine's."""
    tree = FakePowercap(folder / "powercap", dram=False, limit_w=LIMIT_W)
    environment["PERMILLE_POWERCAP"] = str(tree.root)
    environment["PERMILLE_METERS"] = "rapl"
    with tree.drive({"cpu:0": Constant(POWER_W)}) as driver:
        yield driver


@pytest.fixture
def powercap(tmp_path: Path, environment: dict[str, str]) -> Iterator[Driver]:
    with powercap_in(tmp_path, environment) as driver:
        yield driver
