"""Many trials of a model that does nothing: what the runner needs beside the workers.

    python benchmarks/soak.py [TRIALS]          10,000 by default, about an hour (Linux)

On a fake powercap tree, whose tick of 1 ms lets a query span be short. Prints, as JSON: the time of
a trial, and the processor time of runner and worker together; of that the worker's own (its start
and imports, timed by themselves all along, and its load and query spans) and what lies beyond; the
greatest memory of the runner, the memory of the recorder, descriptors and children of the runner
after the first and the last trial. Where it has got to goes to standard error; Ctrl-C ends it with
the figures of what was reached.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for tests.powercap, the fake machine

from tests.powercap import Constant, FakePowercap  # noqa: E402

from permille.recorder.client import Recorder  # noqa: E402
from permille.store import Store  # noqa: E402
from permille.study.plan import file  # noqa: E402
from permille.study.plan.grid import make  # noqa: E402
from permille.study.run.runner import Runner  # noqa: E402

STUDY = """
[study]
name = "soak"
inferences = 2
repeats = {repeats}
warmup = 0
idle_s = 0

[[models]]
id = "nothing"
backend = "python"
category = "task-specific"
callable = "nothing:nothing"

[[tasks]]
task = "text-classification"
datasets = [{{ path = "rows.jsonl", text = "text", label = "label" }}]
"""
IMPORTS = (
    "import permille.study.worker.main, permille.backends.python,"
    " permille.tasks.text_classification"
)
EVERY = 100
"""Trials between two timings of a worker's start, and two lines of progress."""


class Watch:
    """What is seen of the run: one entry a trial."""

    def __init__(self) -> None:
        self._me = psutil.Process()
        self.walls: list[float] = []
        self.own: list[float] = []
        self.starts = [_start_s()]
        self.held: list[dict[str, Any]] = []
        self.loads: list[float] = []
        self.status: dict[str, int] = {}
        self.began = time.monotonic()
        self.cpu = [_cpu_s()]

    def __call__(self, what: str, event: Any) -> None:
        """One event of the runner."""
        if what != "trial":
            return
        self.walls.append(time.monotonic() - self.began)
        self.status[event.status] = self.status.get(event.status, 0) + 1
        self.cpu.append(_cpu_s())
        self.own.append(sum(p.seconds for n, p in event.phases.items() if n in ("load", "query")))
        if len(self.walls) == 1 or len(self.walls) % EVERY == 0:
            self.look()
        self.began = time.monotonic()

    def look(self) -> None:
        """What the runner holds now, how long a worker's start takes now, and the load."""
        children = self._me.children(recursive=True)
        recorders = [c for c in children if "permille.recorder.server" in c.cmdline()]
        self.held.append({
            "descriptors": self._me.num_fds(),
            "children": len(children),
            "runner_mb": round(self._me.memory_info().rss / 1e6, 1),
            "recorder_mb": round(sum(c.memory_info().rss for c in recorders) / 1e6, 1),
        })  # fmt: skip
        self.starts.append(_start_s())
        self.loads.append(os.getloadavg()[0])
        print(len(self.walls), self.status, self.held[-1], file=sys.stderr, flush=True)


def main(trials: int) -> dict[str, Any]:
    """Run them all; the figures."""
    # As an installed package has it: modules are compiled once, not at every worker's start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree = FakePowercap(folder / "powercap", dram=False, limit_w=75.0)
        settings = {"PERMILLE_METERS": "rapl", "PERMILLE_POWERCAP": str(tree.root)}
        with (
            mock.patch.dict(os.environ, settings),
            mock.patch.object(tempfile, "tempdir", name),  # a lock of its own
            tree.drive({"cpu:0": Constant(60.0)}),
        ):
            watch = _run(folder, trials)
        size = (folder / "soak.db").stat().st_size
    return _figures(watch, size)


def _run(folder: Path, trials: int) -> Watch:
    (folder / "nothing.py").write_text("def nothing(text):\n    return text\n")
    lines = [json.dumps({"text": word, "label": word}) for word in ("a", "b")]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "soak.toml").write_text(STUDY.format(repeats=trials))
    plan = make(file.read(folder / "soak.toml"))
    with Store(folder / "soak.db") as store, Recorder() as recorder:
        watch = Watch()
        with contextlib.suppress(KeyboardInterrupt):
            Runner(plan, store, recorder, watch).run()
            watch.look()
    return watch


def _figures(watch: Watch, store_bytes: int) -> dict[str, Any]:
    start_s = median(watch.starts)
    beyond = [wall - start_s - own for wall, own in zip(watch.walls, watch.own, strict=False)]
    tenth = max(1, len(beyond) // 10)
    hwm = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert hwm is not None
    return {
        "trials": len(watch.walls),
        "status": watch.status,
        "hours": sum(watch.walls) / 3600,
        "trial_s": median(watch.walls),
        "cpu_s": median(after - before for before, after in pairwise(watch.cpu)),
        "worker_start_s": start_s,
        "worker_spans_s": median(watch.own),
        "beyond_s": median(beyond),
        "beyond_first_tenth_s": median(beyond[:tenth]),
        "beyond_last_tenth_s": median(beyond[-tenth:]),
        "runner_peak_mb": int(hwm.group(1)) * 1024 / 1e6,
        "first": watch.held[0],
        "last": watch.held[-1],
        "store_mb": store_bytes / 1e6,
        "load_average": {"median": median(watch.loads), "greatest": max(watch.loads)},
        "processors": os.cpu_count(),
    }


def _cpu_s() -> float:
    """Processor time of the runner and of the workers that have ended; on a busy machine it says
    more than the time on the clock."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _start_s() -> float:
    began = time.monotonic()
    # With -P, as the runner starts a worker.
    subprocess.run([sys.executable, "-P", "-c", IMPORTS], check=True)
    return time.monotonic() - began


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000), indent=2))
