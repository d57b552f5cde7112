"""Plug-ins by entry point; the built-in meters, backends and tasks come the same way."""

from __future__ import annotations

import importlib.metadata
from functools import cache
from typing import Any

from permille.errors import PermilleError, StudyError
from permille.suggestions import nearest


def names(group: str) -> list[str]:
    """The names registered under ``permille.<group>``, sorted."""
    return sorted(_registered(group).names)


@cache
def _registered(group: str) -> importlib.metadata.EntryPoints:
    """Read once: a plan of 312 cells asks thousands of times."""
    return importlib.metadata.entry_points(group=f"permille.{group}")


def load(group: str, name: str, error: type[PermilleError] = StudyError) -> Any:
    """The object registered as ``name`` under ``permille.<group>``.

    Raises:
        PermilleError: (of the class ``error``) there is no such plug-in; names the nearest.
    """
    found = _registered(group).select(name=name)
    if not found:
        raise error(f"no {group.removesuffix('s')} {name!r}; {nearest(name, names(group))}")
    return next(iter(found)).load()
