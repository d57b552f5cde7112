"""Where the raw data lies beside the checkout, for the tests that check against it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("PERMILLE_SHARED") or Path(__file__).parents[2] / "shared") / "data"


def shared(name: str) -> Path:
    """A file of the shared data; the test is skipped where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs {name}, which is not part of the repository")
    return path
