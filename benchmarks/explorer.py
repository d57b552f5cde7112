"""What the explorer weighs and how long it takes: run by hand, `python benchmarks/explorer.py`.

Page weight, time to the first chart in headless Chromium (median of 5, from navigation to the
first point on screen) with the shipped aggregates and with 824 and more, and the times of reading
a store and of a filtered query. ``--trials N`` sets how many trials lie behind the store.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.records import cell, trial

from permille.explorer import cells, document, static_file
from permille.explorer.rows import Rows, question
from permille.store import Store

REPEATS = 5
CELLS = 512  # with the 312 shipped ones, 824


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    trials: int = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as folder:
        shipped = Path(folder) / "shipped.html"
        static_file.write(shipped)
        weigh("file, shipped study", shipped)
        path = Path(folder) / "many.db"
        fill(path, trials)
        read_s, shown = timed(lambda: cells.shipped() + cells.of_store(path))
        print(f"read {trials:,} trials into {len(shown)} cells: {read_s:.2f} s (once, then kept)")
        load_s, rows = timed(lambda: Rows(shown))
        asked = question({"task": "text-classification", "region": "FRA"})
        query_s = statistics.median(timed(lambda: rows.records(asked))[0] for _ in range(REPEATS))
        rows.close()
        print(f"rows: loaded in {load_s:.2f} s; a filtered query {1000 * query_s:.1f} ms")
        text = document.encode(document.document(shown, store=path.name))
        print(f"document of {len(shown)} cells: {len(text) / 1000:,.0f} kB")
        many = Path(folder) / "many.html"
        static_file.write(many, store=path)
        weigh(f"file, {len(shown)} cells, {trials:,} trials", many)
        first_charts({"shipped study": shipped, f"{len(shown)} cells": many})


def weigh(what: str, path: Path) -> None:
    data = path.read_bytes()
    print(f"{what}: {len(data) / 1000:,.0f} kB, {len(gzip.compress(data)) / 1000:,.0f} kB gzipped")


def timed(what: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    found = what()
    return time.perf_counter() - start, found


def fill(path: Path, trials: int) -> None:
    """A store of CELLS cells with as many repeats as come to the number of trials."""
    with Store(path) as store:
        store.add_many(
            (
                trial(
                    30.0 + i % CELLS + (i // CELLS % 7) / 10,
                    uid=str(i),
                    repeat=i // CELLS,
                    cell=cell(f"model-{i % CELLS}", id=f"cell-{i % CELLS}"),
                ),
                None,
            )
            for i in range(trials)
        )


def first_charts(files: dict[str, Path]) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        print("no chromium here: the first chart is not timed")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for what, path in files.items():
            found = []
            for _ in range(REPEATS):
                page = browser.new_page()
                start = time.perf_counter()
                page.goto(path.as_uri())
                while not page.evaluate("document.querySelectorAll('svg .pt > *').length"):
                    time.sleep(0.005)
                found.append(time.perf_counter() - start)
                page.close()
            print(f"first chart, {what}: {statistics.median(found):.2f} s")
        browser.close()


if __name__ == "__main__":
    main()
