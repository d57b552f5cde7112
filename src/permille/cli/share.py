"""A job of ``permille run --engine slurm``.

It is started as ``python -m permille.cli.share SHARD PLAN URL -- WORDS``.

WORDS are those of the run's command line; the trials go to URL, a folder that the run reads. The
rounds that they are of come on standard input. Not a command for people: an engine starts it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from permille.cli import make_parser
from permille.errors import EngineError, PermilleError
from permille.escaping import plain
from permille.interrupts import Interrupted


def main() -> int:
    """Make the share's trials; the exit code: that of ``permille run``, or ``TRIALS_FAILED``."""
    shard, digest, url, _, *words = sys.argv[1:]
    # The job's manager sends these to every process of a job; its own handler ends this one.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        return _run(shard, digest, url, words)
    except Interrupted as stop:
        return stop.code
    except PermilleError as error:
        print(plain(f"permille: {error}"), file=sys.stderr, flush=True)
        return error.exit_code


def _run(shard: str, digest: str, url: str, words: list[str]) -> int:
    from permille.cli.commands import run
    from permille.cli.engines import run_options
    from permille.cli.object_storage import measuring_store
    from permille.cli.permissions import check_pickles
    from permille.cli.planning import planned
    from permille.cli.run_report import RunReport
    from permille.store.cloud.bucket import Bucket
    from permille.store.cloud.mirror import pull
    from permille.study.engines.local import engine
    from permille.study.engines.messages import digest_of
    from permille.study.engines.protocol import StudyRun
    from permille.study.engines.share import TRIALS_FAILED

    args = make_parser("run", run).parse(words, argparse.Namespace(command=[], words=words))
    # The words are those of the whole run: this job has a part of the study and a store of its own,
    # and nobody who reads lines of JSON.
    args.shard, args.store_url, args.json_lines = shard, url, False
    plan = planned(args, fetch=True)
    check_pickles(plan, allowed=args.allow_pickle)
    if digest_of(plan) != digest:
        raise EngineError(
            "this node makes another plan of the study than the run: its files, models, passed"
            " variables or version of permille differ"
        )
    starts = _rounds(sys.stdin.buffer.read())
    # The node's folder ends with the job; a job that is started again fetches its own trials.
    with tempfile.TemporaryDirectory() as folder:
        args.store = Path(folder) / "share.db"
        pull(args.store, Bucket(url))
        with measuring_store(args) as store:
            store.advance(starts)
            study = StudyRun(plan, store, run_options(args), RunReport(plan, store, args))
            return 0 if engine.run(study).tally.complete else TRIALS_FAILED


def _rounds(text: bytes) -> dict[tuple[str, ...], int]:
    import msgspec

    from permille.study.engines.share import Starts

    try:
        return dict(msgspec.json.decode(text, type=Starts))
    except msgspec.DecodeError as error:
        # Trials of another round than the run's would not be found by it, and be made again.
        raise EngineError(
            f"the job ended before it had told this process the rounds of the study: {error}"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
