"""What a person does in the explorer, in Firefox."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.explorer.conftest import DRAWN, Served
from tests.explorer.conftest import until as until_
from tests.explorer.firefox import Firefox, opened

pytestmark = [pytest.mark.slow, pytest.mark.campaign]


def until(met: Callable[[], Any]) -> None:
    """Firefox takes longer than Chromium on a busy machine."""
    until_(met, 60)


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("there is no Firefox here: apt-get install firefox-esr")
    with opened(program, tmp_path_factory.mktemp("firefox")) as window:
        yield window


def go(firefox: Firefox, address: str) -> None:
    firefox.go("about:blank")
    firefox.go(address)
    until(lambda: firefox.ask(DRAWN))


def view(firefox: Firefox) -> str:
    return str(firefox.ask("document.querySelector('main').dataset.view"))


POINT = """(() => {
  const box = document.querySelector("figure svg .pt > *").getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
})()"""


def test_a_person_filters_and_opens_a_point(firefox: Firefox, served: Served) -> None:
    go(firefox, f"{served.address}?view=overview&origin=store")
    until(lambda: firefox.ask("document.querySelectorAll('figure svg .pt > *').length") > 3)
    firefox.ask("document.querySelectorAll('.bar > details').forEach(d => d.open = true)")
    firefox.type("#f-search", "small")
    until(lambda: "search=small" in firefox.ask("location.href"))
    until(lambda: firefox.ask("document.querySelectorAll('figure svg .pt > *').length") == 1)
    firefox.ask("document.querySelector('figure svg .pt').scrollIntoView({block: 'center'})")
    firefox.move(*firefox.ask(POINT))
    until(lambda: "small" in firefox.ask("document.querySelector('.tip').textContent"))
    firefox.move(*firefox.ask(POINT), click=True)
    until(lambda: view(firefox) == "model")
    firefox.command("WebDriver:Back")
    until(lambda: view(firefox) == "overview")


def test_the_table_is_sorted_and_taken_away(firefox: Firefox, served: Served) -> None:
    go(firefox, f"{served.address}?view=table&origin=store&search=small")
    firefox.ask("document.querySelector('.take').scrollIntoView({block: 'center'})")
    firefox.click(".take a[download], .take button")
    until(lambda: any(firefox.downloads.glob("*.csv")))
    (file,) = firefox.downloads.glob("*.csv")
    until(lambda: file.stat().st_size > 0)
    assert [row["model"] for row in csv.DictReader(file.read_text().splitlines())] == ["small"]
    go(firefox, f"{served.address}?view=table&origin=store")
    shown = "[...document.querySelectorAll('td[data-column=energy] [data-value]')]"
    values = f"{shown}.map(e => Number(e.dataset.value))"
    firefox.ask("[...document.querySelectorAll('thead button')]"
                ".find(b => /Energy/.test(b.textContent)).click()")  # fmt: skip
    until(lambda: "sort=energy" in firefox.ask("location.href"))
    assert firefox.ask(values) == sorted(firefox.ask(values))


def test_a_slider_and_the_theme(firefox: Firefox, served: Served) -> None:
    go(firefox, f"{served.address}?view=whatif&origin=store&search=small&day=1000")
    before = float(
        firefox.ask("document.querySelector('[data-figure=\"A year-kwh\"]').dataset.value")
    )
    firefox.ask("document.querySelector('#w-slide').scrollIntoView({block: 'center'})")
    firefox.type("#w-slide", "\ue010")  # End
    until(lambda: "day=10000000000" in firefox.ask("location.href"))
    after = float(
        firefox.ask("document.querySelector('[data-figure=\"A year-kwh\"]').dataset.value")
    )
    assert after == pytest.approx(before * 1e7)
    firefox.ask("scrollTo(0, 0)")
    ground = "getComputedStyle(document.body).backgroundColor"
    for _ in range(3):
        if firefox.ask("document.querySelector('#theme').textContent") == "Theme: dark":
            break
        firefox.click("#theme")
    assert firefox.ask(ground) == "rgb(20, 23, 27)"


def test_the_file_opens_its_views_without_loading_again(firefox: Firefox, file: Path) -> None:
    go(firefox, f"{file.as_uri()}#view=table&origin=store&search=small")
    firefox.ask("window.same = true")
    firefox.click("table.all tbody th a")
    until(lambda: view(firefox) == "model")
    assert firefox.ask("window.same") is True
    firefox.command("WebDriver:Back")
    until(lambda: view(firefox) == "table")
    assert firefox.ask("window.same") is True
