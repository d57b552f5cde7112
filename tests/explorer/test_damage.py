"""What of a store could not be read is said above every view of the page."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from permille.explorer import static_file
from tests.explorer.conftest import HOSTILE, Tab, lent, trials, until

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import Page

LOST = [t.uid for t in trials() if t.cell.model in ("big", HOSTILE)]
SHOWN = 5


@pytest.fixture(scope="module")
def damaged(store: Path, built: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store with bodies that no longer are what was written."""
    path = tmp_path_factory.mktemp("damaged") / "spoilt.db"
    shutil.copy(store, path)
    with sqlite3.connect(path) as db:
        for uid in LOST:
            db.execute("UPDATE trial SET body = zeroblob(20) WHERE uid = ?", (uid,))
    db.close()
    return path


@pytest.fixture(scope="module")
def damaged_file(damaged: Path) -> Path:
    file = damaged.with_suffix(".html")
    file.write_bytes(static_file.page(damaged).content)
    return file


@pytest.fixture
def damaged_tab(file_page: Page, damaged_file: Path) -> Iterator[Tab]:
    yield from lent(file_page, damaged_file.as_uri())


@pytest.mark.parametrize("view", ["overview", "table", "about"])
def test_damage_is_said_above_every_view(damaged_tab: Tab, damaged: Path, view: str) -> None:
    damaged_tab.go(f"view={view}")
    warning = damaged_tab.page.locator(".damage[role=alert]")
    assert warning.count() == 1
    text = warning.inner_text()
    assert f"The store {damaged.name} is damaged. Could not be read:" in text
    assert "permille store repair" in text


def test_each_thing_that_is_lost_is_named_up_to_a_few(damaged_tab: Tab, damaged: Path) -> None:
    lines = list(dict.fromkeys(static_file.page(damaged).damage))
    assert len(lines) > SHOWN
    damaged_tab.go("view=table&origin=store")
    shown = damaged_tab.page.locator(".damage[role=alert] li").all_inner_texts()
    assert shown == [*lines[:SHOWN], f"… and {len(lines) - SHOWN} more like it"]
    assert any(HOSTILE[:20] in line for line in shown)
    assert damaged_tab.page.title() != "owned"
    assert damaged_tab.said == []


def test_a_sound_store_says_nothing_of_damage(file_tab: Tab) -> None:
    file_tab.go("view=table")
    until(lambda: "All figures" in file_tab.text())
    assert file_tab.page.locator(".damage[role=alert]").count() == 0
