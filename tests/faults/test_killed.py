"""SIGKILLs at random moments of a running study: of the runner, the worker, the recorder."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.campaigns import size
from tests.conftest import PATIENCE_S, Permille
from tests.faults.conftest import MakeStudy, await_that, kept, ours, start
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

KILLS = size(10, 100)
MODELS = ("good", "good2", "good3")
REPEATS = size(3, 30)
"""To begin with: where a study is done before all have been killed, it is given as many more."""
MOST_RUNS = 2 * KILLS


class Listener(threading.Thread):
    """Takes in the lines of --json-lines: what is printed there is acknowledged."""

    def __init__(self, process: subprocess.Popen[str], said: list[dict[str, object]]) -> None:
        super().__init__(daemon=True)
        self._process, self._said = process, said
        self.start()

    def run(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):  # half a line was not yet said
                self._said.append(json.loads(line))


def _victims(runner: int) -> dict[str, int]:
    """Role -> process id, of the run below ``runner``."""
    found = {"runner": runner}
    try:
        for child in psutil.Process(runner).children():
            line = " ".join(child.cmdline())
            for role in ("worker", "recorder"):
                if f".{role}" in line:
                    found[role] = child.pid
    except psutil.Error:
        pass
    return found


@pytest.mark.campaign
def test_kills_lose_nothing_double_nothing_and_leave_nothing(
    permille: Permille,
    powercap: Driver,
    make_study: MakeStudy,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    path = make_study(*MODELS, repeats=REPEATS)
    repeats = REPEATS
    luck = random.Random(7)
    said: list[dict[str, object]] = []
    killed: Counter[str] = Counter()
    shares = {"worker": 40, "recorder": 30, "runner": 30}  # of 100
    victims = [role for role, share in shares.items() for _ in range(share * KILLS // 100)]
    luck.shuffle(victims)
    for _ in range(MOST_RUNS):
        if not victims:
            break
        process = start(path, environment, "--json-lines", "--repeats", str(repeats))
        listener = Listener(process, said)
        risky = _failed_twice(tmp_path)
        while process.poll() is None and victims:
            time.sleep(luck.uniform(0.0, 0.4))
            roles = _victims(process.pid)
            if victims[-1] not in roles or not _done(risky, said):
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(roles[victims[-1]], signal.SIGKILL)
                killed[victims.pop()] += 1
        if victims and process.poll() in (0, 1):
            repeats += REPEATS
        process.kill()
        process.wait(timeout=PATIENCE_S)
        listener.join(timeout=PATIENCE_S)
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()
        # Nothing is left of a killed run: the kernel and the recorder see to it.
        await_that(lambda: set(ours(tmp_path)) <= {powercap_pid(powercap)})
    assert sum(killed.values()) == KILLS
    _finish(permille, path, repeats)
    _compare(permille, tmp_path, said, repeats)


def _failed_twice(folder: Path) -> set[tuple[object, object]]:
    """Repeats whose third failure would give them up, as is promised: the next run tries them
    first, and nothing is killed until they are done. The store knows them, not what was said: a
    runner may die between the one and the other."""
    trials = kept(folder)
    bad: Counter[tuple[object, object]] = Counter(
        (t.cell.model, t.repeat) for t in trials if t.status != "done"
    )
    done: set[tuple[object, object]] = {
        (t.cell.model, t.repeat) for t in trials if t.status == "done"
    }
    return {key for key, count in bad.items() if count >= 2} - done


def _done(wanted: set[tuple[object, object]], said: list[dict[str, object]]) -> bool:
    return wanted <= {(s["model"], s["repeat"]) for s in said if s["status"] == "done"}


def powercap_pid(powercap: Driver) -> int:
    return powercap._process.pid


def _finish(permille: Permille, path: Path, repeats: int) -> None:
    """Undisturbed, to the end: the lock was left by none of the dead."""
    for _ in range(2):
        finished = permille("run", str(path), "--json-lines", "--repeats", str(repeats), code=None)
        if finished.code == 0:
            return
    pytest.fail(f"the study does not end: {finished.err}")


def _compare(permille: Permille, folder: Path, said: list[dict[str, object]], repeats: int) -> None:
    trials = kept(folder)
    assert {s["trial"] for s in said} <= {t.uid for t in trials}, "an acknowledged trial is lost"
    status = {t.uid: t.status for t in trials}
    assert all(status[str(s["trial"])] == s["status"] for s in said)
    done = Counter((t.cell.model, t.repeat) for t in trials if t.status == "done")
    undisturbed = Counter((model, repeat) for model in MODELS for repeat in range(repeats))
    assert done == undisturbed
    table = {r["model"]: r["trials"]["done"] for r in permille("results", "--json").json["rows"]}
    assert table == dict.fromkeys(MODELS, repeats)
    assert permille("store", "check").code == 0
