"""Collect the Python source that an answer depends on, without running any of it.

This is a module with the modules that it imports, as far as they belong to the project: they are in
the study's folder, or anywhere outside Python's standard library and installed packages. Imports by
a name computed at run time, and files that the code opens, cannot be detected; the former are
reported (:attr:`ModuleSource.unseen`).
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from permille.backends.source_files.places import find, is_installed, is_there, locate
from permille.backends.source_files.syntax import (
    Module,
    calls_of,
    imported_from,
    imports_of,
    literal,
    package_of,
    parse,
    path_changes,
    path_statements,
)
from permille.errors import ModelError
from permille.workload.specs import SourceFile

MAX_FILES = 5_000
_IMPORTERS = {"import_module", "__import__", "run_module", "run_path", "spec_from_file_location"}


@dataclass
class ModuleSource:
    """The collected source: ``modules`` by name, other files (compiled modules) by path, and
    ``unseen``: places that import a module whose name is computed."""

    modules: dict[str, Module] = field(default_factory=dict)
    others: dict[Path, str] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)

    def digests(self) -> dict[str, SourceFile]:
        """Each module's file, for the worker to check."""
        return {
            name: SourceFile(path=str(m.path), sha256=hashlib.sha256(m.content).hexdigest())
            for name, m in self.modules.items()
        }


def collect(entries: Iterable[str], roots: Sequence[Path], *, check: bool = True) -> ModuleSource:
    """The modules named in ``entries``, and the project's modules that they import. With ``check``,
    also check that their imports exist.

    Raises:
        ModelError: one of them is not valid Python, or imports something that does not exist.
    """
    search = _Search(roots, check=check)
    for name in entries:
        search.add(name)
    return search.run()


def collect_script(script: Path) -> ModuleSource:
    """A script, and the modules in its folder that it imports.

    Raises:
        ModelError: see :func:`collect`.
    """
    search = _Search([script.parent], check=False)  # it may run in another interpreter than ours
    search.read("__main__", script, is_package=False)
    return search.run()


class _Search:
    """Follows imports from module to module, and reads each file once."""

    def __init__(self, roots: Sequence[Path], *, check: bool = True) -> None:
        self._roots = list(roots)
        self._must_be_there = check
        self._found = ModuleSource()
        self._tried: set[str] = set()
        self._own: set[str] = set()
        self._queue: list[Module] = []

    def run(self) -> ModuleSource:
        while self._queue:
            self._follow(self._queue.pop())
        for module in self._found.modules.values() if self._must_be_there else ():
            self._check_imports(module)
        return self._found

    def add(self, name: str) -> bool:
        """Add a module and its parent packages; return whether it belongs to the project."""
        parts = name.split(".")
        own = False
        # Importing a.b.c runs the __init__ of a and of a.b first.
        for count in range(1, len(parts) + 1):
            own = self._add_one(".".join(parts[:count]))
        return own

    def _add_one(self, name: str) -> bool:
        if name in self._tried:
            return name in self._own
        self._tried.add(name)
        top = name.partition(".")[0]
        # The versions of Python and of permille are in each trial's environment, not in the cell.
        if top in sys.stdlib_module_names or top == "permille":
            return False
        located = locate(name, self._roots) or self._elsewhere(name)
        if located is None:
            return False
        path, is_package = located
        self._own.add(name)
        if path.suffix == ".py":
            self.read(name, path, is_package=is_package)
        elif path.is_file():
            self._found.others[path] = _sha256(path)
        return True

    def _elsewhere(self, name: str) -> tuple[Path, bool] | None:
        """A project module that is installed in editable mode, or is on PYTHONPATH."""
        if "." in name:
            return None
        spec = find(name)
        places = [*(spec.submodule_search_locations or ())] if spec else []
        folders = [Path(place).parent for place in places]
        if spec and spec.origin and not folders and Path(spec.origin).is_file():
            folders = [Path(spec.origin).parent]
        own = [folder for folder in folders if not is_installed(folder)]
        self._roots += [folder for folder in own if folder not in self._roots]
        return locate(name, own)

    def read(self, name: str, path: Path, *, is_package: bool) -> None:
        """Parse a file, and queue what it imports."""
        if len(self._found.modules) >= MAX_FILES:
            raise ModelError(f"{path}: more than {MAX_FILES:,} files are imported")
        module = parse(name, path, is_package=is_package)
        self._found.modules[name] = module
        self._queue.append(module)

    def _follow(self, module: Module) -> None:
        self._roots += [p for p in path_changes(module, self._roots) if p not in self._roots]
        for name, _ in imports_of(module):
            self.add(name)
        for call in calls_of(module.tree, _IMPORTERS):
            given = [literal(argument) for argument in call.args]
            known = [text for text in given if text]
            for text in known:
                self._by_text(module, text)
            if not known:
                self._found.unseen.append(f"{module.path.name}:{call.lineno}")

    def _by_text(self, module: Module, text: str) -> None:
        """The module or file imported by ``importlib.import_module("text")`` and similar calls."""
        if text.endswith(".py"):
            for folder in (module.path.parent, *self._roots):
                file = folder / text
                name = str(file)
                if file.is_file():
                    if name not in self._tried:
                        self._tried.add(name)
                        self.read(name, file, is_package=False)
                    return
        name = text.lstrip(".")
        if text.startswith("."):
            name = ".".join(filter(None, [package_of(module, len(text) - len(name)), name]))
        if name and all(part.isidentifier() for part in name.split(".")):
            self.add(name)

    def _check_imports(self, module: Module) -> None:
        """Check that a module's unconditional imports exist."""
        # A module that changes the path decides only when it runs what can be found.
        if any(True for _ in path_statements(module.tree)):
            return
        # Not below an if or a try: such an import may be meant to fail.
        for node in module.tree.body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._check(module, node, alias.name)
            elif isinstance(node, ast.ImportFrom):
                base = imported_from(module, node)
                if base is not None:
                    self._check(module, node, base)
                    self._check_names(module, node, base)

    def _check(self, module: Module, node: ast.stmt, name: str) -> None:
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and not is_there(name, self._roots):
            how = "is not in its package" if locate(top, self._roots) else "is not installed"
            raise ModelError(
                f"{module.path}:{node.lineno}: it imports {name}, which {how};"
                " correct the import, or install it in permille's environment"
            )

    def _check_names(self, module: Module, node: ast.ImportFrom, base: str) -> None:
        source = self._found.modules.get(base)
        if source is None or not source.surely:
            return
        for alias in node.names:
            name = alias.name
            if name == "*" or name in source.names or is_there(f"{base}.{name}", self._roots):
                continue
            raise ModelError(
                f"{module.path}:{node.lineno}: it imports {name} from {base},"
                f" but {source.path} has no {name}"
            )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
