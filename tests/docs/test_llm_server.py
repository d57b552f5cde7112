"""The page's server, started and asked as written."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from permille.store import Store
from tests import quickstart_assets
from tests.backends.test_endpoint import free_port
from tests.conftest import Permille
from tests.docs.pages import commands, write_files
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

FILES = ["server.py", "questions.jsonl", "study.toml", "question.json", "far.toml"]
LESS = (
    ("max_new_tokens = 16", "max_new_tokens = 3"),
    ("warmup = 2", "warmup = 1"),
    ("[1, 2, 4]", "[1, 2]"),
)
"""What the page's study asks of a real model, and what is enough to see that it runs."""


def write_less(folder: Path) -> None:
    """The page's files, with the first two of its questions: a trial asks all of them."""
    assert write_files("llm-server.md", folder) == FILES
    questions = folder / "questions.jsonl"
    questions.write_text("".join(questions.read_text().splitlines(keepends=True)[:2]))


def test_the_study_that_starts_its_server_can_be_planned(
    permille: Permille, tmp_path: Path
) -> None:
    assert write_files("llm-server.md", tmp_path) == FILES
    assert permille("study", "check", "study.toml", "--json").json["cells"]


@pytest.mark.campaign
@quickstart_assets.needed
def test_the_example_runs(
    permille: Permille, powercap: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    write_less(tmp_path)
    json.loads((tmp_path / "question.json").read_text())
    study = (tmp_path / "study.toml").read_text()
    for port in dict.fromkeys(re.findall(r"180\d\d", study)):  # ports that nobody else has
        study = study.replace(port, str(free_port()))
    for written, less in LESS:
        assert written in study
        study = study.replace(written, less)
    (tmp_path / "study.toml").write_text(study)
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    permille("run", "study.toml", "--repeats", "1", "--inferences", "2", PATH=path)
    with Store(tmp_path / "permille.db", readonly=True) as store:
        trials = list(store.trials())
    assert [trial.status for trial in trials] == ["done"] * 2
    for trial in trials:
        assert trial.latency is not None
        assert trial.latency.first_token_p50 is not None
        assert trial.counts["tokens_out"] > 0
        assert trial.tokens is not None
    # A single trial has no interval, so that no promise is known to be kept or broken.
    assert commands("llm-server.md")[2] == ["slo", "--ttft-p95", "1s"]
    out = permille("slo", "--ttft-p95", "1s", code=5).out
    assert "no load is known to keep p95 to the first token within 1 s" in out


@pytest.mark.campaign
@quickstart_assets.needed
def test_a_server_on_another_machine(
    permille: Permille, powercap: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    """The server and the agent are processes of this machine, as on the page."""
    write_less(tmp_path)
    assert commands("llm-server.md")[3:] == [
        ["agent", "&"],
        ["run", "far.toml"],
        ["results"],
    ]
    server, agent = free_port(), free_port()
    study = (tmp_path / "far.toml").read_text()
    study = study.replace("18080", str(server)).replace("9465", str(agent))
    for written, less in (*LESS[:2], ("[1, 4]", "2")):
        assert written in study
        study = study.replace(written, less)
    (tmp_path / "far.toml").write_text(study)
    listen = ["-m", "permille", "agent", "--listen", str(agent)]
    with (
        running([sys.executable, "server.py", str(server)], environment, tmp_path, server),
        running([sys.executable, *listen], environment, tmp_path, agent),
    ):
        permille("run", "far.toml", "--repeats", "1", "--inferences", "2")
        (row,) = permille("results", "--json").json["rows"]
    assert row["trials"]["done"] == 1
    assert row["provenance"] == "measured"
    assert any("that of this machine, which sent the requests" in note for note in row["notes"])


@contextmanager
def running(
    command: list[str], environment: dict[str, str], folder: Path, port: int
) -> Iterator[None]:
    """A process that listens on a port, while the context lasts."""
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        assert process.poll() is None
        yield
    finally:
        process.kill()
        process.wait()
