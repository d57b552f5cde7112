"""The script that judges what `make mutants` found."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("mutants")


@pytest.mark.parametrize(
    ("mutant", "function"),
    [
        ("permille.energy.x_edge_s__mutmut_6", "energy.edge_s"),
        ("permille.energy.x__edge_j__mutmut_12", "energy._edge_j"),
        (
            "permille.recorder.series.xǁSeriesBuilderǁ__init____mutmut_8",
            "recorder.series.SeriesBuilder.__init__",
        ),
    ],
)
def test_a_mutant_is_of_a_function(script: ModuleType, mutant: str, function: str) -> None:
    assert script.function_of(mutant) == function


DIFF = """\
# permille.energy.x_edge_s__mutmut_6: survived
--- src/permille/energy.py
+++ src/permille/energy.py
@@ -1,3 +1,3 @@
     sensor = domain.sensor
-        return A if domain.tick_s is None else "a tick"
+        return A if domain.tick_s is None else "{}"
     pass
"""


def test_a_change_is_the_lines_that_differ(script: ModuleType) -> None:
    change = script.change_of("permille.energy.x_edge_s__mutmut_6", DIFF.format("0"))
    assert change == (
        "energy.edge_s",
        'return A if domain.tick_s is None else "a tick"',
        'return A if domain.tick_s is None else "0"',
    )


@pytest.mark.parametrize(
    ("text", "alone"), [("XXa tickXX", True), ("A TICK", True), ("a lick", False), ("", False)]
)
def test_a_change_of_a_text_alone_is_told_from_others(
    script: ModuleType, text: str, alone: bool
) -> None:
    change = script.change_of("permille.energy.x_edge_s__mutmut_6", DIFF.format(text))
    assert change.in_text_alone == alone


def test_what_is_listed_as_equivalent_is_a_change_of_a_line_of_its_module(
    script: ModuleType,
) -> None:
    listed = script.equivalent()
    assert len(listed) > 10
    for change in listed:
        assert change.after != change.before
        parts = change.function.split(".")
        paths = (ROOT / "src/permille" / f"{'/'.join(parts[:i])}.py" for i in range(1, len(parts)))
        (source,) = (path.read_text(encoding="utf-8") for path in paths if path.is_file())
        lines = {line.strip() for line in source.splitlines()}
        assert set(change.before.splitlines()) <= lines, change
