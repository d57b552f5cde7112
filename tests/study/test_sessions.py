"""Sessions and blocks of real runs: what each trial knows, and what a resumed run does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from permille.records.machine import MachineSession
from permille.records.trial import Trial
from permille.store import REFERENCE_SOURCE, Store
from tests.conftest import PATIENCE_S, Permille
from tests.powercap import Driver
from tests.records import trial

pytestmark = pytest.mark.measuring

Study = Callable[..., Path]


def kept(folder: Path, name: str = "permille.db") -> tuple[list[Trial], list[MachineSession]]:
    with Store(folder / name, readonly=True) as store:
        return list(store.trials()), store.sessions()


def blocks(trials: list[Trial]) -> dict[str, int]:
    """Model -> the block of its finished trial."""
    return {t.cell.model: t.block for t in trials if t.status == "done" and t.block is not None}


def test_a_block_is_one_repeat_of_every_model_in_a_balanced_order(
    permille: Permille, powercap: Driver, study: Study, tmp_path: Path
) -> None:
    permille("run", str(study("quick", "slow", repeats=4)))
    trials, (session,) = kept(tmp_path)
    assert {trial.session for trial in trials} == {session.id}
    assert [(trial.block, trial.repeat) for trial in trials] == [
        (n, n) for n in range(4) for _ in range(2)
    ]
    orders = [tuple(t.cell.model for t in trials if t.block == n) for n in range(4)]
    assert orders[0] == orders[1][::-1]
    assert orders[2] == orders[3][::-1]
    assert session.blocks == 4
    assert session.started <= trials[0].started <= trials[-1].started <= session.ended
    assert session.machine is None or len(session.machine) == 16
    assert not session.requested


def test_a_run_shortly_after_goes_on_in_the_session_and_after_a_break_begins_one(
    permille: Permille, powercap: Driver, study: Study, tmp_path: Path
) -> None:
    path = str(study("quick", repeats=1))
    permille("run", path)
    permille("run", path, "--repeats", "2")
    trials, (session,) = kept(tmp_path)
    assert [(t.session, t.block) for t in trials] == [(session.id, 0), (session.id, 1)]
    for changed in ({"ended": "2020-01-01T00:00:00+00:00"}, {"boot": "another"}):
        with Store(tmp_path / "permille.db") as store:
            for one in store.sessions():
                store.put_session(msgspec.structs.replace(one, **changed))
        before = len(kept(tmp_path)[0])
        permille("run", path, "--repeats", str(before + 1))
        trials, sessions = kept(tmp_path)
        assert trials[-1].session not in {t.session for t in trials[:-1]}
        assert trials[-1].block == 0
        assert len(sessions) == len({t.session for t in trials})


def test_what_is_left_of_an_interrupted_block_is_a_block_of_its_own(
    permille: Permille, powercap: Driver, study: Study, tmp_path: Path, environment: dict[str, str]
) -> None:
    path = study("quick", "hangs", "slow", repeats=1, timeout_s=600)
    source = tmp_path / "models.py"
    hangs = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    time.sleep(600)"
    waits = "open(os.path.dirname(__file__) + '/hanging', 'w').close()\n    time.sleep(600)"
    assert hangs in source.read_text()
    source.write_text(source.read_text().replace(hangs, waits))
    process = subprocess.Popen(
        [sys.executable, "-m", "permille", "run", str(path), "--json-lines"],
        env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and not (tmp_path / "hanging").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    first = blocks(kept(tmp_path)[0])
    assert "hangs" not in first
    source = tmp_path / "models.py"
    source.write_text(source.read_text().replace("time.sleep(600)", "return quick(text)"))
    permille("run", str(path))
    trials, (session,) = kept(tmp_path)
    now = blocks(trials)
    assert now["hangs"] == max(now.values())
    assert now["hangs"] not in first.values()
    assert session.blocks == max(now.values()) + 1


def test_the_machines_own_ids_are_nowhere_in_the_store(
    permille: Permille, powercap: Driver, study: Study, tmp_path: Path
) -> None:
    permille("run", str(study("quick", repeats=1)))
    content = (tmp_path / "permille.db").read_bytes()
    for path in (Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id")):
        if path.exists() and (id := path.read_text().strip()):
            assert id.encode() not in content
    assert os.uname().release.encode() in content


def test_sessions_are_measured_one_after_the_other_with_rests(
    permille: Permille, powercap: Driver, study: Study, tmp_path: Path
) -> None:
    command = ("run", str(study("quick", repeats=2)), "--sessions", "2", "--every", "3s")
    done = permille(*command, "--json")
    assert "session 2 of 2 begins at" in done.err
    assert "30 min 0 s or more is better" in done.err
    (row,) = done.json["rows"]
    assert row["trials"]["done"] == 4
    trials, (first, second) = kept(tmp_path)
    assert [t.repeat for t in trials] == [0, 1, 2, 3]
    assert [(t.session, t.block) for t in trials] == [
        (first.id, 0),
        (first.id, 1),
        (second.id, 0),
        (second.id, 1),
    ]
    assert (first.requested, second.requested) == (False, True)
    again = permille(*command)
    assert "begins at" not in again.err
    assert "4 trials were already finished" in again.out
    assert len(kept(tmp_path)[0]) == 4


def test_a_rest_can_be_interrupted_and_the_same_command_goes_on(
    permille: Permille, powercap: Driver, study: Study, tmp_path: Path, environment: dict[str, str]
) -> None:
    path = str(study("quick", repeats=1))
    process = subprocess.Popen(
        [sys.executable, "-m", "permille", "run", path, "--sessions", "2", "--every", "2h"],
        env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    assert any("session 2 of 2 begins at" in line for line in lines)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert len(kept(tmp_path)[0]) == 1
    permille("run", path, "--sessions", "2", "--every", "0s")
    trials, sessions = kept(tmp_path)
    assert len(trials) == len(sessions) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sessions", "2", "--precision", "0.1"), "add --repeats N"),
        (("--sessions", "2", "--rerun-precision", "0.1"), "add --sessions N"),
        (("--sessions", "5", "--rerun-precision", "1"), "a share, such as 0.1"),
        (("--precision", "0.1", "--rerun-precision", "0.1"), "keep one"),
        (("--sessions", "0"), "from 1 to 1000"),
        (("--every", "12h"), "add --sessions N"),
        (("--sessions", "2", "--every", "soon"), "90s, 30m, 12h or 1d"),
        (("--sessions", "2", "--every", "31d"), "more than 30 days"),
    ],
)
def test_sessions_that_have_no_meaning_are_refused(
    permille: Permille, study: Study, arguments: tuple[str, ...], words: str
) -> None:
    assert words in permille("run", str(study("quick")), *arguments, code=2).err


@pytest.mark.parametrize(("energies_j", "sessions"), [((1.0, 1.01, 1.02), 3), ((1.0, 3.0, 9.0), 4)])
def test_sessions_end_once_a_rerun_is_known_well_enough(
    permille: Permille,
    powercap: Driver,
    study: Study,
    tmp_path: Path,
    energies_j: tuple[float, ...],
    sessions: int,
) -> None:
    """Three measured sessions whose energies are set, so that no verdict depends on the machine."""
    path = str(study("quick", repeats=1))
    permille("run", path, "--sessions", "3", "--every", "0s")
    trials, measured = kept(tmp_path)
    with Store(tmp_path / "set.db") as store:
        for session in measured:
            store.put_session(session)
        store.add_many((_with(*one), None) for one in zip(trials, energies_j, strict=True))
    command = (
        "run", path, "--sessions", "4", "--every", "0s", "--rerun-precision", "0.1",
        "--store", str(tmp_path / "set.db"),
    )  # fmt: skip
    said = permille(*command).err
    assert ("a rerun is within ±10 %: no further session is needed" in said) is (sessions == 3)
    trials, _ = kept(tmp_path, "set.db")
    assert [trial.rerun_precision for trial in trials] == [None] * 3 + [0.1] * (sessions - 3)


def _with(trial: Trial, joules: float) -> Trial:
    """The trial with this energy an inference."""
    query = trial.phases["query"]
    assert query.inferences is not None
    domains = {
        name: msgspec.structs.replace(domain, energy_j=joules * query.inferences, edge_j=0.0)
        for name, domain in query.domains.items()
    }
    phases = trial.phases | {"query": msgspec.structs.replace(query, domains=domains)}
    return msgspec.structs.replace(trial, phases=phases)


def test_a_dry_run_counts_every_session(permille: Permille, study: Study) -> None:
    command = ("run", str(study("quick", repeats=2)), "--sessions", "3", "--dry-run")
    assert permille(*command, "--json").json["trials"] == 6
    assert "3 sessions of 2 repeats, 30 min 0 s apart" in permille(*command).out


def test_the_reference_is_measured_beside_a_study_and_listed_nowhere(
    permille: Permille,
    powercap: Driver,
    study: Study,
    tmp_path: Path,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from permille.recorder.client import Recorder
    from permille.store.merge import merge
    from permille.study.plan import file
    from permille.study.plan.grid import make
    from permille.study.run import reference
    from permille.study.run.runner import Runner

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", environment["TMPDIR"])
    monkeypatch.setattr(reference, "EVERY_S", 0.0)
    plan = make(file.read(study("quick", repeats=2)))
    off = msgspec.structs.replace(
        plan,
        name="without",
        settings=msgspec.structs.replace(plan.settings, reference=False),
    )
    path = tmp_path / "permille.db"
    with Store(path) as store, Recorder() as recorder:
        tally = Runner(plan, store, recorder).run()
        Runner(off, store, recorder).run()
    assert tally.done == 2
    trials, (session,) = kept(tmp_path)
    with Store(path, readonly=True) as store:
        references = list(store.trials(source=REFERENCE_SOURCE))
        assert store.studies() == ["small", "without"]
    assert [t.block for t in trials] == [0, 1, 2, 3]
    assert [(t.session, t.block, t.status) for t in references] == [
        (session.id, 0, "done"),
        (session.id, 1, "done"),
    ]
    assert {t.protocol for t in references} == {reference.PROTOCOL}
    for one in references:
        assert one.quality is not None
        assert one.quality.value == 1.0  # the work was done
        assert one.phases["query"].inferences is not None
        assert one.phases["query"].inferences >= reference.PROTOCOL.inferences
        assert "cpu:0" in one.phases["query"].domains
    found = permille("results", "--json").json
    assert {row["model"] for row in found["rows"]} == {"quick"}
    assert [row["trials"]["done"] for row in found["rows"]] == [2, 2]
    assert "reference" not in permille("export", "csv", "-").out
    shown = permille("trial", trials[0].uid, "--json").json
    assert shown["session"]["id"] == session.id
    assert f"session   {session.id}" in permille("trial", trials[0].uid).out
    merge(tmp_path / "all.db", [path])
    with Store(tmp_path / "all.db", readonly=True) as store:
        assert list(store.trials(source=REFERENCE_SOURCE)) == references


def test_a_session_whose_reference_is_off_says_so_where_its_figures_are_shown(
    permille: Permille, tmp_path: Path
) -> None:
    with Store(tmp_path / "permille.db") as store:
        for session, energy in (("s1", 36.0), ("s2", 45.0)):
            for n in range(5):
                more: dict[str, Any] = {"session": session, "block": n, "repeat": n}
                store.add(trial(energy + n / 100, uid=f"{session}-{n}", **more))
                store.add(trial(energy, uid=f"r{session}-{n}", source=REFERENCE_SOURCE, **more))
    words = "session s2: the reference workload took 25 % more energy"
    found = permille("results", "--json").json
    assert [row["trials"]["done"] for row in found["rows"]] == [10]
    assert words in found["reference"][1]
    assert words in permille("results").out
    assert words in permille("trial", "s2-0").out
    assert words not in permille("trial", "s1-0").out
