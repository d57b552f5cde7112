"""The line that shows which run is going on."""

from __future__ import annotations

import io
import sys

import pytest

from permille.cli.run_progress import RunProgress
from permille.measure.commands import CommandLine
from tests.cli.test_gate_looks import runs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard error is a terminal. (A fixture would come before pytest's own capturing.)"""
    opened = Terminal()
    monkeypatch.setattr(sys, "stderr", opened)
    return opened


def line(name: str) -> CommandLine:
    return CommandLine(name=name, words=(name,))


def test_on_a_terminal_the_line_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    progress = RunProgress([line("old"), line("new\x1b[31m")], None)
    progress.before(0, 0, [[], []])
    progress.before(1, 12, [runs(0.25), runs(0.5)])
    progress.close()
    first, second = terminal.getvalue().removesuffix("\n").split("\r\x1b[K")[1:]
    assert first.strip() == "run 1: old"
    assert second.strip() == "run 13: new [31m, 500 ms at most each"


def test_nothing_is_shown_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    RunProgress([line("old")], None).before(0, 0, [[]])
    assert capsys.readouterr().err == ""


def test_nothing_is_shown_of_a_single_run(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    progress = RunProgress([line("old")], 1)
    progress.before(0, 0, [[]])
    progress.close()
    assert terminal.getvalue() == ""
