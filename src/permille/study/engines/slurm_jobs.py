"""Jobs that were submitted to Slurm: whether one is still running, and how one ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from permille.study.engines.share import TRIALS_FAILED
from permille.study.engines.slurm_queue import ENDED, SlurmQueue, queued


class SlurmJobs:
    """The jobs whose files submitit keeps in ``folder``; ``cluster`` as for
    :class:`permille.study.engines.slurm.SlurmEngine`."""

    def __init__(self, folder: Path, cluster: str) -> None:
        self._folder = folder
        self._cluster = cluster
        self._queue = SlurmQueue()

    def any_is_left(self, ids: Sequence[str]) -> bool:
        """Whether one of an earlier run's jobs is still waiting or running."""
        left = [job for id in ids if not _has_result(job := self.job(id))]
        if self._cluster != "slurm":
            return any(not job.done() for job in left)
        ids_left = queued() if left else frozenset[str]()
        # If Slurm does not answer, they may be running: new jobs would measure the same at once.
        return ids_left is None or any(job.job_id in ids_left for job in left)

    def job(self, id: str) -> Any:
        """The job of that id, as submitit knows it."""
        import submitit

        kind = submitit.LocalJob if self._cluster == "local" else submitit.SlurmJob
        return kind(self._folder, id)

    def ended(self, job: Any) -> bool:
        """Whether a job has left a result, or has left the queue without one. submitit would ask
        for the state that Slurm's accounting knows, which not every cluster has."""
        if self._cluster != "slurm":
            return bool(job.done())
        return _has_result(job) or not self._queue.holds(job.job_id)

    def failure(self, job: Any) -> str | None:
        """Why a job did not do its share; None if it did, or if only trials failed."""
        import submitit

        slurm = self._cluster == "slurm"
        if slurm and not _has_result(job):
            return f"was lost: {_end_text(self._queue.end_of(job.job_id))}{_tail(job)}"
        try:
            code = job.result()
        except (
            submitit.core.utils.UncompletedJobError,
            submitit.core.utils.FailedJobError,
        ) as error:
            return f"was lost: {' '.join(str(error).split())[:300]}"
        # The trials that failed have arrived like all others.
        if code in (0, TRIALS_FAILED):
            return None
        # Slurm may kill a model that needs too much memory, but not the job that started it.
        state = self._queue.end_of(job.job_id) if slurm else None
        known = f"; {_end_text(state)}" if ENDED.get(state or "") else ""
        return f"ended (exit {code}){known}{_tail(job)}"


def _has_result(job: Any) -> bool:
    return bool(job.paths.result_pickle.exists())


def _end_text(state: str | None) -> str:
    """What Slurm knows of the end of a job."""
    if state is None:
        return "it is no longer in Slurm's queue, and Slurm does not know how it ended"
    return f"Slurm's state of it is {state}" + (f" ({ENDED[state]})" if ENDED[state] else "")


def _tail(job: Any) -> str:
    """The end of what a job wrote, as the end of a sentence; empty if it wrote nothing."""
    try:
        text = job.stderr() or ""
    except OSError as error:
        text = str(error)
    last = " ".join(text.strip().splitlines()[-2:])[-300:]
    return f"; its last lines: {last}" if last else ""
