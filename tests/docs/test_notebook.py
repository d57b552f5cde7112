"""The page as a notebook: its cells in a real kernel, and what a reader sees."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from tests.conftest import PATIENCE_S
from tests.docs.pages import DOCS
from tests.notebook.conftest import fill
from tests.powercap import Driver

pytestmark = [pytest.mark.measuring, pytest.mark.slow]


def test_the_cells_run_and_show_their_results(
    powercap: Driver, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbconvert.exporters import HTMLExporter
    from nbconvert.preprocessors import ExecutePreprocessor

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    fill(tmp_path / "permille.db")
    page = (DOCS / "notebook.md").read_text(encoding="utf-8")
    cells = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    ExecutePreprocessor(timeout=PATIENCE_S).preprocess(
        notebook, {"metadata": {"path": str(tmp_path)}}
    )
    kinds = [
        {kind for output in cell.outputs for kind in output.get("data", {})}
        for cell in notebook.cells
    ]
    html = {"text/html", "text/plain"}
    image = {"image/png", "text/plain"}
    assert kinds == [set(), html, html, image, html, html, html, image]
    assert notebook.cells[1].outputs[0].data["text/plain"].startswith("<Result 'cell': ")
    shown, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    text = unescape(re.sub(r"<[^>]+>", " ", shown))
    assert "per 1,000 inferences" in text
    assert "measured · compute · 3 spans of " in text
    assert "Energy of SmolLM2 over that of MiniLM" in text
