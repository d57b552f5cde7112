"""What Slurm's queue says of a run's jobs, from a squeue of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from permille.study.engines import slurm_queue
from permille.study.engines.slurm_queue import SlurmQueue, is_named, outside_of_a_job, queued


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that squeue prints, and beside it that of sacct, ``accounts``; without it, the
    program fails."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, file in (("squeue", "answer"), ("sacct", "accounts")):
        (folder / name).write_text(f"#!/bin/sh\nexec cat {tmp_path}/{file}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
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


def test_what_the_user_sees_of_the_queue_hides_no_job_of_a_run(
    answer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue = answer.parent / "bin" / "squeue"
    squeue.write_text(f"#!/bin/sh\n[ $SQUEUE_PARTITION ] || exec cat {answer}\n")
    monkeypatch.setenv("SQUEUE_PARTITION", "other")
    answer.write_text("7_0 RUNNING\n")
    assert queued() == frozenset({"7_0"})
    answer.write_text("RUNNING\n")
    assert is_named("permille")


def test_a_job_that_has_ended_has_left_and_its_state_is_remembered(answer: Path) -> None:
    queue = SlurmQueue()
    answer.write_text("7_0 RUNNING\n7_1 PENDING\n")
    assert [queue.holds("7_0") for _ in range(2)] == [True, True]
    answer.write_text("7_0 OUT_OF_MEMORY\n7_1 RUNNING\n")
    assert [queue.holds("7_0") for _ in range(2)] == [True, False]
    assert queued() == frozenset({"7_1"})
    answer.write_text("7_1 RUNNING\n")  # Slurm has forgotten it
    assert (queue.holds("7_0"), queue.end_of("7_0")) == (False, "OUT_OF_MEMORY")
    assert queue.end_of("7_1") is None


def test_a_job_that_waits_again_after_its_node_failed_has_not_ended(answer: Path) -> None:
    queue = SlurmQueue()
    answer.write_text("7_0 NODE_FAIL\n")
    assert queue.end_of("7_0") == "NODE_FAIL"
    answer.write_text("7_0 PENDING\n")
    assert (queue.holds("7_0"), queue.end_of("7_0")) == (True, None)


@pytest.mark.parametrize(
    ("accounts", "state"),
    [
        ("TIMEOUT\n", "TIMEOUT"),
        ("CANCELLED by 1000\n", "CANCELLED"),
        ("RUNNING\n", None),  # accounting has lost its end
        ("", None),
    ],
)
def test_accounting_knows_a_job_that_the_queue_has_forgotten(
    answer: Path, accounts: str, state: str | None
) -> None:
    answer.write_text("")
    answer.with_name("accounts").write_text(accounts)
    assert SlurmQueue().end_of("7_0") == state


def test_without_accounting_the_end_of_a_forgotten_job_is_unknown(answer: Path) -> None:
    answer.write_text("")
    assert SlurmQueue().end_of("7_0") is None
    answer.unlink()  # the queue does not answer either
    assert SlurmQueue().end_of("7_0") is None


def test_jobs_are_known_by_their_name_until_they_end(answer: Path) -> None:
    assert is_named("permille-study-1") is None
    answer.write_text("COMPLETED\nPENDING\n")
    assert is_named("permille-study-1") is True
    answer.write_text("COMPLETED\nCANCELLED\n")
    assert is_named("permille-study-1") is False


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
