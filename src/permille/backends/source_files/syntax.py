"""What a source file imports and defines, read from its syntax tree. Nothing is run."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from permille.backends.source_files.places import is_installed
from permille.errors import ModelError

MAX_FILE_BYTES = 4 << 20
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
            # Such as a SyntaxWarning of an invalid escape, in code that is not ours.
            warnings.simplefilter("ignore")
            tree = ast.parse(content, filename=str(path))
            # Only the compiler finds some errors, such as "return" outside a function.
            # dont_inherit: or this module's own imports from __future__ would apply to it.
            compile(content, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise ModelError(
            f"{path}:{error.lineno or 1}: {error.msg}; it is not valid Python"
        ) from error
    # A null byte; or nesting that exhausts the stack of the parser or the compiler
    # (https://docs.python.org/3/library/ast.html#ast.parse).
    except (ValueError, RecursionError, MemoryError) as error:
        message = str(error) or "nested too deeply"
        raise ModelError(f"{path}:1: it cannot be compiled: {message}") from error
    names, surely = _names(tree)
    return Module(name, path, content, is_package, tree, names, surely)


# --- imports of a module -----------------------------------------------------------------


def imports_of(module: Module) -> Iterator[tuple[str, int]]:
    """Every module that the source may import, anywhere in it. ``from a import b`` may mean the
    module ``a.b``."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = imported_from(module, node)
            if base is None:
                continue
            yield base, node.lineno
            for alias in node.names:
                if alias.name != "*":
                    yield f"{base}.{alias.name}", node.lineno
    if module.is_package:  # imported by "from package import *"
        for node in module.tree.body:
            if isinstance(node, ast.Assign) and "__all__" in _targets(node.targets):
                for text in _texts(node.value):
                    if text.isidentifier():
                        yield f"{module.name}.{text}", node.lineno


def imported_from(module: Module, node: ast.ImportFrom) -> str | None:
    """The absolute module name of a ``from … import``; None if it leaves the package."""
    if not node.level:
        return node.module
    package = package_of(module, node.level)
    if not package:
        return None
    return f"{package}.{node.module}" if node.module else package


def package_of(module: Module, level: int) -> str:
    """The package that a relative import of this many dots starts from; empty if there is none."""
    parts = module.name.split(".")
    up = level - 1 if module.is_package else level
    return ".".join(parts[: len(parts) - up]) if up else module.name


def calls_of(tree: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    """The calls of functions or methods with one of these names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else None
            if isinstance(called, ast.Name):
                name = called.id
            if name in names:
                yield node


def path_statements(tree: ast.AST) -> Iterator[ast.stmt]:
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


def path_changes(module: Module, roots: Sequence[Path]) -> list[Path]:
    """Folders that the source adds to ``sys.path``; its own folder if it names none."""
    changes = []
    for node in path_statements(module.tree):
        # A computed folder is usually the file's own or the one above (dirname of __file__, once or
        # twice).
        folders = [module.path.parent, module.path.parent.parent]
        for text in _texts(node):
            folders += [base / text for base in (module.path.parent, *roots)]
        changes += [folder for folder in folders if folder.is_dir() and not is_installed(folder)]
    return changes


def literal(node: ast.AST) -> str | None:
    """A literal text, or None."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\0" not in node.value:
        return node.value
    return None


def _texts(node: ast.AST) -> list[str]:
    return [text for part in ast.walk(node) if (text := literal(part))]


# --- names of a module -------------------------------------------------------------------


def _names(tree: ast.Module) -> tuple[dict[str, int], bool]:
    """The names bound at a module's top level, in any branch, and whether these are all."""
    names: dict[str, int] = {}
    surely = not any(True for _ in calls_of(tree, _DEFINERS))
    for node in ast.walk(tree):
        # A function may bind these at the top level, if it is called.
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
