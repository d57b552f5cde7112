"""docs/reliability.md: every test that it names is there, and every test here is named."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
TEXT = (FOLDER.parents[1] / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_every_named_test_is_there() -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT)
    assert len(named) > 30
    for module, test in named:
        assert f"def {test}(" in (FOLDER / module).read_text(encoding="utf-8"), test


def test_every_module_of_faults_is_named() -> None:
    modules = {path.name for path in FOLDER.glob("test_*.py")} - {"test_docs.py"}
    assert {module for module in modules if f"`{module}::" in TEXT} == modules
