"""The page's scripts, run as written on a real export."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Permille
from tests.docs.pages import commands, write_files
from tests.powercap import Driver
from tests.study.conftest import write_small

pytestmark = pytest.mark.measuring

PAGE = "reading-results.md"


@pytest.fixture
def exported(permille: Permille, powercap: Driver, tmp_path: Path) -> Path:
    write_small(tmp_path, "quick", "slow")
    permille("run", "study.toml")
    assert write_files(PAGE, tmp_path) == ["with_pandas.py", "with_polars.py"]
    export, compare = commands(PAGE)
    permille(*export)
    assert permille(*compare).json["ratio"]["value"] < 1
    return tmp_path


def test_the_scripts_run(exported: Path) -> None:
    for module, says in (("pandas", "cheapest: quick, "), ("polars", "slow")):
        done = subprocess.run(
            [sys.executable, f"with_{module}.py"],
            cwd=exported, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert says in done.stdout
