"""What the explorer weighs and how long it takes: run by hand, `python benchmarks/explorer.py`.

Page weight; time to the first chart in headless Chromium (median of 5, from navigation to the
first point on screen) with the shipped aggregates and with 824 that have ``--trials`` behind them;
the times of reading such a store and of a filtered query. ``--sliders`` times the page of 15,000
cells: a setting is moved, and what the page's thread computes for it is counted in processor time,
which other work on the machine changes little, beside the time until the frame that shows it.
``--rows 10000000`` does the same
questions on a store of that many trials in 15,000 cells, which takes 15 minutes and 20 GB to fill.
``--served 45000`` only serves a store of that many trials in 15,000 cells, and shows how soon the
page and its figures are answered, twice: the figures are read anew when the store changes.
``--json FILE`` adds what these two find to a file, under the name given by ``--run``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import large_store
import psutil
from tests.explorer.tiled import tiled

from permille.analysis.study_cells import from_trials
from permille.explorer import cells, document, static_file
from permille.explorer.figures import Figures
from permille.explorer.page import self_contained
from permille.explorer.rows import Rows, question
from permille.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

REPEATS = 5
CELLS = 512  # with the 312 shipped ones, 824
MANY_CELLS = 15_000
BATCH = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=0, help="ask a store of so many trials, too")
    parser.add_argument("--sliders", action="store_true", help="time the sliders alone")
    parser.add_argument(
        "--served", type=int, default=0, help="only serve a store of so many trials"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep what these two find")
    parser.add_argument("--run", default="now", help="under this name")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"load of the machine as it began: {load:.1f} on {os.cpu_count()} cores")
    if args.sliders or args.served:
        with tempfile.TemporaryDirectory() as folder:
            found: dict[str, Any] = {"load": round(load, 1)}
            if args.sliders:
                found["sliders"] = sliders(Path(folder))
            if args.served:
                found["served"] = served(Path(folder) / "served.db", args.served)
        if args.json:
            keep(args.json, args.run, found)
        return
    with tempfile.TemporaryDirectory() as folder:
        pages(Path(folder), args.trials)
    if args.rows:
        with tempfile.TemporaryDirectory() as folder:
            questions(Path(folder) / "rows.db", args.rows)


def keep(path: Path, run: str, found: dict[str, Any]) -> None:
    known = json.loads(path.read_text()) if path.exists() else {}
    known[run] = found
    path.write_text(json.dumps(known, indent=2) + "\n")


def pages(folder: Path, trials: int) -> None:
    """Weights and first charts."""
    shipped = folder / "shipped.html"
    shipped.write_bytes(static_file.page(None).content)
    weigh("file, shipped study", shipped)
    path = folder / "many.db"
    fill(path, trials, CELLS)
    raw_s, _ = timed(lambda: raw(path))
    print(f"{trials:,} trials read one by one: {raw_s:.2f} s")
    read_s, shown = timed(lambda: cells.shipped() + cells.of_store(path))
    print(f"the same through the roll-up, {len(shown)} cells: {read_s:.2f} s")
    text = document.encode(document.document(shown, store=path.name))
    print(f"document of {len(shown)} cells: {len(text) / 1000:,.0f} kB")
    many = folder / "many.html"
    many.write_bytes(static_file.page(path).content)
    weigh(f"file, {len(shown)} cells, {trials:,} trials", many)
    first_charts(
        {"shipped study": shipped, f"{len(shown)} cells, {trials:,} trials behind them": many}
    )


def questions(path: Path, rows: int) -> None:
    """Times of answers from a store of many trials."""
    fill(path, rows, MANY_CELLS)
    print(f"the store of {rows:,} trials: {path.stat().st_size / 1e9:.1f} GB")
    read_s, shown = timed(lambda: cells.of_store(path))
    print(f"its {len(shown):,} cells from the roll-up: {read_s:.2f} s")
    load_s, table = timed(lambda: Rows(shown))
    print(f"the table of them: {load_s:.2f} s (once for each state of the store)")
    for what, asked in (
        ("one task", {"task": "task-3", "region": "FRA"}),
        ("a search", {"search": "model-77", "boundary": "facility", "pue": "1.3"}),
        ("all of them", {}),
    ):
        put = question(asked)
        found = [timed(lambda put=put: table.records(put)) for _ in range(REPEATS)]
        print(f"{what}: {len(found[0][1]):,} rows in {1000 * median(found):.0f} ms")
    table.close()
    figures = Figures(path)
    opened_s, _ = timed(figures.state)
    print(f"permille explore opens it, the first time: {opened_s:.1f} s")
    group = figures.state().cells[-1]
    found = [timed(lambda: figures.trials(group.id)) for _ in range(REPEATS)]
    print(f"the newest trials of one cell: {1000 * median(found):.0f} ms")


SLIDE = """
([name, from, to, moves]) => new Promise(done => {
  const slider = document.getElementById(name), times = [];
  const step = i => {
    if (i === moves) return done(times.slice(2));
    const start = performance.now();
    slider.value = String(i % 2 ? from : to);
    slider.dispatchEvent(new Event("input", {bubbles: true}));
    // A message that is sent within a frame arrives when that frame is drawn.
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => {
        times.push(performance.now() - start);
        setTimeout(() => step(i + 1), 30);
      };
      channel.port2.postMessage(null);
    });
  };
  step(0);
})
"""
MOVES = 12  # the first two of which are not in the median
HEAP_MB = "performance.memory.usedJSHeapSize / 1e6"
PUE = ("f-pue", 1.1, 1.9)
VIEWS = ("overview", "size", "quality", "compare", "breakeven", "breakdown", "table", "whatif")
SLIDERS = {**dict.fromkeys(VIEWS, PUE), "whatif, requests a day": ("w-slide", 4, 7)}
"""By view: a slider, and two of its places."""


def sliders(folder: Path) -> list[dict[str, Any]]:
    """From a slider's movement to the frame that shows it, with 15,000 cells; the page's memory."""
    from playwright.sync_api import sync_playwright

    page_file = folder / "many.html"
    page_file.write_text(self_contained(document.encode(tiled(MANY_CELLS))), encoding="utf-8")
    weigh(f"file, {MANY_CELLS:,} cells", page_file)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            # As root, Chromium does not start with its sandbox (https://crbug.com/638180). Without
            # the second, performance.memory is coarse, and not of this moment.
            args=["--no-sandbox", "--enable-precise-memory-info"],
        )
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        asked = page.context.new_cdp_session(page)
        # By default it is the time that passes, with other programs' turns in it.
        asked.send("Performance.enable", {"timeDomain": "threadTicks"})
        found = [slid(page, asked, page_file, view) for view in SLIDERS]
        browser.close()
    return found


def slid(page: Page, asked: CDPSession, file: Path, view: str) -> dict[str, Any]:
    """One slider in one view: medians of :data:`REPEATS` rows of moves."""
    start = time.perf_counter()
    # An address that differs in its hash alone would not load the page anew.
    page.goto("about:blank")
    page.goto(f"{file.as_uri()}#view={view.partition(',')[0]}&unit=co2e&boundary=compute")
    while not page.evaluate("Boolean(window.permille)"):
        time.sleep(0.01)
    loaded_s = time.perf_counter() - start
    page.wait_for_timeout(500)
    # By the second time, what runs often is compiled.
    moves = [*SLIDERS[view], MOVES]
    page.evaluate(SLIDE, moves)
    cpu_ms, frame_ms = [], []
    for _ in range(REPEATS):
        before_s = thread_s(asked)
        frame_ms.append(statistics.median(page.evaluate(SLIDE, moves)))
        cpu_ms.append(1000 * (thread_s(asked) - before_s) / MOVES)
    used_mb = page.evaluate(HEAP_MB)
    asked.send("HeapProfiler.collectGarbage")
    kept_mb = page.evaluate(HEAP_MB)
    cpu, frame = statistics.median(cpu_ms), statistics.median(frame_ms)
    print(
        f"{view}: loaded in {loaded_s:.1f} s; a slider: CPU {cpu:.0f} ms, to the frame"
        f" {frame:.0f} ms; {used_mb:.0f} MB, {kept_mb:.0f} MB without garbage",
        flush=True,
    )
    figures = {"cpu_ms": cpu, "frame_ms": frame, "heap_mb": used_mb, "kept_mb": kept_mb}
    return {"view": view, **{name: round(value, 1) for name, value in figures.items()}}


def thread_s(asked: CDPSession) -> float:
    """Processor time of the page's thread so far."""
    metrics = asked.send("Performance.getMetrics")["metrics"]
    return next(float(each["value"]) for each in metrics if each["name"] == "TaskDuration")


def median(found: list[tuple[float, Any]]) -> float:
    return statistics.median(seconds for seconds, _ in found)


def raw(path: Path) -> int:
    with Store(path, readonly=True) as store:
        return len(from_trials(store.trials()).cells)


def weigh(what: str, path: Path) -> None:
    data = path.read_bytes()
    print(f"{what}: {len(data) / 1000:,.0f} kB, {len(gzip.compress(data)) / 1000:,.0f} kB gzipped")


def timed(what: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    found = what()
    return time.perf_counter() - start, found


def fill(path: Path, trials: int, count: int) -> None:
    """A store of so many trials in ``count`` cells."""
    part = large_store.Part.of(0, 1, trials, count)
    for took in large_store.fill(path, part, BATCH, large_store.made):
        print(f"{took.step} {trials:,} trials: {took.seconds:.0f} s, CPU {took.cpu_s:.0f} s")


def served(path: Path, trials: int) -> dict[str, Any]:
    """How soon the server answers, with MANY_CELLS."""
    fill(path, trials, MANY_CELLS)
    words = ["explore", "--no-open", "--port", "0", "--store", str(path)]
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "permille", *words], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://\S+/", process.stdout.readline())
            assert address is not None
            listens_s = time.perf_counter() - start
            used = psutil.Process(process.pid)
            found: dict[str, Any] = {"trials": trials, "listens_s": round(listens_s, 2)}
            print(f"{MANY_CELLS:,} cells: listens after {listens_s:.2f} s")
            for what, name in (
                ("page", ""),
                ("figures", "document.json"),
                ("figures_again", "document.json"),
            ):
                if what == "figures_again":
                    os.utime(path)
                asked, cpu_s = time.perf_counter(), sum(used.cpu_times()[:2])
                asking = urllib.request.Request(address[0] + name, headers=AS_BROWSERS)
                urllib.request.urlopen(asking).read()
                taken_s, cpu_s = time.perf_counter() - asked, sum(used.cpu_times()[:2]) - cpu_s
                found |= {f"{what}_s": round(taken_s, 2), f"{what}_cpu_s": round(cpu_s, 2)}
                print(f"{what}: {taken_s:.2f} s, CPU {cpu_s:.2f} s")
            found["memory_mb"] = round(used.memory_info().rss / 1e6)
            print(f"{found['memory_mb']} MB")
        finally:
            process.terminate()
    return found


# urllib asks for no compression; a browser waits for it, too.
AS_BROWSERS = {"accept-encoding": "gzip"}


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
