"""``--engine slurm``: an array job, with one exclusive job for each task and dataset.

The jobs need no connection to the run. Each puts its finished trials as objects into a folder
beside the store, on the file system that the cluster shares; the run fetches them, and may be
stopped and started again meanwhile.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from permille.errors import EngineError, StoreError
from permille.extras import extra
from permille.interrupts import Interrupts
from permille.records.trial import Trial
from permille.store import REFERENCE_SOURCE
from permille.store.cloud.bucket import Bucket
from permille.store.cloud.mirror import pull_into, put_each
from permille.study.engines.messages import digest_of
from permille.study.engines.protocol import EngineOption, RunOutcome, StudyRun, Watch
from permille.study.engines.remainder import missing, not_made
from permille.study.engines.share import Share, ShareJob, Starts, part_of, shares_of
from permille.study.engines.slurm_jobs import SlurmJobs
from permille.study.engines.slurm_queue import is_named, outside_of_a_job
from permille.study.engines.submissions import Submissions, Submitted
from permille.study.run.required import require_measured
from permille.study.run.schedule import most_repeats
from permille.study.run.tally import RunTally
from permille.study.run.trial_locks import Claims
from permille.units import counted

POLL_S = 5.0
# By default, submitit gives up after the third time; a study may take many times a partition's
# limit.
MOST_TIMEOUTS = 100
"""How often a job that reaches its time limit is started again."""


class SlurmEngine:
    """Submits jobs to Slurm through submitit. ``cluster``: another of submitit's executors, for
    tests; ``poll_s``: between two looks at the folder."""

    options: frozenset[EngineOption] = frozenset({"machines", "partition", "time"})

    def __init__(self, cluster: str = "slurm", poll_s: float = POLL_S) -> None:
        self._cluster = cluster
        self._poll_s = poll_s

    def check(self, run: StudyRun) -> None:
        """See :class:`permille.study.engines.protocol.Engine`.

        Raises:
            UsageError: a library is missing.
            EngineError: this machine cannot submit jobs.
        """
        with extra("slurm", "--engine slurm"):
            import obstore  # noqa: F401
            import submitit  # noqa: F401
        # Its warnings would also go to standard output, between the lines of --json-lines.
        logging.getLogger("submitit").setLevel(logging.ERROR)
        if self._cluster == "slurm" and shutil.which("sbatch") is None:
            raise EngineError(
                "there is no sbatch here: start --engine slurm on a login node of a Slurm cluster"
            )

    def run(self, run: StudyRun) -> RunOutcome:
        """See :class:`permille.study.engines.protocol.Engine`.

        Raises:
            EngineError: Slurm refuses the jobs, or those of another plan are still running.
            StoreError: the folder beside the store cannot be used.
            Interrupted: Ctrl-C, TERM or HUP. The jobs go on; the same command waits for them.
        """
        folder = run.store.path.with_name(f"{run.store.path.name}-slurm").absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot create {folder}: {error.strerror}") from error
        with (
            Claims(run.store.path) as claims,
            claims.on(f"nodes\0{run.plan.name}", wait=False) as ours,
            # A token that no process has: not even a second Ctrl-C may end the jobs.
            Interrupts(os.urandom(16).hex()),
        ):
            if not ours:
                raise EngineError(f"another run measures this study into {run.store.path}")
            return RunOutcome(_Wait(run, folder, self._cluster, self._poll_s).run())


class _Wait:
    """One run: submit what is missing, or find the jobs of an earlier run; fetch until they end."""

    def __init__(self, run: StudyRun, folder: Path, cluster: str, poll_s: float) -> None:
        self._run = run
        self._folder = folder
        self._cluster = cluster
        self._poll_s = poll_s
        self._jobs = SlurmJobs(folder / "jobs", cluster)
        self._shares = shares_of(run.plan)
        self._submissions = Submissions(
            folder, run.plan.name, [share.folder for share in self._shares]
        )
        self._buckets = {
            share: Bucket((folder / "trials" / share.folder).as_uri(), creates=True)
            for share in self._shares
        }
        self._tally = RunTally()
        self._failed: set[tuple[str, int]] = set()
        """The repeats, by cell, whose trials this run counts as failed or invalid."""
        # By its line: what is refused stays in the folder, and is refused again at every look.
        self._problems: dict[str, None] = {}

    def run(self) -> RunTally:
        note = self._run.listener.note
        kept = 0
        for bucket in self._buckets.values():
            pulled = pull_into(self._run.store, bucket)
            kept += pulled.new
            self._problems |= dict.fromkeys(pulled.problems)
        if kept:
            note(f"fetched {counted(kept, 'trial')} of earlier jobs")
        repeats = range(most_repeats(self._run.plan.settings))
        due = missing(self._run, repeats)
        self._tally.kept = len(self._run.plan.cells) * len(repeats) - sum(due.values())
        jobs = self._found_or_submitted(due)
        with self._run.listener.measuring(
            due, len(repeats), self._tally, at_once=_at_once(self._run.options.engine, jobs)
        ) as watch:
            while jobs:
                ended = all(map(self._jobs.ended, jobs.values()))
                self._fetch(watch)  # once more after the last has ended
                if ended:
                    break
                time.sleep(self._poll_s)
        # From here on, the next run submits what is missing instead of waiting for these jobs.
        self._submissions.forget()
        for line in list(self._problems)[:5]:
            note(f"refused: {line}")
        for share, job in jobs.items():
            self._account(share, job, repeats)
        return self._tally

    def _account(self, share: Share, job: Any, repeats: range) -> None:
        """Count what a job that has ended did not make."""
        note, pair = self._run.listener.note, " on ".join(share.pair)
        reason = self._jobs.failure(job)
        if reason is not None:
            note(f"the job of {pair} {reason}")
        part = part_of(self._run.plan, share.pair)
        left = not_made(self._run, part, repeats, self._failed)
        # How many repeats a cell needs is for the job to say, where precision decides.
        fixed = not self._run.plan.settings.precision
        if reason is not None:
            # None is given up: the job did not say so, and the next may be on another kind of
            # machine.
            self._tally.lost += sum(left) if fixed else 1
            return
        if not fixed and job.result() == 0:
            return
        # A job that came to its end has tried them: an earlier run, which was stopped, fetched
        # these trials, and nobody counted them.
        self._tally.given_up += left.given_up
        self._tally.failed += left.failed
        self._tally.invalid += left.invalid
        if fixed:
            self._tally.left_out += left.left_out
            self._tally.lost += left.unexplained
            if left.unexplained:
                trials = counted(left.unexplained, f"trial of {pair} is", f"trials of {pair} are")
                note(f"{trials} still missing, although its job has ended")

    def _found_or_submitted(self, due: Mapping[str, int]) -> dict[Share, Any]:
        """The jobs of an earlier run, if they are still running; else new ones of what is
        missing."""
        by_folder = {share.folder: share for share in self._shares}
        earlier = self._submitted()
        if earlier is not None:
            if earlier.plan != digest_of(self._run.plan):
                raise EngineError(
                    "jobs of another form of this study are running, from"
                    f" {earlier.jobs[0]} on; wait for them, or cancel them with scancel"
                )
            self._run.listener.note(f"waiting for the jobs of an earlier run, {earlier.jobs[0]} …")
            return {
                by_folder[folder]: self._jobs.job(id)
                for id, folder in zip(earlier.jobs, earlier.folders, strict=True)
            }
        shares = [
            share
            for share in self._shares
            if any(due[p.cell.id] for p in part_of(self._run.plan, share.pair).cells)
        ]
        return self._submit(shares) if shares else {}

    def _submit(self, shares: Sequence[Share]) -> dict[Share, Any]:
        import submitit

        self._refuse_unrecorded()
        self._hand_over(shares)
        # Before the jobs, and not taken back where sbatch fails: it may time out although Slurm has
        # taken the jobs.
        name = self._submissions.begin()
        options = self._run.options.engine
        executor = submitit.AutoExecutor(
            self._folder / "jobs", cluster=self._cluster, slurm_max_num_timeout=MOST_TIMEOUTS
        )
        executor.update_parameters(
            name=name,
            timeout_min=int(options.get("time", "60")),
            slurm_exclusive=True,
            # --exclusive gives a job all processors of its node, but only the memory that it asks
            # for (sbatch(1)).
            slurm_mem="0",
            slurm_array_parallelism=int(options.get("machines", len(shares))),
            # The whole node is the job's: its processes are not bound to a part of it.
            slurm_srun_args=["--cpu-bind=none"],
            **({"slurm_partition": options["partition"]} if "partition" in options else {}),
        )
        work = [
            ShareJob(
                share,
                url=self._buckets[share].url,
                words=self._run.words,
                folder=os.getcwd(),
                # Without them, the trials of a study that was started over would count for the
                # round before.
                starts=self._starts_of(share),
            )
            for share in shares
        ]
        try:
            with outside_of_a_job(self._run.listener.note):
                jobs = executor.submit_array(work)
        except (submitit.core.utils.FailedJobError, RuntimeError) as error:
            raise EngineError(
                f"Slurm refuses the jobs: {' '.join(str(error).split())[:300]}"
            ) from error
        ids = tuple(job.job_id for job in jobs)
        folders = tuple(one.folder for one in shares)
        self._submissions.record(
            Submitted(plan=digest_of(self._run.plan), jobs=ids, folders=folders)
        )
        self._run.listener.note(
            f"submitted {counted(len(jobs), 'job')}, from {ids[0]} on; this command may be stopped:"
            " the same command waits for them again"
        )
        return dict(zip(shares, jobs, strict=True))

    def _hand_over(self, shares: Sequence[Share]) -> None:
        """Put the shares' trials that were not made by jobs into their folders: a job knows no
        others, and would make them again on a machine of their kind."""
        store, plan = self._run.store, self._run.plan
        sessions = {one.id: one for one in store.sessions()}
        uids: dict[str, list[str]] = {}
        for protocol, cells in plan.by_protocol.items():
            tried = store.tried_uids(plan.name, protocol)
            uids |= {cell: tried[cell] for cell in cells if cell in tried}
        for share in shares:
            of_share = [
                uid for p in part_of(plan, share.pair).cells for uid in uids.get(p.cell.id, ())
            ]
            for problem in put_each(store, self._buckets[share], of_share, sessions):
                self._run.listener.note(
                    f"a job may make a trial again that it cannot be given: {problem}"
                )

    def _starts_of(self, share: Share) -> Starts:
        part = part_of(self._run.plan, share.pair)
        cells = {(part.name, planned.cell.id) for planned in part.cells}
        return tuple(
            (key, round) for key, round in self._run.store.starts().items() if key[:2] in cells
        )

    def _refuse_unrecorded(self) -> None:
        """Refuse to submit while jobs may be running whose ids a run did not come to record: new
        jobs would make the same trials.

        Raises:
            EngineError: there are such jobs, or Slurm does not say.
        """
        for name in self._submissions.unrecorded():
            waiting = is_named(name) if self._cluster == "slurm" else False
            if waiting is None:
                raise EngineError(
                    "an earlier run ended while it submitted jobs, and squeue does not say whether"
                    " they are running: try again when it answers"
                )
            if waiting:
                raise EngineError(
                    "an earlier run ended while it submitted jobs, which are in Slurm's queue; wait"
                    f" until they end, or cancel them: scancel --name={shlex.quote(name)}"
                )

    def _submitted(self) -> Submitted | None:
        """The jobs of an earlier run of which one is still running; None if there are none."""
        recorded = self._submissions.recorded()
        return next((one for one in recorded if self._jobs.any_is_left(one.jobs)), None)

    def _fetch(self, watch: Watch) -> None:
        for bucket in self._buckets.values():
            arrived: list[Trial] = []
            pulled = pull_into(self._run.store, bucket, arrived.append)
            self._problems |= dict.fromkeys(pulled.problems)
            for trial in arrived:
                # It is of no cell of the plan, but was paid for.
                if trial.source == REFERENCE_SOURCE:
                    self._tally.add_cost(trial)
                    continue
                self._tally.add(trial)
                if trial.status != "done":
                    self._failed.add((trial.cell.id, trial.repeat))
                watch(trial)
                if self._run.options.require:
                    require_measured(trial, self._run.options.require)


def _at_once(options: Mapping[EngineOption, str], jobs: Mapping[Share, Any]) -> int:
    return max(1, min(len(jobs), int(options.get("machines", len(jobs)))))


engine = SlurmEngine()
