"""What a run counts of jobs that have ended, and what it gives to jobs: with results as submitit
keeps them, and without a cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from permille.records.machine import Environment
from permille.records.trial import Status, Trial
from permille.store import Store
from permille.store.cloud import body
from permille.store.cloud.bucket import Bucket
from permille.study.engines.protocol import RunOptions, StudyRun
from permille.study.engines.share import TRIALS_FAILED, ShareJob, shares_of
from permille.study.engines.slurm import _Wait
from permille.study.plan import file
from permille.study.plan.grid import Plan, make
from tests.optional import later
from tests.records import trial
from tests.study.test_nodes import Heard

submitit = later("submitit", "slurm")
FIXED, PRECISE = "repeats = 3", "precision = 0.05\nmax_repeats = 3"
CRASHED = 1
ONCE_MORE = ["failed", "invalid", None]
THRICE = ["failed failed failed", "done", None]


@pytest.fixture
def plan(study: Callable[..., Path], request: pytest.FixtureRequest) -> Plan:
    path = study("quick", repeats=3)
    assert FIXED in path.read_text()
    path.write_text(path.read_text().replace(FIXED, getattr(request, "param", FIXED)))
    return make(file.read(path))


def _of(plan: Plan, number: int, status: Status = "done", repeat: int = 0) -> Trial:
    (planned,) = plan.cells
    return msgspec.structs.replace(
        trial(repeat=repeat, uid=f"{number:032x}"),
        study=plan.name,
        cell=planned.cell,
        protocol=plan.protocol_of(planned),
        status=status,
        reason=None if status == "done" else "boom",
        environment=Environment(fingerprint="a"),
    )


def _waiting(plan: Plan, store: Store, heard: Heard, folder: Path) -> _Wait:
    return _Wait(StudyRun(plan, store, RunOptions(), heard), folder, "local", 0.2)


@pytest.mark.parametrize(
    ("plan", "tries", "code", "counts"),
    [
        # By (given up, failed, invalid, left out, lost).
        (FIXED, ONCE_MORE, TRIALS_FAILED, (0, 1, 1, 1, 0)),
        (FIXED, THRICE, TRIALS_FAILED, (1, 0, 0, 1, 0)),
        (FIXED, THRICE, None, (0, 0, 0, 0, 2)),
        (FIXED, ["done", None, None], TRIALS_FAILED, (0, 0, 0, 0, 2)),
        (PRECISE, ONCE_MORE, TRIALS_FAILED, (0, 1, 1, 0, 0)),
        (PRECISE, ONCE_MORE, 0, (0, 0, 0, 0, 0)),
        (PRECISE, THRICE, TRIALS_FAILED, (1, 0, 0, 0, 0)),
        (PRECISE, THRICE, 0, (0, 0, 0, 0, 0)),
        (PRECISE, THRICE, None, (0, 0, 0, 0, 1)),
        # After a traceback, Python exits with 1: a crash is no failed trial.
        (FIXED, ["done", None, None], CRASHED, (0, 0, 0, 0, 2)),
        (PRECISE, ["done", None, None], CRASHED, (0, 0, 0, 0, 1)),
    ],
    indirect=["plan"],
)
def test_what_a_job_left_is_counted_by_its_end(
    plan: Plan, tmp_path: Path, tries: list[str | None], code: int | None,
    counts: tuple[int, ...],
) -> None:  # fmt: skip
    """``code``: None for a job that was lost."""
    heard, number = Heard(), 0
    with Store(tmp_path / "s.db") as store:
        for repeat, of_repeat in enumerate(tries):
            for status in (of_repeat or "").split():
                number += 1
                store.add(_of(plan, number, status, repeat))  # type: ignore[arg-type]
        waiting = _waiting(plan, store, heard, tmp_path / "slurm")
        job = submitit.LocalJob(tmp_path / "jobs", "7")
        job.paths.result_pickle.parent.mkdir()
        outcome = ("error", "it was killed") if code is None else ("success", code)
        submitit.core.utils.cloudpickle_dump(outcome, job.paths.result_pickle)
        waiting._account(shares_of(plan)[0], job, range(3))
    tally = waiting._tally
    found = (tally.given_up, tally.failed, tally.invalid, tally.left_out, tally.lost)
    assert found == counts
    assert any("was lost" in note for note in heard.notes) is (code is None)
    missing = [note for note in heard.notes if "missing" in note]
    assert any("ended (exit 1)" in note for note in heard.notes) is (code == CRASHED)
    if tries[0] == "done" and code == TRIALS_FAILED:
        pair = " on ".join(shares_of(plan)[0].pair)
        assert missing == [f"2 trials of {pair} are still missing, although its job has ended"]
    else:
        assert missing == []


def test_jobs_get_the_trials_of_the_protocol_and_a_bad_one_stops_nothing(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, small, other = _of(plan, 1), _of(plan, 2, repeat=1), _of(plan, 3, repeat=2)
    large = msgspec.structs.replace(large, notes=("x" * 10_000,))
    protocol = msgspec.structs.replace(other.protocol, inferences=7)
    other = msgspec.structs.replace(other, protocol=protocol)
    heard = Heard()
    with Store(tmp_path / "s.db") as store:
        for one in (large, small, other):
            store.add(one)
        waiting = _waiting(plan, store, heard, tmp_path / "slurm")
        shares = shares_of(plan)
        monkeypatch.setattr(body, "MOST_BYTES", 8_000)
        waiting._hand_over(shares)
        waiting._hand_over(shares)
        url = (tmp_path / "slurm" / "trials" / shares[0].folder).as_uri()
        assert [one.uid for listed in Bucket(url).listed() for one in listed] == [small.uid]
    assert len(heard.notes) == 2  # of two calls, one each
    assert large.uid in heard.notes[0]


def test_a_job_that_an_older_version_submitted_can_start_again(plan: Plan, tmp_path: Path) -> None:
    job = ShareJob(shares_of(plan)[0], "file:///", ["s.toml"], str(tmp_path))
    state = {name: value for name, value in vars(job).items() if name != "_starts"}
    older = ShareJob.__new__(ShareJob)
    vars(older).update(state)
    submitit.core.utils.cloudpickle_dump(older, tmp_path / "job.pkl")
    loaded = submitit.core.utils.pickle_load(tmp_path / "job.pkl")
    assert "_starts" not in vars(loaded)
    assert vars(loaded.checkpoint().function)["_starts"] == ()
