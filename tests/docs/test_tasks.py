"""docs/tasks.md: its table is that of the plug-ins."""

from __future__ import annotations

import re
from pathlib import Path

from permille import plugins
from permille.workload.protocols import Backend, Task

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")


def test_every_task_has_its_columns_and_backends() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.splitlines()
        if re.match(r"\| [a-z]+(-[a-z]+)+ \||\| (chat|summarization|translation) \|", line)
    ]
    said = {
        name: (
            re.findall(r"[a-z_]+", columns.replace("; label if you name it", ", label")),
            sorted(re.findall(r"[a-z]+", re.sub(r"\(.*?\)", "", backends))),
        )
        for name, columns, _, _, backends in rows
    }
    backends: dict[str, Backend] = {
        name: plugins.load("backends", name)
        for name in plugins.names("backends")
        if name != "python"
    }
    found = {}
    for name in plugins.names("tasks"):
        task: Task = plugins.load("tasks", name)
        columns = [*task.inputs, *([task.reference] if task.reference else [])]
        found[name] = (columns, sorted(b for b, it in backends.items() if name in it.tasks))
    assert said == found
    python: Backend = plugins.load("backends", "python")
    assert set(python.tasks) == set(found)
