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


def line(name: str) -> CommandLine:
    return CommandLine(name=name, words=(name,))


def test_on_a_terminal_the_line_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    progress = RunProgress([line("old"), line("new\x1b[31m")], None)
    progress.before(0, 0, [[], []])
    progress.before(1, 12, [runs(0.25), runs(0.5)])
    progress.close()
    written = sys.stderr.getvalue()  # type: ignore[attr-defined]
    first, second = written.removesuffix("\n").split("\r\x1b[K")[1:]
    assert first.strip() == "run 1: old"
    assert second.strip() == "run 13: new [31m, 500 ms at most each"


def test_nothing_is_shown_elsewhere_or_of_one_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    RunProgress([line("old")], None).before(0, 0, [[]])
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys, "stderr", Terminal())
    progress = RunProgress([line("old")], 1)
    progress.before(0, 0, [[]])
    progress.close()
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]
