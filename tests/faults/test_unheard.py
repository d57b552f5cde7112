"""A run whose reader has gone: it goes on, or ends with a code that is not success."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PATIENCE_S
from tests.faults.conftest import MakeStudy, kept
from tests.powercap import Driver

pytestmark = pytest.mark.measuring


def pipe_without_a_reader() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def run(
    path: Path, environment: dict[str, str], *options: str, stderr: int
) -> subprocess.CompletedProcess[str]:
    gone = pipe_without_a_reader()
    try:
        return subprocess.run(
            [sys.executable, "-m", "permille", "run", str(path), *options],
            cwd=path.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=gone,
            stderr=gone if stderr == subprocess.STDOUT else stderr,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
    finally:
        os.close(gone)


def test_json_lines_whose_reader_has_gone_are_on_standard_error(
    powercap: Driver, make_study: MakeStudy, environment: dict[str, str], tmp_path: Path
) -> None:
    path = make_study("good", repeats=2)
    done = run(path, environment, "--json-lines", stderr=subprocess.PIPE)
    trials = {trial.uid: trial.status for trial in kept(tmp_path)}
    assert len(trials) == 2  # it went on measuring
    assert done.returncode == (0 if set(trials.values()) == {"done"} else 1)
    assert "cannot write standard output (Broken pipe)" in done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert {line["trial"]: line["status"] for line in lines} == trials


def test_json_lines_that_nobody_can_read_do_not_end_the_run(
    powercap: Driver, make_study: MakeStudy, environment: dict[str, str], tmp_path: Path
) -> None:
    path = make_study("good", repeats=2)
    run(path, environment, "--json-lines", stderr=subprocess.STDOUT)
    assert len(kept(tmp_path)) == 2


def test_a_run_whose_progress_nobody_can_read_does_not_end_as_if_it_were_done(
    powercap: Driver, make_study: MakeStudy, environment: dict[str, str], tmp_path: Path
) -> None:
    path = make_study("good", repeats=2)
    done = run(path, environment, stderr=subprocess.STDOUT)
    assert len(kept(tmp_path)) < 2
    assert done.returncode == 1
