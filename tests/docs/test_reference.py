"""The reference pages are what the code says, and leave nothing out."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from permille.plugins import load
from permille.study.plan.file import parse
from permille.study.plan.typed import typed

ROOT = Path(__file__).resolve().parents[2]


def test_generated_pages_are_what_the_code_says() -> None:
    script = ROOT / "scripts" / "build_reference.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_every_environment_variable_is_documented() -> None:
    """permille's own, and any other that the code reads by its name."""
    used: set[str] = set()
    for file in (ROOT / "src").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        used |= set(re.findall(r"\bPERMILLE_[A-Z_]+\b", text))
        used |= set(re.findall(r"\benviron(?:\.get\(|\[)\s*\"([A-Z_]+)\"", text))
    page = (ROOT / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")
    assert {"PERMILLE_STORE", "XDG_CACHE_HOME"} <= used, "the search's pattern is wrong"
    assert used - set(re.findall(r"`([A-Z_]+)`", page)) - {"PATH"} == set()


def test_every_protocol_that_a_plug_in_implements_exists() -> None:
    page = (ROOT / "docs" / "reference" / "plug-ins.md").read_text(encoding="utf-8")
    protocols = re.findall(r"implements `([\w.]+)\.(\w+)`", page)
    assert len(protocols) == page.count("[project.entry-points")
    for module, name in protocols:
        assert getattr(importlib.import_module(module), name)._is_protocol, name


def test_every_group_of_our_entry_points_has_a_section() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "reference" / "plug-ins.md").read_text(encoding="utf-8")
    groups = project["project"]["entry-points"]
    ours = {group: entries for group, entries in groups.items() if group.startswith("permille.")}
    assert groups.keys() - ours.keys() == {"pytest11"}  # where we plug in
    for group, entries in ours.items():
        section = page.partition(f"\n## {group}\n")[2].partition("\n## ")[0]
        assert {name for name in entries if f"| `{name}` | " not in section} == set(), group


def test_every_key_of_a_study_file_has_a_meaning_and_an_example() -> None:
    page = (ROOT / "docs" / "reference" / "study-file.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    cells = [re.split(r"(?<!\\) \| ", row.strip("| ")) for row in rows]
    assert [row for row in cells if len(row) != 5 or not row[3] or not row[4].strip()] == []


def test_every_example_of_a_study_files_keys_is_accepted() -> None:
    page = (ROOT / "docs" / "reference" / "study-file.md").read_text(encoding="utf-8")
    for section in page.split("\n## ")[1:]:
        title, _, table = section.partition("\n")
        rows = [
            re.split(r"(?<!\\) \| ", row.strip("| ")) for row in table.splitlines() if "`" in row
        ]
        examples = {row[0].strip("`"): row[4].strip().strip("`") for row in rows}
        needed = {row[0].strip("`") for row in rows if row[2].strip() == "*required*"}
        for key in examples:
            given = {name: examples[name] for name in {*needed, key}}
            study = parse(_study_with(title, given), where=f"{title} {key}", folder=ROOT)
            assert len(study.models) == 1, f"{title} {key} is taken for a sweep"
            backend = re.search(r'backend = "(\w+)"', title)
            if backend:
                typed(study.models[0].own, load("backends", backend[1]).settings, f"{title} {key}")


def _study_with(title: str, given: dict[str, str]) -> str:
    """A study file with these keys in the table that the section is about."""
    tables = {
        "[study]": {"name": '"x"'},
        "[[models]]": {"id": '"m"', "backend": '"onnx"', "category": '"task-specific"'},
        "[[tasks]]": {"task": '"chat"', "datasets": '["a"]'},
    }
    inline = ", ".join(f"{key} = {value}" for key, value in given.items())
    if "quality = " in title:
        tables["[[tasks]]"]["quality"] = f"{{ {inline} }}"
    elif "hub = " in title:
        tables["[[tasks]]"]["datasets"] = f"[{{ hub = 'a/b', {inline} }}]"
    else:
        name, _, backend = title.partition(" with backend = ")
        tables[name] |= ({"backend": backend} if backend else {}) | given
    lines = [f"{name}\n" + "".join(f"{k} = {v}\n" for k, v in keys.items())
             for name, keys in tables.items()]  # fmt: skip
    return "".join(lines)


def test_every_public_name_is_documented() -> None:
    import permille

    page = (ROOT / "docs" / "reference" / "python-api.md").read_text(encoding="utf-8")
    names = set(permille.__all__) - {"__version__"}
    assert names - set(re.findall(r"permille\.(\w+)", page)) == set()


@pytest.mark.parametrize("page", sorted(p.name for p in (ROOT / "docs").glob("*.md")))
def test_every_page_is_in_the_sites_contents(page: str) -> None:
    contents = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert page == "index.md" or f"\n{page.removesuffix('.md')}\n" in contents
