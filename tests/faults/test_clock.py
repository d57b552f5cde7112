"""Suspends and clocks that jump: only CLOCK_MONOTONIC counts, and a suspend voids the trial."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from permille.energy.phases import phase
from permille.meters import Meter, Observation, Reading
from permille.recorder.poller import SUSPEND_NS, Poller
from permille.records.recording import Domain, Span
from tests.powercap import Driver
from tests.records import domain


class Steady:
    """A meter of 10 W."""

    name = "steady"
    slow = False
    max_interval_s = 1.0

    def __init__(self) -> None:
        self.domains: tuple[Domain, ...] = (domain(tick_s=0.0),)
        self.read_ns: list[int] = []

    def read(self) -> list[Reading]:
        now = time.monotonic_ns()
        self.read_ns.append(now)
        return [Reading(domain="cpu:0", t_ns=now, energy_j=10.0 * now / 1e9)]

    def observe(self, pids: frozenset[int]) -> Observation:
        return Observation()

    def close(self) -> None:
        pass


def _span_over(jump_ns: int) -> tuple[object, dict[str, object]]:
    asleep = [0]
    steady = Steady()
    meter: Meter = steady
    recorder = Poller([meter], suspended=lambda: asleep[0])
    recorder.poll()
    time.sleep(0.02)
    recorder.poll()
    asleep[0] += jump_ns
    time.sleep(0.02)
    recorder.poll()
    # From reading to reading, so that its edges are certain however busy the machine is.
    span = Span(name="query", t0_ns=steady.read_ns[0], t1_ns=steady.read_ns[-1])
    found = phase(recorder.take(), span)
    return found.domains.get("cpu:0"), dict(found.problems)


@pytest.mark.parametrize("jump_ns", [SUSPEND_NS + 1, 3_600 * 10**9, -SUSPEND_NS - 1])
def test_a_suspend_or_a_jump_voids_what_it_touches(jump_ns: int) -> None:
    figure, problems = _span_over(jump_ns)
    assert figure is None
    assert "suspended" in str(problems["cpu:0"])


def test_what_is_no_suspend_voids_nothing() -> None:
    figure, problems = _span_over(SUSPEND_NS // 2)
    assert figure is not None
    assert not problems


@pytest.mark.slow
def test_a_machine_long_suspended_before_measures_as_any_other(
    powercap: Driver, environment: dict[str, str], tmp_path: Path
) -> None:
    """In a time namespace whose BOOTTIME is a day ahead and whose MONOTONIC an hour: only a
    difference that moves is a suspend, and every process is on the same clock."""
    shift = ["unshare", "-T", "--boottime", "86400", "--monotonic", "3600"]
    if os.geteuid() != 0:
        shift.insert(1, "-r")
    if subprocess.run([*shift, "true"], capture_output=True).returncode != 0:
        pytest.skip("no time namespaces here")
    done = subprocess.run(
        [*shift, sys.executable, "-m", "permille", "measure", "--json", "--", "sleep", "1"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"valid": true' in done.stdout
