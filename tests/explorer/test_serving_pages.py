"""Tokens and answers on a model's page, in Chromium, as the command line gives them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Permille
from tests.explorer import sweep
from tests.explorer.conftest import Tab, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sweep.write(tmp_path_factory.mktemp("sweep") / "sweep.db")


@pytest.fixture
def page(browser: Browser, swept: Path, built: None) -> Iterator[Tab]:
    """The store as a file."""
    from permille.explorer import static_file

    file = swept.with_name("sweep.html")
    if not file.exists():
        file.write_bytes(static_file.page(swept).content)
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    yield Tab(opened, file.as_uri())
    opened.close()


def test_a_models_page_has_the_command_lines_figures_of_tokens_and_answers(
    page: Tab, permille: Permille, swept: Path
) -> None:
    printed = permille("results", "--store", str(swept), "--task", "text-classification").out
    assert "9.5 mJ [9.26 mJ, 9.74 mJ]" in printed
    page.go(f"view=model&model={sweep.MODEL}, concurrency = 4")
    until(lambda: "Tokens and answers" in page.text())
    lines = {
        row.split("\t")[0]: row.split("\t")[1:]
        for row in page.page.locator("table", has_text="Of one token").inner_text().splitlines()
    }
    assert lines["Energy per output token"] == ["9.5 mJ", "9.26 mJ to 9.74 mJ"]
    assert lines["An output token by itself"][0] == "10 mJ"
    assert lines["Time to the first token, p95"][0] == "500 ms"
    assert lines["Successful answers per second"][0] == "100"
    assert "Reasoning tokens of an answer" not in lines
    page.go("view=model&model=plain")
    until(lambda: "What it rests on" in page.text())
    assert "Tokens and answers" not in page.text()
    assert page.said == []
