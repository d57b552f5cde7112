"""The structure of the code: no import circles, a complete map, functions that stay simple."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from functools import cache
from pathlib import Path

from radon.complexity import cc_visit_ast

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "permille"
MOST_COMPLEX = 15
LONGEST_FUNCTION, LONGEST_MODULE = 60, 400
"""Lines: what a screen shows at once, and a few of them."""


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    """A file's syntax, which the tests only read."""
    return ast.parse(path.read_text(encoding="utf-8"))


def statements(path: Path) -> Iterator[ast.AST]:
    """A file's statements, however deep, and not the many expressions within."""
    todo: list[ast.AST] = [*tree(path).body]
    while todo:
        node = todo.pop()
        yield node
        for name in ("body", "orelse", "handlers", "finalbody", "cases"):
            todo += getattr(node, name, ())


def imports(path: Path, known: Set[str]) -> Iterator[str]:
    """Modules of ours that a file imports, lazily or for the type checker alone too."""
    for node in statements(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.module in known:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module


def circles(edges: Mapping[str, Set[str]]) -> list[str]:
    """Nodes that reach themselves."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [*edges.get(start, ())]
        while todo:
            node = todo.pop()
            if node not in seen:
                seen.add(node)
                todo += edges.get(node, ())
        return seen

    return sorted(node for node in edges if node in reached(node))


def package(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_no_import_circle_of_files_or_packages() -> None:
    known = modules()
    files = {name: set(imports(path, known.keys())) - {name} for name, path in known.items()}
    assert circles(files) == []
    packages: defaultdict[str, set[str]] = defaultdict(set)
    for name, targets in files.items():
        if name != "permille":  # the package itself only re-exports, for users
            packages[package(name)] |= {package(t) for t in targets} - {package(name), "permille"}
    assert circles(packages) == []


def test_the_map_names_every_package_and_module_at_the_top() -> None:
    listed = re.findall(r"`(\w+)(?:/|\.py)`", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    top = {package(name).removeprefix("permille.") for name in modules()} - {"permille"}
    assert top - {"__main__"} == set(listed) & top - {"__main__"}


def test_the_layers_name_every_module_at_the_top() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    assert not any(contract.get("allow_indirect_imports") for contract in contracts)
    (layers,) = [c["layers"] for c in contracts if c["type"] == "layers"]
    listed = {part.strip() for layer in layers for part in re.split("[|:]", layer)}
    top = {package(name).removeprefix("permille.") for name in modules()} - {"permille"}
    assert listed == top - {"__main__"}


def test_public_classes_of_one_name_are_one_thing() -> None:
    """Plug-ins' ``Settings`` apart: each is the keys of its own backend."""
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for name, path in modules().items():
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(name)
    homes.pop("Settings")
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_no_function_is_too_complex_without_a_reason() -> None:
    """As radon counts; a comment ``# complex:`` above the function says why it is so."""
    found = []
    for name, path in modules().items():
        lines = path.read_text(encoding="utf-8").splitlines()
        for block in cc_visit_ast(tree(path)):
            above = lines[block.lineno - 2] if block.lineno > 1 else ""
            if block.complexity > MOST_COMPLEX and not above.lstrip().startswith("# complex:"):
                found.append(f"{name}.{block.name}: {block.complexity}")
    assert found == []


def test_every_function_fits_on_a_screen_and_every_module_on_a_few() -> None:
    found = []
    for name, path in modules().items():
        if (whole := path.read_text(encoding="utf-8").count("\n")) > LONGEST_MODULE:
            found.append(f"{name}: {whole}")
        for node in statements(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                lines = node.end_lineno - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    found.append(f"{name}.{node.name}: {lines}")
    assert found == []


def test_a_share_is_formatted_in_one_way() -> None:
    """By ``units.format_share``: Python's own ``%`` writes 25%, and the rest of a message 25 %."""
    found = [
        f"{name}:{node.lineno}"
        for name, path in modules().items()
        if "%}" in path.read_text(encoding="utf-8")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FormattedValue)
        and node.format_spec is not None
        and ast.unparse(node.format_spec).rstrip("'\"").endswith("%")
    ]
    assert found == []
