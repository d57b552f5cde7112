"""Take ``docs/screenshots/`` anew: the explorer's views of the shipped study and of a run.

    permille run quickstart --store quickstart.db
    python scripts/screenshots.py quickstart.db

It needs Chromium. The run is the newest one of the store that has a recording.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from permille.explorer import static_file
from permille.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

TARGET = Path(__file__).resolve().parent.parent / "docs" / "screenshots"
TALLEST = 1_600
"""Pixels; what is below is cut."""
MODEL = "google/flan-t5-xl"
OTHER = "google/flan-t5-base"
TASK = "task=text-classification"

SHIPPED = "origin=shipped"
STATES = {
    "overview": SHIPPED,
    "size": f"view=size&{SHIPPED}",
    "quality": f"view=quality&{SHIPPED}&{TASK}",
    "compare": f"view=compare&{SHIPPED}&m={OTHER}&m={MODEL}",
    "whatif": f"view=whatif&{SHIPPED}",
    "map": f"view=whatif&{SHIPPED}&{TASK}",
    "breakeven": f"view=breakeven&{SHIPPED}",
    "breakdown": f"view=breakdown&{SHIPPED}",
    "table": f"view=table&{SHIPPED}",
    "about": "view=about",
    "model": f"view=model&{SHIPPED}&model={MODEL}",
    "run": "view=run&uid={uid}",
}
"""The address of each view, after the mark."""

Theme = Literal["light", "dark"]
LOOKS: dict[str, list[tuple[int, Theme]]] = {
    "overview": [(360, "light"), (360, "dark"), (768, "light"), (768, "dark"), (1440, "light")],
    "size": [(360, "light"), (1440, "light")],
    "quality": [(1440, "light"), (1440, "dark")],
    "compare": [(360, "light"), (1440, "light")],
    "whatif": [(360, "light"), (360, "dark"), (1440, "light")],
    "map": [(360, "dark"), (1440, "light")],
    "breakeven": [(768, "dark")],
    "breakdown": [(360, "light"), (1440, "light"), (1440, "dark")],
    "table": [(360, "dark"), (1440, "light")],
    "about": [(768, "dark")],
    "model": [(1440, "light")],
    "run": [(360, "dark"), (1440, "light")],
}
"""The width and theme of each picture of a view."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="a store with a run of the quick start")
    store: Path = parser.parse_args(arguments).store
    uid = recorded(store)
    with tempfile.TemporaryDirectory() as folder, browsed() as page:
        shipped, run = Path(folder) / "shipped.html", Path(folder) / "run.html"
        shipped.write_bytes(static_file.page(None).content)
        run.write_bytes(static_file.page(store).content)
        page.set_default_timeout(60_000)
        for view, looks in LOOKS.items():
            # The store's figures are those of the machine that takes the pictures.
            file = run if view == "run" else shipped
            state = STATES[view].format(uid=uid)
            for width, theme in looks:
                page.set_viewport_size({"width": width, "height": 900})
                page.emulate_media(color_scheme=theme)
                # An address that differs in its hash alone would not load the page anew.
                page.goto("about:blank")
                page.goto(f"{file.as_uri()}#{state}")
                taken = TARGET / f"{view}-{width}-{theme}.png"
                shoot(page, view, taken)
                print(taken.name)


def recorded(path: Path) -> str:
    """The newest finished trial that has a recording."""
    with Store(path, readonly=True) as store:
        for trial in reversed(list(store.trials(status="done"))):
            if store.raw(trial.uid) is not None:
                return trial.uid
    sys.exit(f"no trial in {path} has a recording: permille run quickstart --store {path}")


@contextmanager
def browsed() -> Iterator[Page]:
    """A page of Chromium."""
    program = shutil.which("chromium") or sys.exit("there is no chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, Chromium does not start with its sandbox (https://crbug.com/638180).
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


def shoot(page: Page, view: str, target: Path) -> None:
    """Take the view from its top, once its charts are drawn."""
    page.locator("main[data-drawn] h1").wait_for()
    if view == "map":
        page.click("#w-grids summary")
        page.locator("#w-grids svg .pt > *").first.wait_for()
        page.locator("#w-grids").evaluate("e => scrollTo(0, e.offsetTop)")
        page.screenshot(path=target)
        return
    # A chart is drawn after its view, when its width is known. Polled by evaluate: the page's
    # policy refuses the text that wait_for_function evaluates.
    empty = "document.querySelectorAll('main .canvas:empty').length"
    while page.evaluate(empty):
        time.sleep(0.05)
    width = page.evaluate("innerWidth")
    height = min(TALLEST, page.evaluate("document.documentElement.scrollHeight"))
    clip = {"x": 0, "y": 0, "width": width, "height": height}
    page.screenshot(path=target, full_page=True, clip=clip)


if __name__ == "__main__":
    main()
