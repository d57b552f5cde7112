"""The README is run as it is written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import Permille
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_your_model_your_data(permille: Permille, powercap: Driver, tmp_path: Path) -> None:
    section = README.split("## Your model, your data")[1].split("\n## ")[0]
    files = re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", section, re.DOTALL)
    assert [name for name, _ in files] == ["model.py", "inbox.jsonl", "study.toml"]
    for name, text in files:
        (tmp_path / name).write_text(text)
    (commands,) = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    out = ""
    for line in commands.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "permille"
        out = permille(*arguments).out
    assert "two keywords" in out
    assert "accuracy 100.0" in out
    assert "France" in out


def test_every_command_that_the_readme_names_exists(permille: Permille) -> None:
    from permille.cli import COMMANDS

    named = set(re.findall(r"^permille (\w+)", README, re.MULTILINE))
    assert named
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([\w/.-]+)\)", README))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
