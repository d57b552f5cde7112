"""A study on a real Ray cluster, whose nodes are raylets of this machine: what a local run gives,
and what is left when a node or the run is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from permille.records.trial import Trial
from permille.store import Store
from tests.campaigns import size
from tests.conftest import PATIENCE_S, Permille
from tests.faults.conftest import MakeStudy, await_that, kept, ours
from tests.optional import later
from tests.powercap import Driver
from tests.ray_nodes import LIGHT, ray_nodes

later("ray", "ray")
pytestmark = [pytest.mark.measuring, pytest.mark.slow]

SECOND = """

[[tasks]]
task = "text-classification"
datasets = [{ path = "more.jsonl", text = "text", label = "label" }]
"""
MODELS = ("good", "good2", "good3", "good4")[: size(2, 4)]
REPEATS = 2
TRIALS = len(MODELS) * 2 * REPEATS
STOPPED_AFTER = size(1, 4)
"""Trials, which leave some to do for each further run."""


def _run(path: Path, environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "permille", "run", str(path), "--json-lines", *words],
        env={**environment, **LIGHT}, cwd=path.parent, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _counts(trials: list[Trial]) -> Counter[tuple[str, int]]:
    assert {trial.status for trial in trials} == {"done"}
    return Counter((trial.cell.id, trial.repeat) for trial in trials)


def _left(folder: Path) -> list[str]:
    """Processes of permille that run; the cluster's own daemons are not."""
    return [line for line in ours(folder).values() if "permille" in line and "ray" not in line]


@pytest.fixture
def big(make_study: MakeStudy, tmp_path: Path) -> Path:
    """2 or 4 models × 2 datasets × 2 repeats."""
    path = make_study(*MODELS, source="\ngood4 = good\n", repeats=REPEATS)
    rows = [{"text": f"{word} two", "label": word} for word in ("good", "bad", "good")]
    (tmp_path / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path.write_text(path.read_text() + SECOND)
    return path


def test_a_study_on_a_cluster_of_one_node_and_without_a_cluster(
    make_study: MakeStudy, powercap: Driver, environment: dict[str, str], tmp_path: Path,
    permille: Permille,
) -> None:  # fmt: skip
    path = make_study("good", "good2", repeats=1)
    alone = permille(
        "run", str(path), "--engine", "ray", "--address", "127.0.0.1:1", code=2, **LIGHT
    )
    assert "no Ray cluster at 127.0.0.1:1" in alone.err
    with ray_nodes(tmp_path / "cache", environment, "a") as nodes:
        run = _run(path, environment, "--engine", "ray", "--address", nodes.address)
        _, err = run.communicate(timeout=PATIENCE_S)
        assert run.returncode == 0, err
    assert set(_counts(kept(tmp_path)).values()) == {1}
    assert len(kept(tmp_path)) == 2
    assert not any("OMP_NUM_THREADS" in trial.environment.facts for trial in kept(tmp_path))
    await_that(lambda: ours(tmp_path) == {})


HELD = """
import functools, os, pathlib, time
here = pathlib.Path(__file__).parent

@functools.cache
def node():
    return os.environ.get("PERMILLE_FAKE_NODE", "none")

@functools.cache
def first():
    try:
        (here / f"first-{node()}").mkdir()
    except FileExistsError:
        return False
    return True

def good(text):
    if not first():
        (here / f"held-{node()}").touch()
        while not (here / "go").exists():
            time.sleep(0.01)
    return "good" if "good" in text else "bad"

good4 = good3 = good2 = good
"""
"""Each node makes one trial, and holds the next until the file ``go`` is there."""


@pytest.mark.campaign
def test_nodes_that_join_and_are_killed_give_the_cells_and_counts_of_a_local_run(
    big: Path, powercap: Driver, environment: dict[str, str], tmp_path: Path, permille: Permille
) -> None:
    (tmp_path / "models.py").write_text(HELD)
    names = ("a", "b", "c")[: size(2, 3)]

    def held(*nodes: str) -> bool:
        return all((tmp_path / f"held-{node}").exists() for node in nodes)

    notes: list[str] = []
    with ray_nodes(tmp_path / "cache", environment, *names) as nodes:
        run = _run(big, environment, "--engine", "ray", "--address", nodes.address)
        await_that(lambda: held(*names))
        nodes.add("d")
        await_that(lambda: held(*names, "d"))  # all of them measure at the same time
        before = {trial.uid for trial in kept(tmp_path)}
        assert len(before) >= len(names)
        nodes.kill("b")
        assert run.stderr is not None
        # Not before the run knows: what is left of b might finish its block.
        for note in run.stderr:
            notes.append(note)
            if "is lost" in note:
                break
        (tmp_path / "go").touch()
        run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0, notes
    assert "the rest of its block goes to another" in notes[-1]
    assert any("has joined, and takes part" in note for note in notes)
    await_that(lambda: _left(tmp_path) == [])
    permille("run", str(big), "--store", "local.db", "--json-lines")
    trials = kept(tmp_path)
    assert _counts(trials) == _counts(kept(tmp_path, "local.db"))
    assert len(trials) == TRIALS
    assert before <= {trial.uid for trial in trials}
    machines = [len(of_block) for of_block in _machines_of_blocks(trials).values()]
    assert sorted(machines) == [1, 1, 1, 2]  # no block is split, but that of b
    with Store(tmp_path / "permille.db", readonly=True) as store:
        assert len({one.machine for one in store.sessions()}) == len(names) + 1


def _machines_of_blocks(trials: list[Trial]) -> dict[tuple[str, int], set[str | None]]:
    blocks: dict[tuple[str, int], set[str | None]] = {}
    for trial in trials:
        blocks.setdefault((trial.cell.dataset, trial.repeat), set()).add(trial.machine)
    return blocks


@pytest.mark.campaign
def test_a_run_that_is_killed_goes_on_where_it_was(
    big: Path, powercap: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    """Interrupted first, then killed, each time after so many trials."""
    names = ("a", "b", "c")[: size(2, 3)]
    with ray_nodes(tmp_path / "cache", environment, *names) as nodes:
        words = ("--engine", "ray", "--address", nodes.address)
        printed: list[str] = []
        for sign in (signal.SIGINT, signal.SIGKILL):
            run = _run(big, environment, *words)  # at once: those of before may still be ending
            assert run.stdout is not None
            printed += [json.loads(run.stdout.readline())["trial"] for _ in range(STOPPED_AFTER)]
            os.kill(run.pid, sign)
            _, err = run.communicate(timeout=PATIENCE_S)
            assert run.returncode == (130 if sign == signal.SIGINT else -9), err
            if sign == signal.SIGINT:
                assert "run the same command again to resume" in err
                assert _left(tmp_path) == []
        last = _run(big, environment, *words)
        _, err = last.communicate(timeout=PATIENCE_S)
        assert last.returncode == 0, err
        await_that(lambda: _left(tmp_path) == [])
    trials = kept(tmp_path)
    assert set(_counts(trials).values()) == {1}
    assert len(trials) == TRIALS
    assert set(printed) <= {trial.uid for trial in trials}
