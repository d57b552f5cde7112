"""A sweep's trials share one start of a real server, which counts its starts."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from permille.processes import SERVER, VARIABLE, WORKER, end_marked, marked
from permille.records.trial import SHARED_SERVER, Trial
from permille.store import Store
from permille.study.plan import file
from permille.study.plan.grid import Plan, make
from permille.study.run.servers import SHARED
from tests.backends.test_endpoint import free_port
from tests.conftest import Permille
from tests.powercap import Driver

SCRIPT = Path(__file__).parents[1] / "slowing_server.py"
STUDY = """
[study]
name = "sweep"
inferences = 12
repeats = 2
warmup = 2
idle_s = 0.2

[[models]]
id = "served"
backend = "endpoint"
category = "general-purpose"
url = "http://127.0.0.1:{port}/v1"
serve = '''{serve}'''
max_new_tokens = 2
{keys}

[[tasks]]
task = "chat"
datasets = [{{ path = "rows.jsonl", text = "text" }}]
"""


def written(folder: Path, keys: str, rows: str = '{"text": "hello"}\n') -> Path:
    port = free_port()
    serve = shlex.join([sys.executable, str(SCRIPT), str(port), str(folder)])
    (folder / "rows.jsonl").write_text(rows)
    path = folder / "study.toml"
    path.write_text(STUDY.format(port=port, serve=serve, keys=keys))
    return path


def planned(folder: Path, keys: str) -> Plan:
    return make(file.read(written(folder, keys)))


def lines(folder: Path, name: str) -> list[str]:
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


def trials(folder: Path) -> list[Trial]:
    with Store(folder / "permille.db", readonly=True) as store:
        return sorted(store.trials(source="permille"), key=lambda t: t.block or 0)


# --- which cells share a server ----------------------------------------------------------


def test_the_cells_of_a_sweep_share_a_server_and_say_so_in_their_protocol(tmp_path: Path) -> None:
    plan = planned(tmp_path, "concurrency = [1, 2]")
    assert len({cell.server_key for cell in plan.cells}) == 1
    assert {plan.protocol_of(cell).name for cell in plan.cells} == {SHARED_SERVER}


@pytest.mark.parametrize("keys", ["concurrency = 2", "concurrency = [1, 2]\nnetwork = false"])
def test_one_load_or_a_worker_without_network_has_a_server_of_its_own(
    tmp_path: Path, keys: str
) -> None:
    plan = planned(tmp_path, keys)
    assert {cell.server_key for cell in plan.cells} == {None}
    assert SHARED_SERVER not in {plan.protocol_of(cell).name for cell in plan.cells}


def test_another_model_or_command_is_another_server(tmp_path: Path) -> None:
    plan = planned(tmp_path, 'model = ["a", "b"]\nconcurrency = [1, 2]')
    assert len({cell.server_key for cell in plan.cells}) == 2


def test_a_part_of_a_sweep_is_measured_like_the_whole(tmp_path: Path) -> None:
    whole = planned(tmp_path, "concurrency = [1, 2]")
    part = planned(tmp_path, "concurrency = [2]")
    assert whole.protocol_of(whole.cells[1]) == part.protocol_of(part.cells[0])


# --- whole runs --------------------------------------------------------------------------


@pytest.mark.measuring
def test_a_sweep_starts_its_server_once(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    written(tmp_path, "concurrency = [1, 2, 4]")
    permille("run", "study.toml")
    (pid,) = lines(tmp_path, "starts")
    done = trials(tmp_path)
    assert len(done) == 6
    assert {trial.status for trial in done} == {"done"}
    assert sorted((t.server.start, t.server.trial) for t in done if t.server) == [
        (1, number) for number in range(1, 7)
    ]
    for trial in done:
        assert SHARED in trial.notes
        assert trial.protocol.name == SHARED_SERVER
        assert {"idle", "load", "query"} <= set(trial.phases)
    assert not psutil.pid_exists(int(pid))
    assert "one start of the server" in permille("results").out
    shown = permille("trial", done[0].uid).out
    assert "start 1, trial 1 on it" in shown


@pytest.mark.measuring
def test_a_server_that_dies_fails_the_trial_in_flight_and_is_started_again(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    written(tmp_path, "concurrency = [1, 2]", '{"text": "die"}\n')
    permille("run", "study.toml", code=1)
    assert len(lines(tmp_path, "starts")) == 2
    everything = trials(tmp_path)
    (failed,) = [trial for trial in everything if trial.status == "failed"]
    assert failed.reason is not None
    assert "serve: it exited with 3: out of luck" in failed.reason
    done = [trial for trial in everything if trial.status == "done"]
    assert sorted((t.server.start, t.server.trial) for t in done if t.server) == [
        (2, 1),
        (2, 2),
        (2, 3),
    ]


@pytest.mark.measuring
def test_a_server_that_does_not_start_fails_its_trials_with_its_last_line(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    path = written(tmp_path, "concurrency = [1, 2]")
    crash = shlex.join([sys.executable, "-c", "raise SystemExit('no model here')"])
    old = next(line for line in path.read_text().splitlines() if line.startswith("serve"))
    path.write_text(path.read_text().replace(old, f"serve = '''{crash}'''"))
    finished = permille("run", "study.toml", "--repeats", "1", code=1)
    assert "no model here" in finished.out + finished.err
    for trial in trials(tmp_path):
        assert trial.status == "failed"
        assert "no model here" in (trial.reason or "")
        assert trial.server is None


@pytest.mark.measuring
def test_another_command_between_gets_its_own_server_and_only_one_runs(
    permille: Permille, powercap: Driver, tmp_path: Path
) -> None:
    written(tmp_path, 'model = ["a", "b"]')
    permille("run", "study.toml", "--repeats", "1")
    assert len(lines(tmp_path, "starts")) == 2


@pytest.mark.measuring
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_no_server_outlives_the_run(
    environment: dict[str, str], powercap: Driver, tmp_path: Path, sign: signal.Signals
) -> None:
    written(tmp_path, "concurrency = [1, 2]")
    command = [sys.executable, "-m", "permille", "run", "study.toml", "--repeats", "1000"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        while not lines(tmp_path, "requests"):
            assert run.poll() is None
            time.sleep(0.05)
        run.send_signal(sign)
    (pid,) = lines(tmp_path, "starts")
    # The kernel or the recorder ends it, sooner or later.
    while psutil.pid_exists(int(pid)) and psutil.Process(int(pid)).status() != "zombie":
        time.sleep(0.05)


# --- tokens ------------------------------------------------------------------------------


def test_ending_workers_leaves_the_server_and_ending_the_run_ends_both() -> None:
    token = os.urandom(8).hex()
    both = [
        subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"],
            env={**os.environ, VARIABLE: token + part},
        )
        for part in (WORKER, SERVER)
    ]
    worker, server = both
    while len(marked(token)) < 2:
        time.sleep(0.02)
    assert set(end_marked(token + WORKER)) == {worker.pid}
    assert set(end_marked(token)) == {server.pid}
    for process in both:
        process.wait()
