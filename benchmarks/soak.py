"""Many trials of a model that does nothing: what the runner needs beside the workers.

    python benchmarks/soak.py [TRIALS]          10,000 by default, about two hours

Prints, as JSON: the time of a trial, of that the worker's own (its start and imports, timed by
themselves, and its load and query spans) and what lies beyond; the runner's greatest memory; its
descriptors and children after the first and the last trial.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from permille.recorder import Recorder
from permille.store import Store
from permille.study import file
from permille.study.plan import make
from permille.study.runner import Runner

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
    "import permille.study.worker, permille.backends.python, permille.tasks.text_classification"
)


def main(trials: int) -> dict[str, Any]:
    """Run them all; the figures."""
    me = psutil.Process()
    ends: list[float] = []
    own: list[float] = []
    held: list[tuple[int, int]] = []
    status: dict[str, int] = {}

    def watch(what: str, event: Any) -> None:
        if what != "trial":
            return
        ends.append(time.monotonic())
        status[event.status] = status.get(event.status, 0) + 1
        own.append(sum(p.seconds for n, p in event.phases.items() if n in ("load", "query")))
        held.append((me.num_fds(), len(me.children(recursive=True))))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nothing.py").write_text("def nothing(text):\n    return text\n")
        lines = [json.dumps({"text": word, "label": word}) for word in ("a", "b")]
        (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
        (folder / "soak.toml").write_text(STUDY.format(repeats=min(trials, 10_000)))
        plan = make(file.read(folder / "soak.toml"))
        with Store(folder / "soak.db") as store, Recorder() as recorder:
            began = time.monotonic()
            Runner(plan, store, recorder, watch).run()
        size = (folder / "soak.db").stat().st_size
    walls = [b - a for a, b in zip([began, *ends], ends, strict=False)]
    start_s = median(_start_s() for _ in range(10))
    beyond = [wall - start_s - spans for wall, spans in zip(walls, own, strict=True)]
    tenth = max(1, len(beyond) // 10)
    return {
        "trials": len(ends),
        "status": status,
        "trial_s": median(walls),
        "worker_start_s": start_s,
        "worker_spans_s": median(own),
        "beyond_s": median(beyond),
        "beyond_first_tenth_s": median(beyond[:tenth]),
        "beyond_last_tenth_s": median(beyond[-tenth:]),
        "runner_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        "descriptors": [held[0][0], held[-1][0]],
        "children": [held[0][1], held[-1][1]],
        "store_mb": size / 1e6,
        "load_average": os.getloadavg()[0],
    }


def _start_s() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-P", "-c", IMPORTS], check=True)
    return time.monotonic() - began


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000), indent=2))
