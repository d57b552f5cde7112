"""Libraries that only the extra ``integrations`` installs."""

from __future__ import annotations

import importlib.util

import pytest


def needs(library: str) -> pytest.MarkDecorator:
    """Skip, with the reason, where the library is not installed."""
    return pytest.mark.skipif(
        importlib.util.find_spec(library) is None,
        reason=f"{library} is not installed: pip install '.[integrations]'",
    )
