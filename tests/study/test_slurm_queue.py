"""What Slurm's queue says of a run's jobs, from a squeue of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from permille.study.engines import slurm_queue
from permille.study.engines.slurm_queue import SlurmQueue, outside_of_a_job, queued


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that squeue prints; without it, squeue fails."""
    program = tmp_path / "bin" / "squeue"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec cat {tmp_path}/answer\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm_queue, "QUEUE_S", 0.0)
    return tmp_path / "answer"


def test_a_job_has_left_when_two_looks_in_turn_miss_it(answer: Path) -> None:
    queue = SlurmQueue()
    answer.write_text("7_0\n7_1\n")
    assert [queue.holds("7_0") for _ in range(3)] == [True] * 3
    answer.write_text("7_1\n")
    assert [queue.holds("7_0") for _ in range(2)] == [True, False]
    assert queue.holds("7_1")


def test_a_queue_that_does_not_answer_has_lost_no_job(answer: Path) -> None:
    queue = SlurmQueue()
    assert queued() is None
    assert all(queue.holds("7_0") for _ in range(5))
    answer.write_text("7_0\n")
    queue.holds("7_0")
    queue.holds("7_0")
    answer.unlink()
    assert all(queue.holds("7_0") for _ in range(5))


def test_jobs_inherit_nothing_of_the_job_that_submits_them(monkeypatch: pytest.MonkeyPatch) -> None:
    of_job = {"SLURM_JOB_ID": "5", "SLURM_NTASKS": "2", "SLURM_MEM_PER_CPU": "10"}
    others = {"SLURM_CONF": "/etc/slurm.conf", "SBATCH_ACCOUNT": "a", "PERMILLE_STORE": "s.db"}
    for name, value in (of_job | others).items():
        monkeypatch.setenv(name, value)
    notes: list[str] = []
    with outside_of_a_job(notes.append):
        assert not of_job.keys() & os.environ.keys()
        assert others.items() <= os.environ.items()
    assert of_job.items() <= os.environ.items()
    assert "inside Slurm job 5" in notes[0]


def test_on_a_login_node_the_environment_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("SLURM_NTASKS", "2")
    notes: list[str] = []
    with outside_of_a_job(notes.append):
        assert os.environ["SLURM_NTASKS"] == "2"
    assert notes == []
