"""Errors against a known trace: each tool's windows on a fake machine of its own."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fake_machine import ZONE, FakeMachine
from tests.powercap import Bursts, Constant, Trace

TOOLS = ("permille", "codecarbon", "zeus")
GAP_S = 0.25
"""Windows start up to this long after each other, at random, so that they meet every phase."""

CONSTANT: Trace = Constant(60.0)
BURSTS: Trace = Bursts(low=20.0, high=200.0, period_s=1.0, high_s=0.3)


@dataclass(frozen=True)
class Scenario:
    """A trace, how often each length of window (s) is taken, and what befalls the counter."""

    name: str
    trace: Trace
    windows: Mapping[float, int]
    event: Callable[[FakeMachine, float], None] | None = None


@dataclass(frozen=True)
class Row:
    """Relative errors of one tool's windows of one length. ``outside``: of the windows with an
    interval, how many have the truth outside it; of the edges alone in ``outside_edges``."""

    scenario: str
    seconds: float
    tool: str
    windows: int
    refused: int
    median: float | None
    worst: float | None
    with_interval: int = 0
    outside: int = 0
    outside_edges: int = 0
    reasons: tuple[str, ...] = ()


def wrap(machine: FakeMachine, seconds: float) -> None:
    """The counter comes to its end in the middle of the window that begins in 0.3 s."""
    machine.driver.wrap_soon(ZONE, round((0.3 + seconds / 2) * 60e6))
    time.sleep(0.3)


def reset(machine: FakeMachine, seconds: float) -> None:
    """The driver is loaded anew in the middle of the window."""
    _later(seconds / 2, lambda: machine.driver.reset(ZONE))


def vanish(machine: FakeMachine, seconds: float) -> None:
    """The counter's file is away for the middle third of the window."""
    _later(seconds / 3, lambda: machine.tree.vanish(ZONE))
    _later(seconds * 2 / 3, lambda: machine.tree.restore(ZONE))


def scenarios(quick: bool) -> list[Scenario]:
    """What is tried; ``quick`` is a minute's worth."""
    steady = {0.03: 12, 0.3: 12, 1.0: 4} if quick else {0.03: 40, 0.3: 40, 1.0: 12, 5.0: 5, 30.0: 1}
    rare = {0.03: 2, 0.3: 3, 1.0: 2} if quick else {0.03: 5, 0.3: 8, 1.0: 5, 5.0: 2}
    return [
        Scenario("60 W", CONSTANT, steady),
        Scenario("bursts", BURSTS, steady),
        Scenario("wrap", CONSTANT, rare, wrap),
        Scenario("reset", CONSTANT, rare, reset),
        Scenario("vanished read", CONSTANT, rare, vanish),
    ]


def measure(quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Every scenario by every tool, one after the other: side by side, three tools and three
    counters that step each millisecond would take the two processors from one another."""
    rows: list[Row] = []
    punctual = True
    for scenario in scenarios(quick):
        say(f"accuracy: {scenario.name}")
        for tool in TOOLS:
            found, in_time = _windows(scenario, tool)
            punctual = punctual and in_time
            rows += [_row(scenario.name, s, tool, found[s]) for s in scenario.windows]
    return {"rows": [asdict(row) for row in rows], "driver_in_real_time": punctual}


def _windows(scenario: Scenario, name: str) -> tuple[dict[float, list[dict[str, Any]]], bool]:
    """Length -> windows, each with the truth (J); and whether the counter was kept in time."""
    # By the name, so that every tool waits as long; a str seeds alike in every process.
    chance = random.Random(f"{scenario.name}")
    found: list[tuple[float, dict[str, Any]]] = []
    with FakeMachine(scenario.trace) as machine, machine.tool(name) as tool:
        tool.ask(op="window", seconds=0.1)
        time.sleep(1.5)  # the peers' own trackers start in the background
        for seconds, times in scenario.windows.items():
            for _ in range(times):
                time.sleep(chance.random() * GAP_S)
                found.append((seconds, _window(tool, machine, scenario, seconds)))
                if scenario.event:
                    time.sleep(0.5)
        later = tool.ask(op="end")[1:]  # permille computes at the end; less the first window
        grouped: dict[float, list[dict[str, Any]]] = {s: [] for s in scenario.windows}
        for i, (seconds, window) in enumerate(found):
            whole = window | (later[i] if later else {})
            if "t0_ns" in whole:
                whole["truth_j"] = machine.driver.energy_j(ZONE, whole["t0_ns"], whole["t1_ns"])
            grouped[seconds].append(whole)
        return grouped, machine.punctual


def _window(tool: Any, machine: FakeMachine, scenario: Scenario, seconds: float) -> dict[str, Any]:
    if scenario.event is wrap:
        wrap(machine, seconds)
    tool.send(op="window", seconds=seconds)
    if scenario.event and scenario.event is not wrap:
        scenario.event(machine, seconds)
    answer: dict[str, Any] = tool.receive()
    return answer


def _row(scenario: str, seconds: float, tool: str, windows: Sequence[dict[str, Any]]) -> Row:
    told = [w for w in windows if w.get("energy_j") is not None]
    errors = [(w["energy_j"] - w["truth_j"]) / w["truth_j"] for w in told]
    stated = [w for w in told if w.get("low_j") is not None]
    reasons = {w["reason"] for w in windows if w.get("reason")}
    return Row(
        scenario=scenario,
        seconds=seconds,
        tool=tool,
        windows=len(windows),
        refused=len(windows) - len(told),
        median=statistics.median(map(abs, errors)) if errors else None,
        worst=max(errors, key=abs) if errors else None,
        with_interval=len(stated),
        outside=sum(not w["low_j"] <= w["truth_j"] <= w["high_j"] for w in stated),
        outside_edges=sum(abs(w["energy_j"] - w["truth_j"]) > 2 * w["edge_j"] for w in stated),
        reasons=tuple(sorted(reasons))[:3],
    )


def _later(seconds: float, act: Callable[[], None]) -> None:
    threading.Timer(seconds, act).start()
