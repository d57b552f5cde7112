"""Starting up is light, and every command has help with an example."""

from __future__ import annotations

import subprocess
import sys

import pytest

from permille.cli import COMMANDS
from tests.conftest import Permille

HEAVY = ("numpy", "scipy", "msgspec", "rich", "psutil", "onnxruntime", "pynvml")


@pytest.mark.parametrize(
    "code", ["import permille", "from permille.cli import dispatch as d; d(['--help'])"]
)
def test_neither_import_nor_help_loads_anything_heavy(code: str) -> None:
    script = f"import sys; {code}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("[]")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(permille: Permille, command: str) -> None:
    out = permille(command, "--help").out
    assert "examples:" in out
    assert f"permille {command}" in out.split("examples:")[1]


def test_an_unknown_command_names_the_nearest(permille: Permille) -> None:
    finished = permille("mesure", code=2)
    assert "did you mean 'measure'?" in finished.err


def test_the_version(permille: Permille) -> None:
    assert permille("--version").out.startswith("permille ")
