"""Slurm's own queue, and the environment in which jobs are submitted to it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

# squeue(1) asks programs to call it as seldom as they can: each call is work for slurmctld.
QUEUE_S = 30.0
"""Seconds between two looks at the queue."""
OF_THE_SITE = ("SLURM_CONF", "SLURM_JWT")
"""Variables that say how to reach Slurm; all others of its prefix are of one job."""

ENDED = {
    "COMPLETED": "",
    "FAILED": "",
    "CANCELLED": "it was cancelled",
    "TIMEOUT": "it reached its time limit; --time sets it",
    "OUT_OF_MEMORY": "it needed more memory than it was given",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node did not start",
    "PREEMPTED": "another job needed its node",
    "DEADLINE": "it reached its deadline",
}
"""The states in which a job has ended, and what they mean where the name does not say it
(https://slurm.schedmd.com/job_state_codes.html)."""


class SlurmQueue:
    """The jobs of this user in Slurm's queue: those of the last two looks, because a job's result
    may be seen on a shared file system some time after the job has left. A job that has ended is
    known to Slurm for some minutes more (``MinJobAge``); its state is remembered here."""

    def __init__(self) -> None:
        self._looks: list[frozenset[str]] = []
        self._next_s = 0.0
        self._ended: dict[str, str] = {}

    def holds(self, id: str) -> bool:
        """Whether the job may still be waiting or running."""
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + QUEUE_S
            self._look()
        return len(self._looks) < 2 or any(id in look for look in self._looks)

    def end_of(self, id: str) -> str | None:
        """The state in which a job has ended, one of :data:`ENDED`: as the queue had it or, for a
        job that left before it was looked at, as Slurm's accounting has it. None if neither knows,
        because the cluster has no accounting, or because the job has not ended."""
        if id not in self._ended:
            self._look()
        return self._ended.get(id) or _accounted(id)

    def _look(self) -> None:
        states = states_in_queue()
        if states is None:
            return
        left = _left(states)
        # A job whose node failed may be waiting again.
        self._ended = {id: state for id, state in (self._ended | states).items() if id not in left}
        self._looks = [*self._looks[-1:], left]


def queued() -> frozenset[str] | None:
    """The ids of this user's jobs that have not ended; None if Slurm does not answer."""
    states = states_in_queue()
    return None if states is None else _left(states)


def is_named(name: str) -> bool | None:
    """Whether a job of this user with that name has not ended; None if Slurm does not answer."""
    words = ["squeue", "--noheader", "--states=all", "--format=%T", "--name", name, "--user"]
    shown = _answer([*words, str(os.getuid())])
    return None if shown is None else any(line.strip() not in ENDED for line in shown)


def states_in_queue() -> dict[str, str] | None:
    """The state of each of this user's jobs by its id, also of those that ended some minutes ago;
    None if Slurm does not answer."""
    # --array: a line for each element, by the id that submitit knows. --states=all: by itself,
    # squeue leaves out suspended jobs, which go on, and those that have ended (squeue(1)).
    words = ["squeue", "--noheader", "--array", "--states=all", "--format=%i %T", "--user"]
    shown = _answer([*words, str(os.getuid())])
    if shown is None:
        return None
    return {id: state for id, _, state in (line.strip().partition(" ") for line in shown)}


def _left(states: dict[str, str]) -> frozenset[str]:
    return frozenset(id for id, state in states.items() if state not in ENDED)


def _accounted(id: str) -> str | None:
    """The state in which a job has ended by Slurm's accounting; None if it does not know."""
    # --allocations: or each step of the job, such as its batch script, would have a line, too.
    words = ["sacct", "--noheader", "--parsable2", "--allocations", "--format=State", "--jobs", id]
    for line in _answer(words) or ():
        state = line.partition(" ")[0].strip()  # "CANCELLED by 1000"
        return state if state in ENDED else None
    return None


def _answer(words: Sequence[str]) -> list[str] | None:
    """The lines that one of Slurm's programs prints; None if it is missing, or fails."""
    # They are options (squeue(1)): SQUEUE_PARTITION, for one, would hide the jobs of other
    # partitions, which would then count as lost.
    environment = {n: v for n, v in os.environ.items() if not n.startswith("SQUEUE_")}
    try:
        shown = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    except FileNotFoundError:
        return None
    return shown.stdout.splitlines() if shown.returncode == 0 else None


@contextmanager
def outside_of_a_job(note: Callable[[str], None]) -> Iterator[None]:
    """Submit as from a login node. Within a job, its number of tasks and the like would be those of
    the new jobs, too: two tasks would measure the same share at once."""
    outer = os.environ.get("SLURM_JOB_ID")
    of_job = {} if outer is None else {n: v for n, v in os.environ.items() if _is_of_job(n)}
    if outer is not None:
        note(f"this run is inside Slurm job {outer}: its own jobs cannot have that job's node")
    for name in of_job:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(of_job)


def _is_of_job(name: str) -> bool:
    return name.startswith("SLURM_") and name not in OF_THE_SITE
