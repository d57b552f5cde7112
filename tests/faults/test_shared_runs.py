"""Two runs of one study on one store."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import psutil
import pytest

from permille.errors import StoreError
from permille.study.run.trial_locks import Claims
from tests.conftest import PATIENCE_S, Permille
from tests.faults.conftest import MakeStudy, await_that, kept, start
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

SLOW = """
import time
def slow(text):
    time.sleep(0.2)
    return good(text)
slow2 = slow
"""


def test_two_runs_of_one_study_make_each_trial_once(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path,
    environment: dict[str, str],
) -> None:  # fmt: skip
    path = make_study("slow", "slow2", source=SLOW, repeats=3)
    runs = [start(path, environment, "--shared", "--json-lines") for _ in range(2)]
    for run in runs:
        _, err = run.communicate(timeout=PATIENCE_S)
        assert run.returncode in (0, 1), err  # 1: beside another, a span may be too short
    counts = Counter((trial.cell.model, trial.repeat) for trial in kept(tmp_path))
    assert len(counts) == 6
    assert set(counts.values()) == {1}
    assert not (tmp_path / "permille.db-claims").exists()


def test_the_trial_of_a_run_that_was_killed_is_made_by_the_other(
    permille: Permille, powercap: Driver, make_study: MakeStudy, tmp_path: Path,
    environment: dict[str, str],
) -> None:  # fmt: skip
    stuck = """
import os, time
def stuck(text):
    folder = os.path.dirname(__file__)
    try:
        os.close(os.open(folder + "/first", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return good(text)
    time.sleep(600)
"""
    path = make_study("stuck", source=stuck)
    first = start(path, environment, "--shared", "--json-lines")
    await_that((tmp_path / "first").exists)
    second = start(path, environment, "--shared", "--json-lines")
    with Claims(tmp_path / "permille.db") as claims, claims.on("another", wait=False) as ours:
        assert ours
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=PATIENCE_S)
    second.communicate(timeout=PATIENCE_S)
    assert [(trial.cell.model, trial.repeat) for trial in kept(tmp_path)] == [("stuck", 0)]


def test_a_claim_excludes_other_processes_and_ends_with_its_holder(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        held = Claims(store).on("trial 1", wait=False)
        os.write(writer, b"1" if held.__enter__() else b"0")
        signal.pause()
    assert os.read(reader, 1) == b"1"
    with Claims(store) as claims:
        with claims.on("trial 1", wait=False) as ours:
            assert not ours
        with claims.on("trial 2", wait=False) as ours:
            assert ours
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with claims.on("trial 1", wait=True) as ours:
            assert ours
    assert not store.with_name("s.db-claims").exists()


def test_a_claim_in_a_folder_that_vanishes_says_so_and_closes_its_file_once(
    tmp_path: Path,
) -> None:
    """A second close would fail with an error of its own, or close a file of somebody else."""
    folder = tmp_path / "gone"
    folder.mkdir()

    def claim() -> None:
        with Claims(folder / "s.db") as claims:
            folder.rename(tmp_path / "moved")
            with claims.on("trial 1", wait=False):
                pass

    before = psutil.Process().num_fds()
    with pytest.raises(StoreError, match=r"the store .* has vanished"):
        claim()
    assert psutil.Process().num_fds() == before
