"""Studies of tiny callables whose trials take half a second, and what a run leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from permille.records.trial import Trial
from permille.store import Store
from tests.callable_study import GOOD_OR_BAD, write_study
from tests.conftest import PATIENCE_S

GOOD = GOOD_OR_BAD + "\ngood2 = good3 = good\n"

MakeStudy = Callable[..., Path]

LOOK_S = 0.05
"""Between two looks: one at all processes, or at a store, takes milliseconds of a processor that
what is waited for needs."""


@pytest.fixture
def make_study(tmp_path: Path) -> MakeStudy:
    """Writes models.py, rows.jsonl and a study of the functions named; the study's path."""

    def write(
        *functions: str,
        source: str = "",
        name: str = "tiny",
        model: str = "",
        **settings: Any,
    ) -> Path:
        return write_study(
            tmp_path, *functions, source=GOOD + source, name=name, of_each_model=model, **settings
        )

    return write


def start(path: Path, environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """``permille run`` in a process of its own, told of HUP even where this one is under nohup."""
    return subprocess.Popen(
        [sys.executable, "-m", "permille", "run", str(path), *arguments],
        env=environment, cwd=path.parent, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )  # fmt: skip


def ours(folder: Path) -> dict[int, str]:
    """Living processes whose temporary folder is the test's: a run's and all below it, wherever
    they went."""
    found = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") != str(folder / "tmp"):
                continue
            if process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = " ".join(process.cmdline())
        except (psutil.Error, OSError):
            continue
    return found


def await_that(true: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
    """Wait until ``true()``; an AssertionError if it never is."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(LOOK_S)


def kept(folder: Path, store: str = "permille.db") -> list[Trial]:
    """Every trial in the store, of every round."""
    path = folder / store
    if not path.exists():
        return []
    with Store(path, readonly=True) as opened:
        return list(opened.trials(rounds="all"))


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a real, small tmpfs; skips where that is not permitted."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)],
            capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            pytest.skip("mounting a tmpfs is not permitted here (needs root)")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def as_nobody(*command: str) -> list[str]:
    """The command without root's right to ignore file modes."""
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", *command]
