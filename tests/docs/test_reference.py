"""The reference pages are what the code says, and leave nothing out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_generated_pages_are_what_the_code_says() -> None:
    script = ROOT / "scripts" / "build_reference.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_every_environment_variable_is_documented() -> None:
    used = {
        name
        for file in (ROOT / "src").rglob("*.py")
        for name in re.findall(r"\bPERMILLE_[A-Z_]+\b", file.read_text(encoding="utf-8"))
    }
    page = (ROOT / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")
    assert used, "the search found nothing: its pattern is wrong"
    assert used - set(re.findall(r"`(PERMILLE_[A-Z_]+)`", page)) == set()


def test_every_public_name_is_documented() -> None:
    import permille

    page = (ROOT / "docs" / "reference" / "python-api.md").read_text(encoding="utf-8")
    names = set(permille.__all__) - {"__version__"}
    assert names - set(re.findall(r"permille\.(\w+)", page)) == set()


@pytest.mark.parametrize("page", sorted(p.name for p in (ROOT / "docs").glob("*.md")))
def test_every_page_is_in_the_sites_contents(page: str) -> None:
    contents = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert page == "index.md" or f"\n{page.removesuffix('.md')}\n" in contents
