"""Slurm's own queue, and the environment in which jobs are submitted to it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# squeue(1) asks programs to call it as seldom as they can: each call is work for slurmctld.
QUEUE_S = 30.0
"""Seconds between two looks at the queue."""
OF_THE_SITE = ("SLURM_CONF", "SLURM_JWT")
"""Variables that say how to reach Slurm; all others of its prefix are of one job."""


class SlurmQueue:
    """The jobs of this user in Slurm's queue: those of the last two looks, because a job's result
    may be seen on a shared file system some time after the job has left."""

    def __init__(self) -> None:
        self._looks: list[frozenset[str]] = []
        self._next_s = 0.0

    def holds(self, id: str) -> bool:
        """Whether the job may still be waiting or running."""
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + QUEUE_S
            seen = queued()
            if seen is not None:
                self._looks = [*self._looks[-1:], seen]
        return len(self._looks) < 2 or any(id in look for look in self._looks)


def queued() -> frozenset[str] | None:
    """The ids of this user's jobs; None if Slurm does not answer."""
    # --array: a line for each element, by the id that submitit knows.
    words = ["squeue", "--noheader", "--array", "--format=%i", "--user", str(os.getuid())]
    shown = subprocess.run(words, capture_output=True, text=True, check=False)
    return frozenset(shown.stdout.split()) if shown.returncode == 0 else None


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
