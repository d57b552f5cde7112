"""The commands of docs/formats.md, run as they stand there."""

from __future__ import annotations

from pathlib import Path

import pytest

from permille.cli import dispatch
from permille.records.answers import Quality
from permille.store import Store
from tests.docs.pages import commands
from tests.records import trial


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store with the model that the page names, in the folder of the commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PERMILLE_STORE", raising=False)
    score = Quality(metric="accuracy", value=0.8, n=150)
    with Store(tmp_path / "permille.db") as opened:
        for repeat in range(3):
            opened.add(trial(36.0 + repeat, model="MiniLM-L6 int8", repeat=repeat, quality=score))


@pytest.mark.slow
def test_the_commands_write_their_files(store: None, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A card\n")
    lines = commands("formats.md")
    for arguments in lines:
        assert dispatch(arguments) == 0
        (file,) = (
            word
            for word in arguments
            if word.endswith((".svg", ".html", ".md", ".yaml", ".json", ".jsonl", ".prom"))
        )
        assert "MiniLM" in (tmp_path / file).read_text(encoding="utf-8")
    assert {arguments[1] for arguments in lines} == {
        "badge", "label", "label-svg", "model-card", "model-index", "bencher",
        "github-action-benchmark", "prometheus", "boamps", "cyclonedx", "report", "eval-results",
        "otlp",
    }  # fmt: skip
