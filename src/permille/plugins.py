"""Plug-ins by entry point, including the built-in ones."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import importlib.metadata

from permille.errors import PermilleError, StudyError
from permille.suggestions import nearest


def names(group: str) -> list[str]:
    """The names registered under ``permille.<group>``, sorted."""
    return sorted(_registered(group).names)


@cache
def _registered(group: str) -> importlib.metadata.EntryPoints:
    """Cached, because a plan of 312 cells reads it thousands of times."""
    registered: importlib.metadata.EntryPoints = _installed().select(group=f"permille.{group}")
    return registered


@cache
def _installed() -> Any:
    """Of all groups, because each search reads the metadata of every installed package:
    ``EntryPoints``, or ``SelectableGroups`` in Python 3.11; both have ``select``."""
    import importlib.metadata  # takes as long to import as everything else that a worker needs

    return importlib.metadata.entry_points()


def load(group: str, name: str, error: type[PermilleError] = StudyError) -> Any:
    """The object registered as ``name`` under ``permille.<group>``.

    Raises:
        PermilleError: (of the class ``error``) there is no such plug-in; the message suggests one.
    """
    return _entry_point(group, name, error).load()


def target(group: str, name: str, error: type[PermilleError] = StudyError) -> str:
    """The location of the object registered as ``name``, as ``module:attribute``, for
    :func:`load_target` in another process, which then need not read the entry points.

    Raises:
        PermilleError: see :func:`load`.
    """
    return _entry_point(group, name, error).value


def load_target(value: str) -> Any:
    """The object at ``module:attribute``."""
    module, _, attribute = value.partition(":")
    target_object: Any = importlib.import_module(module.strip())
    for part in attribute.strip().split("."):
        target_object = getattr(target_object, part)
    return target_object


def _entry_point(
    group: str, name: str, error: type[PermilleError]
) -> importlib.metadata.EntryPoint:
    matching = _registered(group).select(name=name)
    if not matching:
        raise error(f"no {group.removesuffix('s')} {name!r}; {nearest(name, names(group))}")
    return next(iter(matching))
