"""What the tools' scripts share: fixed work, and a loop that does what it is asked by JSON lines.

Runs in each tool's own environment: the standard library only.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Way = Callable[[int, int], None]
"""Runs ``n`` inferences of so much work, under a tool."""


def infer(work: int) -> int:
    """An inference: a fixed number of instructions."""
    x = 1
    for _ in range(work):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return x


def bare(n: int, work: int) -> None:
    """The inferences, and nothing around them."""
    for _ in range(n):
        infer(work)


def sleep_window(seconds: float) -> tuple[int, int]:
    """Waits, and says from when to when (ns of CLOCK_MONOTONIC)."""
    t0_ns = time.monotonic_ns()
    time.sleep(seconds)
    return t0_ns, time.monotonic_ns()


def timed(way: Way, n: int, work: int) -> dict[str, float]:
    """CPU and wall seconds of this process over one call."""
    cpu_s, wall_s = time.process_time(), time.monotonic()
    way(n, work)
    return {"cpu_s": time.process_time() - cpu_s, "wall_s": time.monotonic() - wall_s}


def same(way: Way) -> Callable[[], Way]:
    """A way that needs no preparation."""
    return lambda: way


def serve(
    ways: dict[str, Callable[[], Way]],
    window: Callable[[float], dict[str, Any]],
    end: Callable[[], list[dict[str, Any]]] = list,
) -> None:
    """Answer requests until there are no more. A way is made afresh for each, unmeasured."""
    # The tools may print what they like: answers go out on a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "window":
            answer: Any = window(request["seconds"])
        elif request["op"] == "end":
            answer = end()
        else:
            answer = timed(ways[request["way"]](), request["n"], request["work"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
