"""The page's example, as written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from permille import plugins
from permille.workload.protocols import Task
from tests.conftest import Permille
from tests.powercap import Driver

pytestmark = pytest.mark.measuring

PAGE = (Path(__file__).parents[2] / "docs" / "callable.md").read_text()


def test_the_example_runs(permille: Permille, powercap: Driver, tmp_path: Path) -> None:
    blocks = re.findall(r"```\w+ (\S+)\n(.*?)```", PAGE, re.DOTALL)
    assert [name for name, _ in blocks] == ["my_model.py", "news.jsonl", "study.toml"]
    for name, content in blocks:
        (tmp_path / name).write_text(content)
    permille("run", "study.toml", "--repeats", "1")
    (row,) = permille("results", "--json").json["rows"]
    assert row["task"] == "summarization"
    assert row["trials"]["done"] == 1
    assert row["quality"]["metric"] == "rougeL"
    # "The bridge was opened on Monday": 4 of 6 and 4 of 4 words; "Two rivers rose overnight"
    # beside "Rivers rose, nobody was hurt": 2 of 4 and 2 of 5.
    assert row["quality"]["value"] == pytest.approx((2 * 4 / 10 + 2 * 2 / 9) / 2)


def test_the_table_of_columns_is_that_of_the_tasks() -> None:
    rows = re.findall(r"^\| ([a-z, -]+) \| ([a-z, ]+) \|", PAGE, re.MULTILINE)
    said = {name: cols.split(", ") for names, cols in rows for name in names.split(", ")}
    said.pop("task")
    found = {}
    for name in plugins.names("tasks"):
        task: Task = plugins.load("tasks", name)
        found[name] = [*task.inputs, *([task.reference] if task.reference else [])]
    assert said == found
