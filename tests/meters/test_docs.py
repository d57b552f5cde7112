"""What is not documented fails here: meters, their variables, the devices that wall knows."""

from __future__ import annotations

import re
from pathlib import Path

from permille import plugins
from permille.meters.wall.source import KINDS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "meters.md").read_text(encoding="utf-8")


def test_every_meter_has_a_section_and_a_row() -> None:
    for name in plugins.names("meters"):
        assert f"\n## {name}\n" in TEXT
        assert f"\n| `{name}` |" in TEXT


def test_every_variable_is_named() -> None:
    sources = (ROOT / "src" / "permille" / "meters").glob("*.py")
    variables = {v for path in sources for v in re.findall(r"PERMILLE_[A-Z]+", path.read_text())}
    assert {v for v in variables if f"`{v}" not in TEXT} == set()


def test_every_kind_of_device_is_named() -> None:
    assert {kind for kind in KINDS if f"{kind}+http" not in TEXT} == set()


def test_every_test_that_it_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", TEXT)
    assert len(named) > 30
    for module, test in named:
        assert f"def {test}(" in (ROOT / "tests" / module).read_text(encoding="utf-8"), test
