"""Jobs of one task and dataset each, through submitit: its local executor runs them as processes of
this machine."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from permille.errors import EngineError
from permille.records.trial import Trial
from permille.store import Store
from permille.store.cloud.bucket import Bucket
from permille.study.engines.protocol import RunOptions, StudyRun
from permille.study.engines.share import ShareJob, part_of, shares_of
from permille.study.engines.slurm import SlurmEngine
from permille.study.plan import file
from permille.study.plan.grid import Plan, make
from permille.study.run.tally import RunTally
from tests.conftest import PATIENCE_S, Permille
from tests.faults.conftest import await_that, kept, ours
from tests.optional import later
from tests.powercap import Driver
from tests.slurm_node import slurm_of_one_node
from tests.study.test_nodes import Heard

later("submitit", "slurm")
pytestmark = [pytest.mark.measuring, pytest.mark.slow]

SLURM = ("--engine", "slurm", "--partition", "main", "--time", "10m")
SECOND = """datasets = [
  { path = "more.jsonl", text = "text", label = "label" },
  {"""


@pytest.fixture
def two_pairs(
    study: Callable[..., Path], tmp_path: Path, powercap: Driver, environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:  # fmt: skip
    """2 models × 2 datasets × 2 repeats; jobs get the test's environment and folder."""
    path = study("quick", "slow", repeats=2)
    rows = (tmp_path / "rows.jsonl").read_text().splitlines()[:10]
    (tmp_path / "more.jsonl").write_text("\n".join(rows) + "\n")
    path.write_text(path.read_text().replace("datasets = [{", SECOND))
    _as_a_user(monkeypatch, tmp_path, environment)
    return path


def _as_a_user(monkeypatch: pytest.MonkeyPatch, folder: Path, environment: dict[str, str]) -> None:
    """Be in the test's folder, with its environment, as the jobs will be."""
    monkeypatch.chdir(folder)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def _run(path: Path, heard: Heard, name: str = "s.db") -> tuple[RunTally, list[Trial]]:
    plan = make(file.read(path))
    with Store(path.with_name(name)) as store:
        # The executor starts both jobs at once on this one machine.
        run = StudyRun(plan, store, RunOptions(), heard, [str(path), "--shared"])
        engine = SlurmEngine(cluster="local", poll_s=0.2)
        engine.check(run)
        outcome = engine.run(run)
        return outcome.tally, list(store.trials())


def _counts(trials: list[Trial]) -> Counter[tuple[str, int]]:
    return Counter((trial.cell.id, trial.repeat) for trial in trials if trial.status == "done")


def _whole(plan: Plan) -> Counter[tuple[str, int]]:
    return Counter({(p.cell.id, repeat): 1 for p in plan.cells for repeat in range(2)})


def test_a_share_is_every_model_of_one_task_and_dataset(two_pairs: Path) -> None:
    plan = make(file.read(two_pairs))
    shares = shares_of(plan)
    assert sorted(share.shard for share in shares) == ["1/2", "2/2"]
    parts = [part_of(plan, share.pair) for share in shares]
    assert [len({p.cell.model for p in part.cells}) for part in parts] == [2, 2]
    assert len({share.folder for share in shares}) == 2


@pytest.mark.campaign
def test_jobs_make_each_trial_once_and_one_that_is_killed_is_made_good_by_the_next_run(
    two_pairs: Path, tmp_path: Path
) -> None:
    def kill(count: int) -> None:
        if count == 1:
            jobs = [p for p, line in ours(tmp_path).items() if "permille.cli.share" in line]
            os.kill(jobs[-1], signal.SIGKILL)

    heard = Heard(kill)
    tally, trials = _run(two_pairs, heard)
    plan = make(file.read(two_pairs))
    assert any("ended (exit -9)" in note for note in heard.notes), heard.notes
    assert tally.lost == 8 - len(_counts(trials)) > 0
    assert not tally.complete
    await_that(lambda: ours(tmp_path) == {})
    before = {trial.uid for trial in trials}
    tally, trials = _run(two_pairs, Heard())
    assert (tally.complete, tally.lost) == (True, 0)
    assert _counts(trials) == _whole(plan)
    assert before <= {trial.uid for trial in trials}
    assert all(trial.session for trial in trials)
    tally, _ = _run(two_pairs, Heard())
    assert (tally.made, tally.kept) == (0, 8)


def test_a_job_that_is_stopped_at_its_time_limit_goes_on_when_it_is_started_again(
    two_pairs: Path, tmp_path: Path
) -> None:
    plan = make(file.read(two_pairs))
    share = shares_of(plan)[0]
    bucket = Bucket(f"file://{tmp_path}/trials", creates=True)
    job = ShareJob(share, bucket.url, [str(two_pairs)], str(tmp_path))
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(job()))
    thread.start()
    await_that(lambda: [uid for listed in bucket.listed() for uid in listed])
    again = job.checkpoint()
    thread.join()
    assert codes == [128 + signal.SIGTERM]
    assert again.function() == 0  # type: ignore[attr-defined]
    objects = [one for listed in bucket.listed() for one in listed]
    assert len(objects) == 4  # 2 models × 2 repeats, none of them twice


def test_a_job_that_does_not_end_at_its_time_limit_is_killed_and_started_again(
    two_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ShareJob(shares_of(make(file.read(two_pairs)))[0], "file:///", [], str(tmp_path))
    deaf = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True);"
    with subprocess.Popen(
        [sys.executable, "-c", f"{deaf} sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()  # TERM is ignored from now on
        monkeypatch.setattr(job, "_process", process)
        monkeypatch.setattr("permille.study.engines.share.END_S", 0.1)
        job.checkpoint()
        assert process.poll() == -signal.SIGKILL


def test_jobs_measure_again_what_was_started_over(
    study: Callable[..., Path], tmp_path: Path, environment: dict[str, str],
    powercap: Driver, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    _as_a_user(monkeypatch, tmp_path, environment)
    path = study("quick", repeats=1)
    # In a URL, these characters have a meaning.
    name = "a #1 100%41?.db"
    tally, (first,) = _run(path, Heard(), name)
    assert (tally.made, tally.complete) == (1, True)
    assert len(list((tmp_path / f"{name}-slurm").glob(f"trials/*/trials/{first.uid}"))) == 1
    with Store(tmp_path / name) as store:
        fingerprint = first.environment.fingerprint
        store.start_over(first.study, [first.cell.id], first.protocol, fingerprint)
    tally, (second,) = _run(path, Heard(), name)
    assert (tally.made, tally.complete) == (1, True)
    assert (second.round, second.uid != first.uid) == (1, True)
    tally, _ = _run(path, Heard(), name)
    assert (tally.made, tally.kept) == (0, 1)


def test_jobs_do_not_make_again_what_the_store_has_from_elsewhere(
    study: Callable[..., Path], tmp_path: Path, environment: dict[str, str],
    powercap: Driver, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    _as_a_user(monkeypatch, tmp_path, environment)
    _, (first,) = _run(study("quick", repeats=1), Heard())
    # As after a local run of the study: the trial is in the store alone.
    shutil.rmtree(tmp_path / "s.db-slurm")
    tally, trials = _run(study("quick", repeats=2), Heard())
    assert (tally.made, tally.kept, tally.complete) == (1, 1, True)
    assert [(trial.repeat, trial.uid == first.uid) for trial in trials] == [(0, True), (1, False)]


@pytest.mark.campaign
def test_a_repeat_that_jobs_have_given_up_is_not_finished(
    study: Callable[..., Path], tmp_path: Path, environment: dict[str, str],
    powercap: Driver, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    _as_a_user(monkeypatch, tmp_path, environment)
    path = study("breaks", repeats=1)
    for tries in range(1, 4):
        tally, trials = _run(path, Heard())
        assert (tally.failed, len(trials), tally.complete) == (1, tries, False)
    tally, trials = _run(path, Heard())
    assert (tally.made, tally.given_up, tally.lost, len(trials)) == (0, 1, 0, 3)
    assert not tally.complete


def test_a_job_that_plans_something_else_measures_nothing(
    two_pairs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    share = shares_of(make(file.read(two_pairs)))[0]._replace(plan="0" * 16)
    bucket = Bucket(f"file://{tmp_path}/trials", creates=True)
    assert ShareJob(share, bucket.url, [str(two_pairs)], str(tmp_path))() == EngineError.exit_code
    assert "another plan of the study" in capfd.readouterr().err
    assert [one for listed in bucket.listed() for one in listed] == []


def test_options_that_have_no_meaning_in_jobs_are_refused(
    permille: Permille, study: Callable[..., Path]
) -> None:
    path = str(study("quick"))
    for words, reason in [
        (("--engine", "slurm", "--fresh"), "--fresh is not for --engine slurm"),
        (("--engine", "slurm", "--shard=1/1"), "--shard is not for --engine slurm"),
        (("--engine", "slurm", "--address", "a:1"), "--address is not an option of"),
        (("--partition", "p"), "not an option of --engine local; it is one of slurm"),
        (("--engine", "slurm", "--sessions", "2"), "--sessions is not for --engine slurm"),
    ]:  # fmt: skip
        assert reason in permille("run", path, *words, code=2).err
        assert reason in permille("run", path, *words, "--dry-run", code=2).err


def test_without_slurm_one_line_says_so(
    permille: Permille, study: Callable[..., Path], tmp_path: Path
) -> None:
    refused = permille("run", str(study("quick")), "--engine", "slurm", code=2, PATH="/nowhere")
    assert "there is no sbatch here" in refused.err
    assert len(refused.err.splitlines()) == 1


IMPATIENT = """
from permille.cli import main
from permille.study.engines import slurm_queue
slurm_queue.QUEUE_S = 2.0
main()
"""
"""The program, which looks into the queue every 2 s and not every 30 s: how soon it learns of a
lost job is of no matter, and two looks are still two."""


def _submitted(
    path: Path, environment: dict[str, str]
) -> tuple[subprocess.Popen[str], tuple[str, str]]:
    """A run that has submitted its two jobs, and these."""
    run = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, "run", str(path), *SLURM, "--json-lines"],
        env=environment, cwd=path.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    await_that(lambda: _records(path.parent))
    ((first, second),) = _records(path.parent)
    return run, (first, second)


def _records(folder: Path) -> list[list[str]]:
    """The ids of the jobs of each study that has submitted some."""
    files = (folder / "permille.db-slurm").glob("submitted-*.json")
    return sorted(json.loads(file.read_text())["jobs"] for file in files)


@pytest.mark.campaign
def test_a_real_slurm_of_one_node(
    two_pairs: Path, permille: Permille, environment: dict[str, str], tmp_path: Path
) -> None:
    with slurm_of_one_node(tmp_path / "slurm") as variables:
        environment |= variables
        start, _ = _submitted(two_pairs, environment)
        start.send_signal(signal.SIGINT)  # the jobs go on
        _, err = start.communicate(timeout=PATIENCE_S)
        assert start.returncode == 130, err
        waited = permille("run", str(two_pairs), *SLURM, "--json-lines")
        assert "waiting for the jobs of an earlier run" in waited.err
    trials = kept(tmp_path)
    assert _counts(trials) == _whole(make(file.read(two_pairs)))
    # The node is one job's at a time, and all of its processors are.
    ordered = sorted(trials, key=lambda trial: trial.started)
    datasets = [trial.cell.dataset for trial in ordered]
    assert len([name for name, _ in itertools.groupby(datasets)]) == 2


def _programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **lines: str) -> None:
    """Slurm's programs, as scripts of one line."""
    folder.mkdir()
    for name, line in ({"srun": "true"} | lines).items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_studies_that_share_a_store_submit_and_find_jobs_of_their_own(
    two_pairs: Path, tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _programs(
        tmp_path / "bin",
        monkeypatch,
        # 100 for the first call, 101 for the second.
        sbatch=f"echo >> {tmp_path}/calls;"
        f" echo Submitted batch job $((99 + `wc -l <{tmp_path}/calls`))",
        squeue="for job in 100 101; do echo ${job}_0 RUNNING; echo ${job}_1 RUNNING; done",
    )
    other = tmp_path / "other.toml"
    other.write_text(two_pairs.read_text().replace('name = "', 'name = "other ', 1))
    words = [sys.executable, "-m", "permille", "run", *SLURM]

    def run(path: Path, until: str) -> None:
        with subprocess.Popen([*words, str(path)], stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            lines = []
            for line in process.stderr:
                lines.append(line)
                if until in line:
                    break
            process.kill()
        assert until in "".join(lines[-1:]), lines

    run(two_pairs, "submitted 2 jobs, from 100_0 on")
    run(other, "submitted 2 jobs, from 101_0 on")
    assert _records(tmp_path) == [["100_0", "100_1"], ["101_0", "101_1"]]
    run(two_pairs, "waiting for the jobs of an earlier run, 100_0")
    run(other, "waiting for the jobs of an earlier run, 101_0")
    # As a version left it that had one record for all studies of a store.
    folder = tmp_path / "permille.db-slurm"
    for record in folder.glob("submitted-*.json"):
        if "101_0" in record.read_text():
            record.rename(folder / "submitted.json")
    run(other, "waiting for the jobs of an earlier run, 101_0")
    run(two_pairs, "waiting for the jobs of an earlier run, 100_0")
    assert (tmp_path / "calls").read_text() == "\n" * 2


def test_jobs_that_a_killed_run_submitted_without_recording_them_are_not_submitted_again(
    two_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _programs(
        tmp_path / "bin",
        monkeypatch,
        sbatch=f"echo sbatch >> {tmp_path}/calls; kill -KILL $PPID",
        squeue=f"exec cat {tmp_path}/states",
    )

    def again() -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "permille", "run", str(two_pairs), *SLURM],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stderr

    assert again()[0] == -signal.SIGKILL
    code, err = again()
    assert (code, "squeue does not say" in err) == (EngineError.exit_code, True), err
    (tmp_path / "states").write_text("PENDING\nPENDING\n")
    code, err = again()
    assert (code, "scancel --name=permille-" in err) == (EngineError.exit_code, True), err
    assert (tmp_path / "calls").read_text().split() == ["sbatch"]
    (tmp_path / "states").write_text("CANCELLED\n")
    assert again()[0] == -signal.SIGKILL
    assert (tmp_path / "calls").read_text().split() == ["sbatch"] * 2


@pytest.mark.campaign
def test_a_real_queue_knows_the_jobs_by_the_name_that_a_run_gave_them(
    two_pairs: Path, permille: Permille, environment: dict[str, str], tmp_path: Path
) -> None:
    two_pairs.write_text(two_pairs.read_text().replace('name = "', 'name = "a b ', 1))
    with slurm_of_one_node(tmp_path / "slurm") as variables:
        environment |= variables
        start, jobs = _submitted(two_pairs, environment)
        start.kill()
        start.communicate()
        shown = subprocess.run(
            ["squeue", "--noheader", "--format=%j"],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        folder = tmp_path / "permille.db-slurm"
        for record in folder.glob("submitted-*.json"):
            record.unlink()
        # As a version that kept one such file for all studies of a store left it.
        (folder / "submitting").write_text(shown.stdout.splitlines()[0].strip())
        refused = permille("run", str(two_pairs), *SLURM, code=EngineError.exit_code)
        assert "are in Slurm's queue" in refused.err
        subprocess.run(["scancel", *jobs], env=environment, check=True)


@pytest.mark.campaign
def test_from_within_a_job_each_share_is_made_once_and_a_cancelled_one_ends_the_run(
    two_pairs: Path, permille: Permille, environment: dict[str, str], tmp_path: Path
) -> None:
    """On a cluster without accounting, where nobody but the queue knows of a cancelled job."""
    with slurm_of_one_node(tmp_path / "slurm") as variables:
        environment |= variables | {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "2"}
        start, (_, waiting) = _submitted(two_pairs, environment)
        subprocess.run(["scancel", waiting], env=environment, check=True)
        out, err = start.communicate(timeout=PATIENCE_S)
        assert start.returncode == 1, err
        assert "inside Slurm job 1" in err
        # A job of an array that never ran has no record in the queue either.
        assert "was lost: it is no longer in Slurm's queue, and Slurm does not know how" in err
        assert len([json.loads(line)["trial"] for line in out.splitlines()]) == 4
        for name in ("SLURM_JOB_ID", "SLURM_NTASKS"):
            del environment[name]
        permille("run", str(two_pairs), *SLURM)
    assert _counts(kept(tmp_path)) == _whole(make(file.read(two_pairs)))


@pytest.mark.campaign
def test_the_end_of_a_cancelled_job_is_named_by_slurm_without_accounting(
    two_pairs: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    with slurm_of_one_node(tmp_path / "slurm") as variables:
        environment |= variables
        start, (running, waiting) = _submitted(two_pairs, environment)

        def runs() -> bool:
            shown = subprocess.run(
                ["squeue", "--noheader", "--format=%T", "--jobs", running],
                env=environment, capture_output=True, text=True, check=True,
            )  # fmt: skip
            return shown.stdout.strip() == "RUNNING"

        await_that(runs)
        subprocess.run(["scancel", waiting, running], env=environment, check=True)
        _, err = start.communicate(timeout=PATIENCE_S)
        assert start.returncode == 1, err
        assert "Slurm's state of it is CANCELLED (it was cancelled)" in err
