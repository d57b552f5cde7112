"""Many trials: scheduling, memory, descriptors and processes stay bounded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from permille.recorder.client import Recorder
from permille.store import Store
from permille.study.plan import file
from permille.study.plan.grid import make
from permille.study.run.runner import Runner
from tests.campaigns import size
from tests.faults.conftest import MakeStudy, ours
from tests.powercap import Driver
from tests.records import trial

pytestmark = pytest.mark.measuring

TRIALS = 10_000
SOAKED = size(15, 60)
"""Trials of one run; the first five settle what a process keeps."""


@pytest.mark.campaign
def test_trials_leak_neither_descriptors_nor_processes_nor_memory(
    powercap: Driver,
    make_study: MakeStudy,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", environment["TMPDIR"])
    plan = make(file.read(make_study("good", repeats=SOAKED)))
    me = psutil.Process()
    seen: list[tuple[int, int, int]] = []

    def watch(what: str, event: Any) -> None:
        if what == "trial":
            assert event.status != "failed", event.reason
            seen.append((me.num_fds(), len(ours(tmp_path)), me.memory_info().rss))

    with Store(tmp_path / "soak.db") as store, Recorder() as recorder:
        Runner(plan, store, recorder, watch).run()
    assert len(seen) == SOAKED
    assert {descriptors for descriptors, _, _ in seen[5:]} == {seen[5][0]}
    assert len({processes for _, processes, _ in seen}) == 1
    assert seen[-1][2] - seen[5][2] < 20e6
    assert set(ours(tmp_path)) <= {powercap._process.pid, os.getpid()}


TOLD = """
import re, sys; from pathlib import Path
from permille.cli import dispatch
code = dispatch(sys.argv[1:])
# Not ru_maxrss: a child inherits its parent's from before the exec.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1))
print(f"peak {peak}", file=sys.stderr)
sys.exit(code)
"""


def test_a_store_of_10_000_trials_is_scheduled_at_once_in_under_200_mb(
    powercap: Driver, make_study: MakeStudy, environment: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The whole command on a study whose trials are done: it asks the store once, whatever the
    number of cells and repeats, and makes the table."""
    path = make_study("good", repeats=TRIALS)
    plan = make(file.read(path))
    fingerprint = _fingerprint(environment, path, tmp_path)
    with Store(tmp_path / "permille.db") as store:
        store.add_many(
            (
                trial(
                    float(i % 7 + 1), repeat=i, uid=str(i), study="tiny", cell=plan.cells[0].cell,
                    protocol=plan.protocol, environment=fingerprint,
                ),
                None,
            )
            for i in range(TRIALS)
        )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", TOLD, "run", str(path), "--json"], env=environment, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    peak_kib = int(done.stderr.rpartition("peak ")[2])
    assert peak_kib * 1024 < 200e6
    assert f'"done": {TRIALS}' in done.stdout


def test_results_hold_the_trials_of_one_cell_at_a_time(tmp_path: Path) -> None:
    peaks = []
    for cells in (4, 200):
        path = tmp_path / f"{cells}.db"
        with Store(path) as store:
            store.add_many(
                (trial(float(repeat), model=f"m{number}", repeat=repeat), None)
                for number in range(cells)
                for repeat in range(100)
            )
        done = subprocess.run(
            [sys.executable, "-c", TOLD, "results", "--json", "--store", str(path)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        rows = json.loads(done.stdout)["rows"]
        assert [row["trials"]["done"] for row in rows] == [100] * cells
        assert [row["model"] for row in rows] == [f"m{number}" for number in range(cells)]
        peaks.append(int(done.stderr.rpartition("peak ")[2]))
    assert peaks[1] - peaks[0] < 30_000  # kB; the 20,000 trials at once are 40 MB more


def test_the_store_is_asked_once_for_what_is_to_be_run(
    powercap: Driver, make_study: MakeStudy, environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", environment["TMPDIR"])
    plan = make(file.read(make_study("good", "good2", "good3", repeats=1000)))
    with Store(tmp_path / "s.db") as store, Recorder() as recorder:
        statements: list[str] = []
        store._db.set_trace_callback(statements.append)
        runner = Runner(plan, store, recorder)
        assert sum(len(block.cells) for block in runner.schedule.blocks(range(1000))) == 3000
    asked = [statement for statement in statements if statement.startswith("SELECT")]
    assert 0 < len(asked) <= 12  # each table with its count, whatever the number of repeats


def _fingerprint(environment: dict[str, str], path: Path, folder: Path) -> Any:
    """This machine, as a run of the study names it."""
    subprocess.run(
        [sys.executable, "-m", "permille", "run", str(path), "--repeats", "1", "--json-lines",
         "--store", "one.db"],
        env=environment, cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    with Store(folder / "one.db", readonly=True) as store:
        return next(iter(store.trials())).environment
