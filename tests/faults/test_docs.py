"""docs/reliability.md: every test that it names is there, and every test here is named."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
TESTS = FOLDER.parent
TEXT = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(?:(\w+)/)?(test_\w+\.py)::(test_\w+)`", TEXT)
"""(folder, none for this one, ``tests`` for the one above; module; test)."""


def test_every_named_test_is_there() -> None:
    assert len(NAMED) > 60
    for folder, module, test in NAMED:
        home = {"": FOLDER, "tests": TESTS}.get(folder, TESTS / folder)
        path = home / module
        assert re.search(rf"^ *def {test}\(", path.read_text(encoding="utf-8"), re.M), test


def test_every_module_of_faults_is_named() -> None:
    modules = {path.name for path in FOLDER.glob("test_*.py")} - {"test_docs.py"}
    assert {module for folder, module, _ in NAMED if not folder} == modules


def test_every_promise_names_a_test() -> None:
    tables = re.findall(r"^\| promise \| test \|\n\|[ -|]+\|\n((?:\|.*\n)+)", TEXT, re.M)
    promises = [row for table in tables for row in table.splitlines()]
    assert len(tables) == 2
    assert len(promises) > 30
    assert [row for row in promises if "::test_" not in row] == []
