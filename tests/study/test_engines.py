"""The choice of an engine on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from permille import plugins
from tests.conftest import Permille


def test_every_engine_that_ships_can_be_loaded_without_its_library() -> None:
    for name in plugins.names("engines"):
        engine = plugins.load("engines", name)
        assert callable(engine.check)
        assert callable(engine.run)


def test_an_engine_that_is_not_there_is_named_with_one_that_is(
    permille: Permille, study: Callable[..., Path]
) -> None:
    refused = permille("run", str(study("quick")), "--engine", "locla", code=2)
    assert "no engine 'locla'; did you mean 'local'?" in refused.err
