"""A page's blocks: files that carry their name, and commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def write_files(page: str, folder: Path) -> list[str]:
    """Write the page's named blocks to ``folder``; their names, in the page's order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```\w+ (\S+)\n(.*?)```", text, re.DOTALL)
    for name, content in blocks:
        (folder / name).write_text(content, encoding="utf-8")
    return [name for name, _ in blocks]


def commands(page: str) -> list[list[str]]:
    """The words of each ``permille`` command in the page's shell blocks."""
    text = (DOCS / page).read_text(encoding="utf-8")
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("permille ")]
