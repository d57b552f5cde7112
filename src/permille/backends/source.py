"""Collect the Python source that an answer depends on, without running any of it.

This is a module with the modules that it imports, as far as they belong to the project: they are in
the study's folder, or anywhere outside Python's standard library and installed packages. Imports by
a name computed at run time, and files that the code opens, cannot be detected; the former are
reported (:attr:`Source.unseen`).
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from permille.errors import ModelError
from permille.workload.specs import SourceFile

MAX_FILE_BYTES = 4 << 20
MAX_FILES = 5_000
_INSTALLED = {"site-packages", "dist-packages"}
_COMPILED = (*importlib.machinery.EXTENSION_SUFFIXES, ".pyc")
_IMPORTERS = {"import_module", "__import__", "run_module", "run_path", "spec_from_file_location"}
_DEFINERS = {"exec", "setattr", "globals", "vars", "__getattr__"}
"""Constructs that can define module names that the source does not show."""


@dataclass(frozen=True)
class Module:
    """A source file. ``names`` maps the names that it may define at its top level to their lines;
    ``surely``: whether these are all."""

    name: str
    path: Path
    content: bytes
    is_package: bool
    tree: ast.Module
    names: dict[str, int]
    surely: bool


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


def locate(name: str, roots: Iterable[Path]) -> tuple[Path, bool] | None:
    """The file of module ``name`` in one of ``roots``, and whether it is a package's ``__init__``;
    None if there is none, as for a package without ``__init__``."""
    *above, last = name.split(".")
    for root in roots:
        folder = root.joinpath(*above)
        package = folder / last
        for file in (package / f"__init__{suffix}" for suffix in (".py", *_COMPILED)):
            if file.is_file():
                return file, True
        for suffix in (".py", *_COMPILED):
            file = folder / f"{last}{suffix}"
            if file.is_file():
                return file, False
    return None


def is_there(name: str, roots: Sequence[Path]) -> bool:
    """Whether a module can be imported, judging by the files."""
    top = name.partition(".")[0]
    if locate(name, roots) or any(root.joinpath(*name.split(".")).is_dir() for root in roots):
        return True
    return locate(top, roots) is None and find(top) is not None


def is_installed(path: Path) -> bool:
    """Whether a file belongs to Python or to an installed package."""
    return bool(_INSTALLED & set(path.parts)) or path.is_relative_to(_library())


def _library() -> Path:
    return Path(ast.__file__).parent


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
        for count in range(1, len(parts) + 1):
            own = self._add_one(".".join(parts[:count]))
        return own

    def _add_one(self, name: str) -> bool:
        if name in self._tried:
            return name in self._own
        self._tried.add(name)
        top = name.partition(".")[0]
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
        self._roots += [p for p in _path_changes(module, self._roots) if p not in self._roots]
        for name, _ in _imports(module):
            self.add(name)
        for call in _calls(module.tree, _IMPORTERS):
            given = [_text(argument) for argument in call.args]
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
            name = ".".join(filter(None, [_package(module, len(text) - len(name)), name]))
        if name and all(part.isidentifier() for part in name.split(".")):
            self.add(name)

    def _check_imports(self, module: Module) -> None:
        """Check that a module's unconditional imports exist."""
        if any(True for _ in _path_nodes(module.tree)):
            return
        for node in module.tree.body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._check(module, node, alias.name)
            elif isinstance(node, ast.ImportFrom):
                base = _base(module, node)
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


def find(name: str) -> importlib.machinery.ModuleSpec | None:
    """The spec of a top-level module, without importing it."""
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a module in memory that has no file
        return None


def installed(name: str) -> importlib.machinery.ModuleSpec | None:
    """The spec of a module in an installed package; the package is not imported."""
    parts = name.split(".")
    spec = find(parts[0])
    for number in range(1, len(parts)):
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(
            ".".join(parts[: number + 1]), spec.submodule_search_locations
        )
    return spec


def parse(name: str, path: Path, *, is_package: bool) -> Module:
    """A source file, parsed and compiled but not run.

    Raises:
        ModelError: it cannot be read, is too large, or is not valid Python; names file and line.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ModelError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB, too large for source")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content, filename=str(path))
            # Only the compiler finds some errors, such as "return" outside a function.
            compile(content, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise ModelError(
            f"{path}:{error.lineno or 1}: {error.msg}; it is not valid Python"
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:
        message = str(error) or "nested too deeply"
        raise ModelError(f"{path}:1: it cannot be compiled: {message}") from error
    names, surely = _names(tree)
    return Module(name, path, content, is_package, tree, names, surely)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --- imports of a module -----------------------------------------------------------------


def _imports(module: Module) -> Iterator[tuple[str, int]]:
    """Every module that the source may import, anywhere in it. ``from a import b`` may mean the
    module ``a.b``."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            if base is None:
                continue
            yield base, node.lineno
            for alias in node.names:
                if alias.name != "*":
                    yield f"{base}.{alias.name}", node.lineno
    if module.is_package:  # imported by "from package import *
        for node in module.tree.body:
            if isinstance(node, ast.Assign) and "__all__" in _targets(node.targets):
                for text in _texts(node.value):
                    if text.isidentifier():
                        yield f"{module.name}.{text}", node.lineno


def _base(module: Module, node: ast.ImportFrom) -> str | None:
    """The absolute module name of a ``from … import``; None if it leaves the package."""
    if not node.level:
        return node.module
    package = _package(module, node.level)
    if not package:
        return None
    return f"{package}.{node.module}" if node.module else package


def _package(module: Module, level: int) -> str:
    parts = module.name.split(".")
    up = level - 1 if module.is_package else level
    return ".".join(parts[: len(parts) - up]) if up else module.name


def _calls(tree: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else None
            if isinstance(called, ast.Name):
                name = called.id
            if name in names:
                yield node


def _path_nodes(tree: ast.AST) -> Iterator[ast.stmt]:
    """Statements that change where Python looks for modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign) and any(
            isinstance(part, ast.Attribute)
            and part.attr == "path"
            and isinstance(part.value, ast.Name)
            and part.value.id == "sys"
            for part in ast.walk(node)
        ):
            yield node


def _path_changes(module: Module, roots: Sequence[Path]) -> list[Path]:
    """Folders that the source adds to ``sys.path``; its own folder if it names none."""
    changes = []
    for node in _path_nodes(module.tree):
        folders = [module.path.parent, module.path.parent.parent]
        for text in _texts(node):
            folders += [base / text for base in (module.path.parent, *roots)]
        changes += [folder for folder in folders if folder.is_dir() and not is_installed(folder)]
    return changes


def _text(node: ast.AST) -> str | None:
    """A literal text, or None."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\0" not in node.value:
        return node.value
    return None


def _texts(node: ast.AST) -> list[str]:
    return [text for part in ast.walk(node) if (text := _text(part))]


# --- names of a module -------------------------------------------------------------------


def _names(tree: ast.Module) -> tuple[dict[str, int], bool]:
    """The names bound at a module's top level, in any branch, and whether these are all."""
    names: dict[str, int] = {}
    surely = not any(True for _ in _calls(tree, _DEFINERS))
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            names |= dict.fromkeys(node.names, node.lineno)
    for node in _top_level(tree):
        names |= dict.fromkeys(_bound_by(node), getattr(node, "lineno", 1))
        surely = surely and not _may_bind_others(node)
    return names, surely


_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _top_level(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes that bind names in the module: not those inside a function or a class, which have
    their own scope (https://docs.python.org/3/reference/executionmodel.html)."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, _Definition | ast.Lambda):
            pending += ast.iter_child_nodes(node)


def _bound_by(node: ast.AST) -> list[str]:
    """The names bound by a node itself, without its children."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    named = _Definition | ast.ExceptHandler | ast.MatchAs | ast.MatchStar
    return [node.name] if isinstance(node, named) and node.name else []


def _may_bind_others(node: ast.AST) -> bool:
    """Whether a node may define names in the module implicitly: a module-level ``__getattr__``
    (PEP 562), a star import, access to the module through ``sys.modules``."""
    if isinstance(node, _Definition):
        return node.name == "__getattr__"
    if isinstance(node, ast.Import | ast.ImportFrom):
        return any(alias.name == "*" for alias in node.names)
    if isinstance(node, ast.Attribute | ast.Subscript):
        return {"sys", "modules"} <= _words(node)
    return False


def _words(node: ast.AST) -> set[str]:
    words = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            words.add(part.id)
        elif isinstance(part, ast.Attribute):
            words.add(part.attr)
    return words


def _targets(nodes: Iterable[ast.AST]) -> set[str]:
    return {part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)}
