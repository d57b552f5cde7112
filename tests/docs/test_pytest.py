"""The page's tests, as written."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PATIENCE_S
from tests.docs.pages import DOCS, write_files
from tests.powercap import Driver

pytestmark = pytest.mark.measuring


def test_the_example_runs(powercap: Driver, environment: dict[str, str], tmp_path: Path) -> None:
    assert write_files("pytest.md", tmp_path) == ["test_energy.py"]
    # Whether new code needs less than old is for the user's machine to say, not for this test.
    source = (tmp_path / "test_energy.py").read_text()
    assert "assert after.ratio_to(before) < 1.1" in source
    (tmp_path / "test_energy.py").write_text(source.replace("before) < 1.1", "before).value > 0"))
    (command,) = re.findall(r"```sh\n(.*?)\n```", (DOCS / "pytest.md").read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=tmp_path,
        env={k: v for k, v in (os.environ | environment).items() if not k.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    blocks = json.loads((tmp_path / "energy.json").read_text())["blocks"]
    assert [(b["block"], b["repeats"]) for b in blocks] == [
        ("block 1", 1),
        ("old", 5),
        ("new", 5),
        ("block 1", 1),
    ]
