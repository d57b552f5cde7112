"""Recordings and the processes that a program starts while one is made."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import permille
from permille.errors import UsageError
from tests.conftest import PATIENCE_S, POWER_W
from tests.powercap import Driver

pytestmark = pytest.mark.measuring


@pytest.fixture
def environment(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The children's sockets are in the folder for temporary files, and a socket's path has at
    most 107 bytes, which a test's own folder may fill."""
    with tempfile.TemporaryDirectory(prefix="p") as folder:
        environment["TMPDIR"] = folder
        yield environment


POOL = """
import json, multiprocessing, sys, time
import permille

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

def spanned(rec):
    with rec.span("in the child"):
        pass

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with permille.record() as rec:
        with rec.span("work", inferences=2):
            workers = [context.Process(target=burn, args=(0.4,)) for _ in range(2)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        try:
            with context.Pool(1) as pool:
                pool.apply(spanned, (rec,))
            refused = None
        except permille.PermilleError as error:
            refused = str(error)
    cpu, result = rec.recording.cpu, rec["work"]
    print(json.dumps({
        "own_s": cpu.own_s[-1] - cpu.own_s[0], "seconds": result.seconds,
        "energy_j": [result.energy.low, result.energy.high],
        "valid": result.valid, "refused": refused,
    }))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_work_of_children_is_in_the_span_and_is_not_a_disturbance(
    machine: Driver, environment: dict[str, str], tmp_path: Path, method: str
) -> None:
    program = tmp_path / "pool.py"
    program.write_text(POOL)
    done = subprocess.run(
        [sys.executable, program, method],
        env=environment, capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["valid"]
    low_j, high_j = report["energy_j"]
    assert low_j <= POWER_W * report["seconds"] <= high_j
    assert report["own_s"] > 0.75  # both children burned 0.4 s, counted in ticks of 0.01 s
    assert "a recording cannot be sent to another process" in report["refused"]


def test_a_recording_is_not_pickled() -> None:
    with pytest.raises(UsageError, match="cannot be sent to another process"):
        copy.copy(permille.record())  # as pickle does


@contextmanager
def forked() -> Iterator[int]:
    """A child that lives until the block ends."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    try:
        yield pid
    finally:
        os.close(writer)
        os.waitpid(pid, 0)


def test_a_forked_child_that_lives_on_does_not_keep_the_lock_or_the_recorder(
    machine: Driver,
) -> None:
    with permille.record() as rec, rec.span("query"):
        assert rec._recorder is not None
        recorder = rec._recorder._process
        child = forked()
        child.__enter__()
        time.sleep(0.4)
    with child_ends(child):
        assert rec["query"].valid
        assert recorder.returncode == 0  # it was not killed after a wait
        with permille.record():  # the lock is free
            pass


def test_a_forked_child_that_leaves_a_measured_call_has_not_made_it(machine: Driver) -> None:
    @permille.measured(inferences=1)
    def forks() -> int:
        return os.fork()

    try:
        child = forks()
    except IndexError:  # raised in the child, which must not go on with the tests
        os._exit(1)
    if not child:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert forks.result.inferences == 1


@contextmanager
def child_ends(child: Any) -> Iterator[None]:
    try:
        yield
    finally:
        child.__exit__(None, None, None)


KILLED = """
import os, time
import permille

with permille.record() as rec:
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    print(rec._recorder.pid, child, flush=True)
    time.sleep(600)
"""


def test_the_recorder_of_a_killed_process_ends_although_a_forked_child_lives(
    machine: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    program = tmp_path / "killed.py"
    program.write_text(KILLED)
    process = subprocess.Popen(
        [sys.executable, program], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    recorder, child = map(int, process.stdout.readline().split())
    try:
        assert psutil.Process(recorder).is_running()
        process.kill()
        process.wait()
        for _ in range(6000):
            if has_ended(recorder):
                break
            time.sleep(0.1)
        assert has_ended(recorder)
        assert not has_ended(child)
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


LOADER = """
import json
import torch
import permille

class Squares(torch.utils.data.Dataset):
    def __len__(self):
        return 64
    def __getitem__(self, i):
        if i == 63:
            with rec.span("in a worker"):
                pass
        return torch.full((64, 64), float(i)).square().sum()

refused = None
with permille.record() as rec:
    loader = torch.utils.data.DataLoader(
        Squares(), batch_size=8, num_workers=2, persistent_workers=True,
        multiprocessing_context="fork",
    )
    try:
        with rec.span("load", inferences=64):
            for _ in range(20):
                for batch in loader:
                    pass
    except permille.PermilleError as error:
        refused = str(error)
with permille.record() as again:  # with the workers still alive
    pass
workers = sum(worker.is_alive() for worker in loader._iterator._workers)
print(json.dumps({"refused": refused, "reason": rec["load"].reason, "workers": workers}))
"""


@pytest.mark.slow
def test_the_workers_of_a_data_loader(
    machine: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    program = tmp_path / "loader.py"
    program.write_text(LOADER)
    done = subprocess.run(
        [sys.executable, program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert "this is a forked child of process" in report["refused"]
    assert report["reason"].startswith("1 of 1 spans ended with UsageError")
    assert report["workers"] > 0
