"""Ctrl-C once and twice, TERM: what is done is kept, and nothing is left running."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.conftest import PATIENCE_S, Permille
from tests.faults.conftest import MakeStudy, await_that, kept, ours, start
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

STUBBORN = """
import signal, time, os, subprocess
def stubborn(text):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    open("began", "w").close()
    time.sleep(600)
"""


def _left(folder: Path, powercap: Driver) -> set[int]:
    return set(ours(folder)) - {powercap._process.pid}


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_told_to_stop_once_it_keeps_what_is_done_and_says_how_to_go_on(
    permille: Permille,
    powercap: Driver,
    make_study: MakeStudy,
    environment: dict[str, str],
    tmp_path: Path,
    sign: signal.Signals,
) -> None:
    path = make_study("good", repeats=100)
    process = start(path, environment)
    await_that(lambda: len(kept(tmp_path)) >= 1)
    process.send_signal(sign)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + sign
    assert "run the same command again to resume" in err
    done = len(kept(tmp_path))
    assert f"{done} finished trial" in err
    assert not _left(tmp_path, powercap)
    permille("run", str(path), "--repeats", str(done + 1))
    assert len(kept(tmp_path)) == done + 1


def test_twice_is_at_once_even_with_a_worker_that_will_not_go(
    powercap: Driver,
    make_study: MakeStudy,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    process = start(make_study("stubborn", source=STUBBORN), environment)
    await_that((tmp_path / "began").exists)
    assert any("sleep 600" in line for line in ours(tmp_path).values())
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    await_that(lambda: not _left(tmp_path, powercap))


PATIENT = """
import os, time
def patient(text):
    open("began", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.05)
    return good(text)
"""


def test_a_runner_that_was_stopped_does_not_take_it_for_the_workers_time(
    powercap: Driver,
    make_study: MakeStudy,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    limit_s = 10.0
    path = make_study("patient", source=PATIENT, timeout_s=limit_s)
    process = start(path, environment)
    await_that((tmp_path / "began").exists)
    process.send_signal(signal.SIGSTOP)
    (tmp_path / "go").touch()
    time.sleep(limit_s + 1.0)  # the worker ends meanwhile
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=PATIENCE_S)
    (trial,) = kept(tmp_path)
    assert "timed out" not in f"{trial.reason} {err}"
    # On a machine busy enough the meter's fake falls behind: that is not the runner's doing.
    assert trial.status == "done" or "too short for rapl" in (trial.reason or ""), trial.reason


def test_a_worker_that_hangs_meets_its_limit_after_the_runner_was_stopped_too(
    powercap: Driver,
    make_study: MakeStudy,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    process = start(make_study("patient", source=PATIENT, timeout_s=3.0), environment)
    await_that(lambda: (tmp_path / "began").exists() or process.poll() is not None)
    process.send_signal(signal.SIGSTOP)
    time.sleep(4.0)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    (trial,) = kept(tmp_path)
    assert "timed out after 3 s" in str(trial.reason)


def test_a_trial_stored_just_before_an_interrupt_is_counted(
    powercap: Driver,
    make_study: MakeStudy,
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The signal arrives after the commit and before the runner has counted the trial; and trials
    of an earlier run count, whether or not this one has come to their repeats."""
    from permille.recorder.client import Recorder
    from permille.records.trial import Trial
    from permille.store import Raw, Store
    from permille.study.plan import file
    from permille.study.plan.grid import make
    from permille.study.run import making
    from permille.study.run.runner import Runner
    from permille.study.run.schedule import finished
    from permille.study.run.trial import keep

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", environment["TMPDIR"])
    plan = make(file.read(make_study("good", repeats=5)))

    def interrupted(store: Store, trial: Trial, raw: Raw) -> Trial:
        keep(store, trial, raw)
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "keep", interrupted)
    with Store(tmp_path / "permille.db") as store, Recorder() as recorder:
        for stored in (1, 2):
            with pytest.raises(KeyboardInterrupt):
                Runner(plan, store, recorder).run()
            assert finished(plan, store) == stored
    assert len(kept(tmp_path)) == 2
