"""CPU and wall time that each tool adds to an inference, and what permille's recorder takes."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accuracy import CONSTANT
from environments import HERE
from fake_machine import FakeMachine, Tool

WAYS = (
    ("permille", "whole"),
    ("permille", "one by one"),
    ("codecarbon", "whole"),
    ("codecarbon", "one by one"),
    ("zeus", "whole"),
    ("zeus", "one by one"),
    ("reads", "one by one"),
)


def measure(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Everything about added time."""
    work_1ms = _work_of(0.001)
    added = _added(quick, work_1ms, say)
    say("overhead: empty inferences")
    loop = empty_loop()
    say("overhead: instructions")
    instructions = instructions_per_inference()
    return {
        "added": added,
        "empty_loop_ns": loop,
        "instructions": instructions,
    }


def _added(quick: bool, work_1ms: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Seconds an inference beyond the bare loop: medians of repeats, the ways interleaved."""
    repeats = 3 if quick else 7
    cases = {
        "1 ms": (200 if quick else 500, work_1ms),
        "50 ms": (8 if quick else 20, 50 * work_1ms),
    }
    rows = []
    with FakeMachine(CONSTANT) as machine:
        names = list(dict.fromkeys(name for name, _ in WAYS))
        tools = {name: machine.tool(name) for name in names}
        try:
            for tool in tools.values():
                tool.ask(op="window", seconds=0.1)
            for case, (n, work) in cases.items():
                say(f"overhead: around {case}")
                found = _interleaved(tools, n, work, repeats)
                rows += [_added_row(case, n, *way, found[way]) for way in WAYS]
        finally:
            for tool in tools.values():
                tool.__exit__(None, None, None)
    return rows


def _interleaved(
    tools: dict[str, Tool], n: int, work: int, repeats: int
) -> dict[tuple[str, str], list[dict[str, float]]]:
    """Differences to the bare loop in the same process, taken before and after."""
    found: dict[tuple[str, str], list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(repeats):
        for name, way in WAYS:
            before, during, after = (
                tools[name].ask(op="time", way=one, n=n, work=work) for one in ("bare", way, "bare")
            )
            found[name, way].append(
                {key: during[key] - (before[key] + after[key]) / 2 for key in during}
                | {"bare_s": (before["wall_s"] + after["wall_s"]) / 2}
            )
    return found


def _added_row(
    case: str, n: int, tool: str, way: str, found: list[dict[str, float]]
) -> dict[str, Any]:
    cpu = sorted(1e6 * f["cpu_s"] / n for f in found)
    return {
        "inference": case,
        "n": n,
        "tool": tool,
        "way": way,
        "cpu_us": statistics.median(cpu),
        "cpu_us_least": cpu[0],
        "cpu_us_most": cpu[-1],
        "wall_us": statistics.median(1e6 * f["wall_s"] / n for f in found),
        "bare_us": statistics.median(1e6 * f["bare_s"] / n for f in found),
    }


def _work_of(seconds: float) -> int:
    """How much work takes so long here; every tool is given the same."""
    sys.path.insert(0, str(HERE / "tools"))
    from work import infer

    took = []
    for _ in range(20):
        began = time.perf_counter()
        infer(10_000)
        took.append(time.perf_counter() - began)
    return max(1, round(seconds / statistics.median(took) * 10_000))


def empty_loop(n: int = 200_000, repeats: int = 9) -> dict[str, float]:
    """Nanoseconds an empty inference, in the worker's loop and in the plainest one; the least of
    the repeats, which is the one least disturbed."""
    from permille.study.worker.queries import one_pass

    def nothing(request: int) -> None:
        return None

    requests = [0] * n

    def kept() -> None:
        one_pass(nothing, requests, array("q"), [])

    def plain() -> None:
        for request in requests:
            nothing(request)

    least: dict[str, float] = {}
    for _ in range(repeats):
        for name, loop in (("one_pass", kept), ("plain", plain)):
            began = time.perf_counter_ns()
            loop()
            took = (time.perf_counter_ns() - began) / n
            least[name] = min(took, least.get(name, took))
    return least | {"added": least["one_pass"] - least["plain"]}


COUNTED = """
import sys
from array import array
from permille.study.worker.queries import one_pass
def nothing(request): return None
requests = [0] * int(sys.argv[1])
if sys.argv[2] == "one_pass":
    one_pass(nothing, requests, array("q"), [])
else:
    for request in requests:
        nothing(request)
"""


def instructions_per_inference(few: int = 2_000, many: int = 22_000) -> dict[str, float] | None:
    """Instructions an empty inference, by callgrind: the difference of two lengths of the loop.
    None where there is no valgrind."""
    if shutil.which("valgrind") is None:
        return None
    found = {}
    for loop in ("one_pass", "plain"):
        # The least of three: the first run after a change writes bytecode, and that is counted too.
        least = [min(_instructions(n, loop) for _ in range(3)) for n in (few, many)]
        found[loop] = (least[1] - least[0]) / (many - few)
    return found | {"added": found["one_pass"] - found["plain"]}


def _instructions(n: int, loop: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
        subprocess.run(
            [*command, sys.executable, "-c", COUNTED, str(n), loop],
            check=True,
            capture_output=True,
            # Of a random seed, each run would look up str keys in another number of steps.
            env={"PYTHONHASHSEED": "0", "PATH": os.environ["PATH"]},
        )
        summary = next(x for x in out.read_text().splitlines() if x.startswith("summary:"))
    return int(summary.split()[1])
