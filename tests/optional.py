"""Libraries that only some extras install, imported by the tests that use them: every process of
the tests collects every module, and torch, Ray and datasets take seconds."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import pytest


class _Later:
    """A module that is imported when something of it is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # pytest looks for its own marks at everything in a module
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self._name), attribute)


def later(name: str, extra: str) -> Any:
    """The library, not imported yet; skips the whole module where it is not installed."""
    if importlib.util.find_spec(name) is None:
        reason = f"{name} is not installed: pip install 'permille[{extra}]'"
        pytest.skip(reason, allow_module_level=True)
    return _Later(name)
