"""A share of a study: one task and dataset, as a job of its own that may be interrupted and started
again. Its trials go into a folder that the run and the job both reach."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from permille.study.engines.messages import digest_of
from permille.study.plan.grid import Plan
from permille.study.plan.published import published
from permille.study.plan.sharding import Pair, deal

# Slurm kills a job 90 seconds after the signal that its time is up (submitit's signal_delay_s), and
# the job must be queued again by then.
END_S = 60.0
"""Seconds for an interrupted job to end its worker and its recorder."""
# Not 1, as of permille run: Python exits with that after a traceback, and a job that crashed would
# look like one that has tried all of its trials.
TRIALS_FAILED = 10
"""The exit code of a share that did all of its work, and some of whose trials failed."""


class Share(NamedTuple):
    """The share ``shard`` (``i/n``, as of ``--shard``) of a study: all cells of ``pair``.
    ``folder`` is the name of its trials' folder, ``plan`` the digest of its part of the plan."""

    shard: str
    pair: Pair
    folder: str
    plan: str


def shares_of(plan: Plan) -> list[Share]:
    """A share for each (task, dataset) of the plan."""
    keys = [(p.cell.task, p.cell.dataset, p.cell.model) for p in plan.cells]
    count = len({key[:2] for key in keys})
    shares = []
    # As --shard deals them (selection.py): by that option the job finds its share again.
    for number, dealt in enumerate(deal(keys, count, published()), 1):
        pair = dealt[0][:2]
        # A digest, because a dataset may have a name that no folder can have.
        name = blake2b("\0".join((plan.name, *pair)).encode(), digest_size=8).hexdigest()
        part = digest_of(part_of(plan, pair))
        shares.append(Share(f"{number}/{count}", pair, name, part))
    return shares


def part_of(plan: Plan, pair: Pair) -> Plan:
    """The cells of one task and dataset."""
    cells = tuple(p for p in plan.cells if (p.cell.task, p.cell.dataset) == pair)
    return msgspec.structs.replace(plan, cells=cells)


Starts = tuple[tuple[tuple[str, ...], int], ...]
"""Rounds of cells (``--fresh``), as :meth:`permille.store.Store.starts` has them."""


class ShareJob:
    """What a job calls. It starts permille as a process, from the words of the run's command line,
    and waits for it. ``starts``: the rounds that its trials are to be of."""

    # A job that was submitted by a version without rounds is unpickled without this attribute, and
    # pickle does not call __init__.
    _starts: Starts = ()

    def __init__(
        self, share: Share, url: str, words: Sequence[str], folder: str, starts: Starts = ()
    ) -> None:
        self._share, self._url, self._words, self._folder = share, url, tuple(words), folder
        self._starts = starts
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Run it; the exit code: that of ``permille run``, or :data:`TRIALS_FAILED`."""
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "permille.cli.share"),
                *(self._share.shard, self._share.plan, self._url, "--"),
                *self._words,
            ],
            cwd=self._folder,
            stdin=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        # Not among the words, whose length the system limits: there may be thousands of cells.
        with contextlib.suppress(BrokenPipeError), self._process.stdin as rounds:
            rounds.write(msgspec.json.encode(self._starts))
        return self._process.wait()

    def checkpoint(self) -> object:
        """The job's time is up, or it is preempted: stop, and have the same started again."""
        import submitit

        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                # Its finished trials are in the folder, and its worker ends with it (prctl(2)).
                self._process.kill()
                self._process.wait()
        # A new one: submitit pickles it, which a job with a process does not allow.
        again = ShareJob(self._share, self._url, self._words, self._folder, self._starts)
        return submitit.helpers.DelayedSubmission(again)
