"""Where modules lie: in folders, in Python's library, in packages. Nothing is imported."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path

_INSTALLED = {"site-packages", "dist-packages"}
_COMPILED = (*importlib.machinery.EXTENSION_SUFFIXES, ".pyc")


def locate(name: str, roots: Iterable[Path]) -> tuple[Path, bool] | None:
    """The file of module ``name`` in one of ``roots``, and whether it is a package's ``__init__``;
    None if there is none, as for a package without ``__init__``."""
    *above, last = name.split(".")
    for root in roots:
        folder = root.joinpath(*above)
        package = folder / last
        # A package comes before a module of its name, as in Python's own search. A source file
        # comes before a compiled one, unlike there: the worker then imports this source
        # (``planned``).
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
    # A folder without __init__ is a package as well (PEP 420).
    if locate(name, roots) or any(root.joinpath(*name.split(".")).is_dir() for root in roots):
        return True
    return locate(top, roots) is None and find(top) is not None


def is_installed(path: Path) -> bool:
    """Whether a file belongs to Python or to an installed package."""
    return bool(_INSTALLED & set(path.parts)) or path.is_relative_to(_library())


def _library() -> Path:
    return Path(ast.__file__).parent


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
        # Not find_spec("a.b"), which imports a, and so runs it:
        # https://docs.python.org/3/library/importlib.html#importlib.util.find_spec
        spec = importlib.machinery.PathFinder.find_spec(
            ".".join(parts[: number + 1]), spec.submodule_search_locations
        )
    return spec
