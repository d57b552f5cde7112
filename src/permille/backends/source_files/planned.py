"""In a worker: import the modules of the plan only from the exact source that was planned.

The source is compiled here. Python's cache of compiled modules is keyed by the size and the
modification time in seconds, so an edit within the same second could run the old code:
https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from permille.errors import ModelError
from permille.workload.specs import SourceFile


def install(code: Mapping[str, SourceFile]) -> None:
    """From now on, import the modules in ``code`` from there."""
    if code:
        sys.meta_path.insert(0, _Finder(code))


class _Finder:
    """A finder for ``sys.meta_path``. It does not inherit from importlib.abc's class, because
    importing that would slow every worker down."""

    def __init__(self, code: Mapping[str, SourceFile]) -> None:
        self._code = code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        planned = self._code.get(fullname)
        if planned is None:
            return None
        file = Path(planned.path)
        return importlib.util.spec_from_file_location(
            fullname,
            file,
            loader=_Loader(fullname, planned),
            submodule_search_locations=[str(file.parent)] if file.name == "__init__.py" else None,
        )


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, planned: SourceFile) -> None:
        super().__init__(fullname, planned.path)
        self._sha256 = planned.sha256

    def get_code(self, fullname: str) -> CodeType | None:
        """The compiled file, after checking that its bytes are those of the plan."""
        content: Any = self.get_data(self.path)
        if hashlib.sha256(content).hexdigest() != self._sha256:
            raise ModelError(changed(self.path))
        return self.source_to_code(content, self.path)


def changed(path: str | Path) -> str:
    """The error for a file that is no longer the one that was planned."""
    return f"{path} has changed since the study was planned; run the same command again"
