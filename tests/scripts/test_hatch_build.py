"""A checkout installs without npm's registry: all but the explorer's page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import PATIENCE_S

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent


def test_without_npm_a_wheel_is_built_and_says_what_is_missing(tmp_path: Path) -> None:
    checkout, bin_ = tmp_path / "checkout", tmp_path / "bin"
    left_out = shutil.ignore_patterns("_static", "node_modules", "__pycache__")
    for folder in ("src", "scripts"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=left_out)
    for file in ("pyproject.toml", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(ROOT / file, checkout / file)
    bin_.mkdir()
    for name in ("npm", "node"):
        (bin_ / name).write_text("#!/bin/sh\necho no registry >&2\nexit 1\n")
        (bin_ / name).chmod(0o755)
    path = os.pathsep.join([str(bin_), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=checkout, env={**os.environ, "PATH": path}, capture_output=True, text=True,
        timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "page could not be built (npm failed with 1)" in done.stdout + done.stderr
    assert "make static" in done.stdout + done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "permille/explorer/page.py" in names
    assert not [name for name in names if "_static" in name]
