"""The commands of docs/measure.md, run as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import Permille
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "measure.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```bash\n(permille .*?)\n```", PAGE)


def test_there_are_commands() -> None:
    assert len(COMMANDS) == 5


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_runs(permille: Permille, powercap: Driver, tmp_path: Path, line: str) -> None:
    program, *arguments = shlex.split(line)
    assert program == "permille"
    out = permille(*arguments).out
    assert "measured" in out
    if "---" in arguments:
        assert "times the energy of the second" in out
    if "--export-csv" in arguments:
        assert {path.name for path in tmp_path.glob("energy.*")} == {
            "energy.md", "energy.csv", "energy.json",
        }  # fmt: skip


def test_the_gates_example_gives_a_verdict(permille: Permille, powercap: Driver) -> None:
    """Which one is for the machine to say, which may be busy in more of one command's runs."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "gate.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"```bash\n(permille .*?)\n```", page)
    finished = permille(*shlex.split(line)[1:], code=None)
    begins = {0: "passes: sleep 0.3 needs ", 4: "fails: sleep 0.3 needs ", 5: "cannot tell: "}
    assert finished.out.startswith(begins[finished.code])


def test_every_option_that_it_names_exists() -> None:
    from permille.cli import parser_of

    known = {option for a in parser_of("measure")._actions for option in a.option_strings}
    named = set(re.findall(r"`(--?[a-zA-Z][\w-]*)", PAGE)) - {"--"}
    assert named <= known
