from __future__ import annotations

import json

import pytest

from permille import presets
from permille.cli import dispatch
from permille.errors import StudyError


def test_the_table_names_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["presets"]) == 0
    out = capsys.readouterr().out
    assert all(name in out and presets.describe(name) in out for name in presets.names())


def test_one_preset_is_printed_as_the_file_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["presets", "quickstart"]) == 0
    assert capsys.readouterr().out == presets.text("quickstart")


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["presets", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["schema"] == 1
    assert [row["name"] for row in shown["presets"]] == presets.names()


def test_one_that_is_not_there() -> None:
    with pytest.raises(StudyError, match="no preset 'nothing'"):
        dispatch(["presets", "nothing"])
