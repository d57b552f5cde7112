"""A study of functions in ``models.py``, which are given the texts of ``rows.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

GOOD_OR_BAD = """
def good(text):
    return "good" if "good" in text else "bad"
"""
QUICKEST = {"inferences": 2, "repeats": 1, "warmup": 0, "idle_s": 0, "timeout_s": 60.0}
HEAD = """
[study]
name = "{name}"
{settings}
"""
MODEL = """
[[models]]
id = "{name}"
backend = "python"
category = "task-specific"
callable = "models:{name}"
{more}
"""
TASK = """
[[tasks]]
task = "text-classification"
datasets = [{ path = "rows.jsonl", text = "text", label = "label" }]
"""


def write_study(
    folder: Path,
    *functions: str,
    source: str = GOOD_OR_BAD,
    texts: Iterable[str] = ("good one", "bad one"),
    name: str = "small",
    more: str = "",
    of_each_model: str = "",
    file: str = "study.toml",
    **settings: float,
) -> Path:
    """Write the three files; the study's path. A text's first word is its label, ``settings`` are
    the study's where they are not the quickest, and ``more`` is text of its first table."""
    (folder / "models.py").write_text(source)
    rows = [{"text": text, "label": text.split()[0]} for text in texts]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = [f"{key} = {value}" for key, value in (QUICKEST | settings).items()]
    path = folder / file
    path.write_text(
        HEAD.format(name=name, settings="\n".join([*said, more]))
        + TASK
        + "".join(MODEL.format(name=one, more=of_each_model) for one in functions)
    )
    return path
