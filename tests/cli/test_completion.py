"""``permille completion``: the script knows every command and option, and bash completes by it."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from permille import cli
from tests.conftest import PATIENCE_S, Permille

OPTIONS = [
    (name, option)
    for name in cli.COMMANDS
    for action in cli.parser_of(name)._actions
    for option in action.option_strings
    if action.help != argparse.SUPPRESS
]
COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
entry=$(complete -p permille)
function="${entry##*-F }"; "${function%% *}" permille
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "permille.bash"
    with path.open("wb") as out:
        command = [sys.executable, "-m", "permille", "completion", "bash"]
        subprocess.run(command, stdout=out, check=True, timeout=PATIENCE_S)
    return path


def completed(script: Path, *words: str) -> list[str]:
    """What bash offers for the last of ``words``."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    done = subprocess.run(
        [bash, "--norc", "-c", COMPLETE, "bash", str(script), "permille", *words],
        capture_output=True, text=True, check=True, cwd=script.parent, timeout=PATIENCE_S,
    )  # fmt: skip
    return done.stdout.split()


@pytest.mark.slow
def test_bash_registers_it(script: Path) -> None:
    done = subprocess.run(
        ["bash", "--norc", "-c", f"source {script}; complete -p permille"],
        capture_output=True, text=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.stdout.strip().endswith(" permille")
    assert done.stderr == ""


def test_bash_completes_commands_and_what_each_takes(script: Path) -> None:
    assert set(completed(script, "")) == set(cli.COMMANDS)
    assert completed(script, "expo") == ["export"]
    assert completed(script, "results", "--supers") == ["--superseded"]
    assert completed(script, "results", "--boundary", "comp") == ["compute"]
    assert completed(script, "export", "model-c") == ["model-card"]
    assert completed(script, "assets", "fe") == ["fetch"]
    (script.parent / "mine.toml").touch()
    assert completed(script, "run", "mi") == ["mine.toml"]
    assert completed(script, "results", "--store", "mi") == ["mine.toml"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh", "fish"])
def test_every_shell_gets_every_option_of_every_command(permille: Permille, shell: str) -> None:
    script = permille("completion", shell).out
    for name, option in OPTIONS:
        assert name in script
        shown = option.lstrip("-") if shell in ("fish", "tcsh") else option
        assert shown in script, f"{name} {option}"


def test_bash_is_offered_all_options_of_each_command(script: Path) -> None:
    for name in cli.COMMANDS:
        offered = set(completed(script, name, "-"))
        assert {option for command, option in OPTIONS if command == name} <= offered, name


def test_without_shtab_one_line_says_how_to_get_it(permille: Permille, tmp_path: Path) -> None:
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "shtab.py").write_text(
        "raise ModuleNotFoundError('No module named shtab', name='shtab')"
    )
    finished = permille("completion", "bash", code=2, PYTHONPATH=str(tmp_path / "absent"))
    assert finished.out == ""
    assert finished.err == (
        "permille: shell completion needs shtab: pip install 'permille[completion]'\n"
    )
