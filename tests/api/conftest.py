"""This process on a machine of known power."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.powercap import Driver


@pytest.fixture
def machine(
    powercap: Driver, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Driver]:
    """This process is on the machine that draws 60 W."""
    for name in ("PERMILLE_POWERCAP", "PERMILLE_METERS", "TMPDIR"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.setattr("tempfile.tempdir", None)
    yield powercap
    monkeypatch.setattr("tempfile.tempdir", None)
