"""Commands of a study file that is not in the user's own hand: asked about on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PATIENCE_S
from tests.faults.conftest import MakeStudy
from tests.faults.test_resume import SERVED
from tests.powercap import Driver

pytestmark = pytest.mark.measuring


def on_a_terminal(path: Path, environment: dict[str, str], answer: bytes) -> tuple[int, str]:
    """The exit code of the run, and all that the terminal showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "permille", "run", str(path)],
        cwd=path.parent, env=environment, stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown, answered = b"", False
    try:
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:  # Linux: nobody has the other end any more
                break
            if not data:
                break
            shown += data
            if not answered and b"run this? [y/N] " in shown:
                os.write(ours, answer)
                answered = True
        return process.wait(timeout=PATIENCE_S), shown.decode(errors="replace")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.parametrize("answer", [b"y\n", b"YES\n", b"n\n", b"\n", b"\x04"])
def test_a_command_is_run_only_where_the_user_says_yes_to_what_is_shown(
    powercap: Driver,
    make_study: MakeStudy,
    environment: dict[str, str],
    tmp_path: Path,
    answer: bytes,
) -> None:
    path = make_study("good")
    path.write_text(path.read_text() + SERVED)
    path.chmod(0o666)
    code, shown = on_a_terminal(path, environment, answer)
    question = shown.partition("run this? [y/N] ")[0]
    assert "(it can be written by every user) runs: served: touch ran" in question
    yes = answer.lower().startswith(b"y")
    assert (tmp_path / "ran").exists() is yes
    assert code == (1 if yes else 2)  # 1: what it starts is no server
    assert ("add --allow-commands" in shown) is not yes
