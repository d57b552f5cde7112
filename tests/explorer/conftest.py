"""A store with everything awkward in it, the explorer served from it, and a browser."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec
import pytest

from permille.errors import UsageError
from permille.explorer.page import asset
from permille.records.answers import Latency, Quality
from permille.records.cell import ModelFacts
from permille.records.energy import Phase, Problem
from permille.records.machine import Environment
from permille.records.recording import RecorderStats, Recording, Series, Span
from permille.records.trial import Protocol, Trial
from permille.store import Raw, Store
from tests.conftest import PATIENCE_S
from tests.explorer import sweep
from tests.records import cell, domain, joules, trial

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
QUOTES = "\"'=cmd|' /C calc'!A0"
RIGHT_TO_LEFT = "evil\u202egpj.exe"
ENDLESS = "n" * 10_000
FORMULA = "=HYPERLINK(1)"
SCREEN: ViewportSize = {"width": 1280, "height": 900}
CHROMIUM = ("chromium-headless-shell", "chromium", "chromium-browser")
"""The first that is here is driven. The engine is the same; without the windows around a page, the
tests take two thirds of the processor time."""


def _repeats(
    model: str,
    energies: list[float],
    category: str,
    params: int,
    score: float,
    **changed: Any,
) -> list[Trial]:
    plain: dict[str, Any] = {
        "cell": cell(model, category=category),
        "latency": Latency(p50=0.01, p95=0.02, mean=0.011, n=1000),
        "quality": Quality(metric="accuracy", value=score, n=200, standard_error=0.02),
        "facts": ModelFacts(params=params),
        "device": "a CPU",
        "environment": Environment(fingerprint="machine", facts={"cpu": "a CPU"}),
        "protocol": Protocol(inferences=1000, batch_size=1),
    }
    return [
        trial(
            energy_j,
            model=model,
            repeat=i,
            idle_j=energy_j / 4,
            uid=f"{model[:40]}-{i}",
            **(plain | changed),
        )
        for i, energy_j in enumerate(energies)
    ]


def trials() -> list[Trial]:
    """Two models to compare, one with a single run, one that failed, and hostile names."""
    found = _repeats("small", [36.0, 37.0, 35.5, 36.4], "task-specific", 66_000_000, 0.9)
    found += [
        msgspec.structs.replace(one, session="one", block=one.repeat)
        for one in _repeats("big", [800.0, 830.0, 790.0], "general-purpose", 7_000_000_000, 0.93)
    ]
    found += _repeats("lonely", [50.0], "task-specific", 110_000_000, 0.88)
    for i, name in enumerate((HOSTILE, QUOTES, RIGHT_TO_LEFT, ENDLESS, FORMULA)):
        found += _repeats(name, [60.0 + i, 61.0 + i], "task-specific", 1_000_000 * (i + 1), 0.5)
    found += _repeats(
        "copy",
        [41.0, 42.0],
        "task-specific",
        66_000_000,
        0.0,
        quality=None,
        facts=ModelFacts(params=66_000_000, weights="replica"),
        cell=cell("copy", settings={"weights": "replica"}),
    )
    # Another tool's figure under the same study's name, and a machine of another kind.
    found += _repeats("imported", [300.0, 310.0], "task-specific", 10, 0.7, source="codecarbon")
    elsewhere = Environment(fingerprint="elsewhere", facts={"cpu": "another CPU"})
    found += _repeats(
        "far", [20.0, 21.0], "task-specific", 9, 0.7, environment=elsewhere, device="another CPU"
    )
    # A task and a metric that the explorer knows nothing of.
    found += _repeats(
        "babbler",
        [90.0, 91.0],
        "general-purpose",
        8_000_000,
        0.0,
        cell=cell("babbler", task="olfaction", dataset="smells", category="general-purpose"),
        quality=Quality(metric="perplexity", value=23.4, n=50, standard_error=0.5),
    )
    # Of whose CPU nothing is known: it has a figure within accelerator alone.
    gpu = Phase(
        seconds=10.0,
        domains={"gpu:0": joules(500.0, "gpu")},
        problems={"cpu:0": Problem(reason="no counter", kind="cpu")},
        inferences=1000,
    )
    found += _repeats("half", [1.0, 1.0], "task-specific", 8, 0.6, phases={"query": gpu})
    found.append(
        trial(model="broken", uid="broken-0", status="failed", reason="boom <b>", phases={})
    )
    return found


def _raw() -> Raw:
    """20 s at 10 readings a second: 5 W, and 50 W from the 10th second on."""
    ticks = range(201)
    t_ns = tuple(i * 100_000_000 for i in ticks)
    energy_j = tuple(min(i, 100) * 0.5 + max(0, i - 100) * 5.0 for i in ticks)
    return Raw(
        recording=Recording(
            series=(Series(domain=domain(), t_ns=t_ns, energy_j=energy_j),),
            events=(),
            stats=RecorderStats(cpu_s=0.1, wall_s=20.0, polls=200, missed=0, interval_s=0.1),
        ),
        spans=(
            Span(name="idle", t0_ns=0, t1_ns=10_000_000_000),
            Span(name="query", t0_ns=10_000_000_000, t1_ns=20_000_000_000),
        ),
    )


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explorer") / "figures.db"
    with Store(path) as opened:
        opened.add_many((t, _raw() if t.uid == "small-3" else None) for t in trials())
    return path


@pytest.fixture(scope="session")
def built() -> None:
    try:
        asset("explorer.js")
    except UsageError as error:
        pytest.skip(str(error))


class Served:
    """A running ``permille explore``."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.address = f"http://127.0.0.1:{port}/"

    def ask(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request; ``headers`` may name another Host."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        said = {"Host": f"127.0.0.1:{self.port}"} | (headers or {})
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in said.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, body


@contextlib.contextmanager
def serving(store: Path) -> Iterator[Served]:
    """``permille explore`` of a store, on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "permille", "explore", "--no-open", "--port", "0", "--store", store],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)/", line)
        assert found, line
        yield Served(int(found[1]))
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


@pytest.fixture(scope="session")
def served(store: Path, built: None) -> Iterator[Served]:
    with serving(store) as running:
        yield running


@pytest.fixture(scope="session")
def file(store: Path, built: None) -> Path:
    from permille.explorer import static_file

    path = store.with_name("figures.html")
    path.write_bytes(static_file.page(store).content)
    return path


@pytest.fixture(scope="module")  # its event loop would be in the way of other modules' own
def browser() -> Iterator[Browser]:
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        pytest.skip("there is no chromium here: apt-get install chromium-headless-shell")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=chromium,
            # In one process with what draws, a page takes a fifth less of the processor; without
            # the compiler for what runs long, a tenth.
            args=[
                *("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"),
                *("--in-process-gpu", "--js-flags=--no-turbofan"),
            ],
            env={k: v for k, v in os.environ.items() if k != "DISPLAY"},
        )
        yield opened
        opened.close()


DRAWN = "Boolean(document.querySelector('main[data-drawn]:not([aria-busy])'))"
"""Whether the view is drawn whose script may have been loaded first."""


# What a page that was just loaded would not have is undone: unfolded settings, open details, a
# scrolled window. A link, which the page follows as any other, makes it write what a slider may
# still have to write.
MOVE = """([address, language]) => {
  const to = new URL(address);
  if (!window.permille || permille.state.lang !== language) return false;
  if (to.origin !== location.origin || to.pathname !== location.pathname) return false;
  document.querySelectorAll('.bar > details').forEach(part => part.open = false);
  permille.main.dataset.view = '';
  if (to.href === location.href) permille.go(to.href);
  else {
    const link = document.createElement('a');
    link.href = to.href;
    document.body.append(link);
    link.click();
    link.remove();
  }
  document.activeElement.blur();
  scrollTo(0, 0);
  return true;
}"""


class Tab:
    """A page of the explorer, and everything that it complained of.

    Loading the page takes most of the time of a test that reads a view. It stays loaded from one
    test to the next, unless a test loads it itself.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.said: list[str] = []
        self._own = False
        self._heard: list[tuple[Any, Callable[[Any], None]]] = [
            ("console", lambda message: self.said.append(message.text)),
            ("pageerror", lambda error: self.said.append(str(error))),
        ]
        for event, hear in self._heard:
            page.on(event, hear)
        page.set_default_timeout(1e3 * PATIENCE_S)

    def leave(self) -> None:
        """Forget what the page kept, and hear no more of it."""
        if self.page.url != "about:blank":  # as it is where a test is skipped
            self.page.evaluate("localStorage.clear()")
        if self._own:
            self.page.goto("about:blank")
        for event, hear in self._heard:
            self.page.remove_listener(event, hear)

    def go(self, state: str = "view=overview") -> Tab:
        """Open a state as a link in the page does, or load the page if it is not there yet."""
        language = parse_qs(state).get("lang", [""])[0]
        if not self.page.evaluate(MOVE, [self._at(state), language]):
            self._load(state)
        until(lambda: self.page.evaluate(DRAWN))
        return self

    def load(self, state: str = "") -> Tab:
        """Load the page in a state, as a link from elsewhere does, for this test alone."""
        self._own = True
        self._load(state)
        until(lambda: self.page.evaluate(DRAWN))
        return self

    def _load(self, state: str) -> None:
        self.page.goto("about:blank")
        self.page.goto(self._at(state))

    def _at(self, state: str) -> str:
        mark = "#" if self.address.startswith("file:") else "?"
        return self.address + (mark + state if state else "")

    def unfold(self) -> Tab:
        """Open the settings and the filters."""
        self.page.evaluate(
            "document.querySelectorAll('.bar > details').forEach(d => d.open = true)"
        )
        return self

    @property
    def url(self) -> str:
        """The address as it is now; Playwright's own copy lags behind."""
        return str(self.page.evaluate("location.href"))

    def text(self) -> str:
        """All that can be read in the view."""
        return str(self.page.evaluate("document.querySelector('main').innerText"))

    def values(self, column: str) -> dict[str, float]:
        """The table's unrounded figures of a column, by model."""
        found = self.page.evaluate(
            """column => [...document.querySelectorAll('table.all tbody tr')].map(row =>
              [row.querySelector('th').innerText,
               row.querySelector(`td[data-column=${column}] [data-value]`)?.dataset.value])""",
            column,
        )
        return {model: float(value) for model, value in found if value is not None}


def until(met: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
    """Wait until ``met``: Playwright's own waiting compiles a function, which the page's policy
    forbids."""
    end = time.monotonic() + seconds
    pause_s = 0.02
    while not met():
        assert time.monotonic() < end, "the page never came to it"
        time.sleep(pause_s)
        pause_s = min(1.25 * pause_s, 0.2)  # to ask takes the processor that the page waits for


@pytest.fixture(scope="module")
def served_page(browser: Browser, served: Served) -> Iterator[Page]:
    context = browser.new_context(viewport=SCREEN)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def file_page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=SCREEN, offline=True)
    yield context.new_page()
    context.close()


def lent(page: Page, address: str) -> Iterator[Tab]:
    """A page as a new one would be: to open one takes longer than most tests need."""
    tab = Tab(page, address)
    yield tab
    tab.leave()
    page.set_viewport_size(SCREEN)
    page.emulate_media(media="null", color_scheme="null")


@pytest.fixture
def tab(served_page: Page, served: Served) -> Iterator[Tab]:
    yield from lent(served_page, served.address)


@pytest.fixture
def file_tab(file_page: Page, file: Path) -> Iterator[Tab]:
    """The file, opened with the network cut."""
    yield from lent(file_page, file.as_uri())


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sweep.write(tmp_path_factory.mktemp("sweep") / "sweep.db")


@pytest.fixture(scope="session")
def swept_file(swept: Path, built: None) -> Path:
    from permille.explorer import static_file

    file = swept.with_name("sweep.html")
    file.write_bytes(static_file.page(swept).content)
    return file
