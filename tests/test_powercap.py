"""The fake powercap tree says what its trace used: what the recorder is judged by is judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import PATIENCE_S
from tests.faults.conftest import await_that
from tests.powercap import UNIT_UJ, Bursts, Constant, FakePowercap, Trace


def read_uj(tree: FakePowercap, zone: str) -> int:
    return int(tree.counter(zone).read_text())


def test_counter_follows_the_trace(tmp_path: Path) -> None:
    tree = FakePowercap(tmp_path / "powercap")
    traces: dict[str, Trace] = {"cpu:0": Bursts(20.0, 200.0, 0.05, 0.02), "dram:0": Constant(5.0)}
    with tree.drive(traces) as driver:
        for zone in traces:
            # It can lag by a tick but never lead, and it gets to what was used before now.
            due_j = driver.energy_j(zone, driver.t0_ns, time.monotonic_ns())
            deadline = time.monotonic() + PATIENCE_S
            while (seen_j := read_uj(tree, zone) / 1e6) < due_j - 1e-4:
                assert time.monotonic() < deadline
            assert seen_j <= driver.energy_j(zone, driver.t0_ns, time.monotonic_ns()) + 1e-6


def test_wrap_reset_pause_and_vanish(tmp_path: Path) -> None:
    tree = FakePowercap(tmp_path / "powercap", range_uj=10_000_000)
    with tree.drive({"cpu:0": Constant(10.0)}, start_uj={"cpu:0": 9_999_000}) as driver:
        await_that(lambda: read_uj(tree, "cpu:0") < 9_000_000)  # it wraps
        to_1_j: Callable[[], None] = partial(driver.wrap_soon, "cpu:0", 9_000_000)
        to_0_j: Callable[[], None] = partial(driver.reset, "cpu:0")
        for change, from_uj in ((to_1_j, 1_000_000), (to_0_j, 0)):
            while True:
                t0_ns = time.monotonic_ns()
                change()
                value_uj = read_uj(tree, "cpu:0")
                used_uj = 1e6 * driver.energy_j("cpu:0", t0_ns, time.monotonic_ns())
                if from_uj + used_uj < tree.range_uj:  # or else it may have wrapped meanwhile
                    break
            assert from_uj - UNIT_UJ <= value_uj <= from_uj + used_uj
        driver.pause("cpu:0")
        tree.write("cpu:0", "nan")
        time.sleep(0.01)
        assert tree.counter("cpu:0").read_text().strip() == "nan"
        driver.resume("cpu:0")
        tree.vanish("cpu:0")
        assert not tree.counter("cpu:0").exists()
        tree.restore("cpu:0")
        first = read_uj(tree, "cpu:0")
        await_that(lambda: read_uj(tree, "cpu:0") != first)


@pytest.mark.parametrize("layout", ["flat", "nested", "sysfs"])
def test_layouts(tmp_path: Path, layout: str) -> None:
    tree = FakePowercap(tmp_path / "powercap", packages=2, layout=layout)  # type: ignore[arg-type]
    tree.set("dram:1", 7)
    at_root = {"flat": True, "nested": False, "sysfs": True}[layout]
    assert (tree.root / "intel-rapl:1:1" / "energy_uj").exists() is at_root
    below = {"flat": False, "nested": True, "sysfs": True}[layout]
    assert (tree.root / "intel-rapl:1" / "intel-rapl:1:1" / "energy_uj").exists() is below


@given(st.floats(0, 50), st.floats(0, 50), st.floats(0.01, 1), st.floats(0, 1))
def test_bursts_are_the_integral_of_their_power(
    begin: float, length: float, period: float, share: float
) -> None:
    trace = Bursts(20.0, 200.0, period, period * share)
    used = trace.energy_j(begin + length) - trace.energy_j(begin)
    assert 20.0 * length - 1e-6 <= used <= 200.0 * length + 1e-6
    n = round(begin / period)
    whole = trace.energy_j((n + 1) * period) - trace.energy_j(n * period)
    assert whole == pytest.approx(period * (20.0 + 180.0 * share), abs=1e-6)
