"""The quick start's real models and data, for tests; ``make install`` fetches them."""

from __future__ import annotations

import pytest

from permille import assets

needed = pytest.mark.skipif(
    any(state.state != "present" for state in assets.states("quickstart")),
    reason="not fetched: permille assets fetch quickstart",
)
