"""A fake Linux powercap tree on disk, and a process that advances its counters on a known trace.

Counters are written in place with one ``pwrite`` of a fixed number of bytes (shorter values are
padded with newlines), so that a reader which keeps the file open sees each of them whole.

By hand, without a process (exact, for unit tests)::

    tree = FakePowercap(tmp_path)
    tree.set("cpu:0", 5_000_000)         # microjoules
    tree.vanish("cpu:0"); tree.restore("cpu:0")

With a process that plays a power trace on CLOCK_MONOTONIC (for recorder tests, benchmarks)::

    with tree.drive({"cpu:0": Constant(60.0)}) as driver:
        t0 = time.monotonic_ns(); ...; t1 = time.monotonic_ns()
        truth_j = driver.energy_j("cpu:0", t0, t1)
        driver.reset("cpu:0")            # or wrap_soon, pause, resume; tree.vanish works meanwhile
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Literal, Self

RANGE_UJ = 262_143_328_850
"""``max_energy_range_uj`` of an Intel client package: 2^32 counts of 61.035 microjoules."""
UNIT_UJ = 1e6 / 2**14
"""One count of the energy status register: 2^-14 J on most Intel processors."""
WIDTH = 24

Layout = Literal["flat", "nested", "sysfs"]


class Bursts:
    """``high`` watts for the first ``high_s`` of each ``period_s``, else ``low``."""

    def __init__(self, low: float, high: float, period_s: float, high_s: float) -> None:
        self.low = low
        self.high = high
        self.period_s = period_s
        self.high_s = high_s

    def energy_j(self, t_s: float) -> float:
        """Joules from 0 to ``t_s``."""
        whole, rest = divmod(t_s, self.period_s)
        busy_s = whole * self.high_s + min(rest, self.high_s)
        return self.low * t_s + (self.high - self.low) * busy_s


class Constant(Bursts):
    """The same power at all times."""

    def __init__(self, watts: float) -> None:
        super().__init__(watts, watts, 1.0, 1.0)


Trace = Bursts


@cache
def _compiled() -> TemporaryDirectory[str]:
    """The folder of the program that drives the counters; it goes with this process.

    Raises:
        subprocess.CalledProcessError: there is a compiler, but it failed.
        FileNotFoundError: there is no gcc.
    """
    folder = TemporaryDirectory(prefix="powercap_driver")
    source = Path(__file__).with_name("powercap_driver.c")
    flags = ("-O1", "-Wall", "-Werror")
    program = Path(folder.name) / "driver"
    subprocess.run(["gcc", *flags, "-o", program, source, "-lm"], check=True)
    return folder


class FakePowercap:
    """A powercap class folder at ``root`` with zones named as permille's domains.

    ``layout``: ``flat`` puts every zone's folder at the root; ``nested`` puts sub-zones only in
    their package's folder; ``sysfs`` is as on a real machine: nested folders elsewhere, and a
    symbolic link at the root to each zone, sub-zones too.
    """

    def __init__(
        self,
        root: Path,
        *,
        packages: int = 1,
        dies: int = 1,
        dram: bool = True,
        core: bool = False,
        psys: bool = False,
        mmio: bool = False,
        range_uj: int = RANGE_UJ,
        limit_w: float | None = None,
        layout: Layout = "flat",
    ) -> None:
        self.root = root
        self.range_uj = range_uj
        self.layout = layout
        self.zones: dict[str, Path] = {}
        root.mkdir(parents=True, exist_ok=True)
        number = 0
        for package in range(packages):
            for die in range(dies):
                name = f"package-{package}" + (f"-die-{die}" if dies > 1 else "")
                key = f"cpu:{package}" + (f".{die}" if dies > 1 else "")
                self.add_zone(key, name, f"intel-rapl:{number}", limit_w=limit_w)
                subs = [("core", core), ("dram", dram)]
                for sub, (what, wanted) in enumerate(subs):
                    if wanted:
                        suffix = key.removeprefix("cpu:")
                        self.add_zone(f"{what}:{suffix}", what, f"intel-rapl:{number}:{sub}")
                number += 1
        if psys:
            self.add_zone("psys", "psys", f"intel-rapl:{number}")
        if mmio:
            self.add_zone("mmio:0", "package-0", "intel-rapl-mmio:0")

    def add_zone(self, key: str, name: str, folder: str, *, limit_w: float | None = None) -> Path:
        """Make the zone ``folder`` whose ``name`` file says ``name``; its counter reads 0."""
        parent, _, sub = folder.partition(":")[2].partition(":")
        prefix = folder.partition(":")[0]
        nested = f"{prefix}:{parent}/{folder}" if sub else folder
        if self.layout == "flat":
            path = self.root / folder
        elif self.layout == "nested":
            path = self.root / nested
        else:
            path = self.root.parent / "devices" / prefix / nested
        path.mkdir(parents=True)
        if self.layout == "sysfs":
            (self.root / folder).symlink_to(path)
        (path / "name").write_text(f"{name}\n")
        (path / "max_energy_range_uj").write_text(f"{self.range_uj}\n")
        if limit_w is not None:
            (path / "constraint_0_name").write_text("long_term\n")
            (path / "constraint_0_power_limit_uw").write_text(f"{round(limit_w * 1e6)}\n")
            (path / "constraint_0_max_power_uw").write_text(f"{round(limit_w * 1e6)}\n")
        self.zones[key] = path
        self.write(key, "0")
        return path

    def counter(self, zone: str) -> Path:
        """The zone's ``energy_uj``."""
        return self.zones[zone] / "energy_uj"

    def write(self, zone: str, text: str) -> None:
        """Put any text in the counter, in place: ``nan``, ``-5``, ``""``."""
        descriptor = os.open(self.counter(zone), os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            if not text:
                os.ftruncate(descriptor, 0)
            else:
                os.pwrite(descriptor, text.encode().ljust(WIDTH, b"\n"), 0)
        finally:
            os.close(descriptor)

    def set(self, zone: str, energy_uj: int) -> None:
        """The counter reads ``energy_uj``, modulo its range."""
        self.write(zone, str(energy_uj % self.range_uj))

    def vanish(self, zone: str) -> None:
        """The counter's file is gone from its place (a driver keeps its open descriptor)."""
        self.counter(zone).rename(self.zones[zone] / "gone")

    def restore(self, zone: str) -> None:
        """The counter's file is back."""
        (self.zones[zone] / "gone").rename(self.counter(zone))

    def drive(
        self,
        traces: Mapping[str, Trace],
        *,
        start_uj: Mapping[str, int] | None = None,
        tick_s: float = 0.001,
    ) -> Driver:
        """A process, started, that plays ``traces``; other zones stay as they are.

        Counters start at ``start_uj`` (default 0) and step every ``tick_s`` (RAPL: about 1 ms).
        """
        return Driver(self, dict(traces), dict(start_uj or {}), tick_s)


class Driver:
    """The process that advances the counters. Use as a context manager."""

    def __init__(
        self,
        tree: FakePowercap,
        traces: dict[str, Trace],
        start_uj: dict[str, int],
        tick_s: float,
    ) -> None:
        self.tree = tree
        self.traces = traces
        self.t0_ns = time.monotonic_ns()
        words: list[object] = [self.t0_ns, round(tick_s * 1e9), tree.range_uj]
        for zone, trace in traces.items():
            words += [zone, tree.counter(zone), start_uj.get(zone, 0)]
            words += [trace.low, trace.high, trace.period_s, trace.high_s]
        self._process = subprocess.Popen(
            [Path(_compiled().name) / "driver", *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._answer()  # it runs: every counter has been written once

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process; the counters stay where they are."""
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        """The process that writes the counters."""
        return self._process.pid

    def energy_j(self, zone: str, t0_ns: int, t1_ns: int) -> float:
        """What the trace truly used between two instants of CLOCK_MONOTONIC."""
        trace = self.traces[zone]
        begin, end = ((t - self.t0_ns) / 1e9 for t in (t0_ns, t1_ns))
        return trace.energy_j(end) - trace.energy_j(begin)

    def reset(self, zone: str) -> None:
        """The counter drops to 0 and goes on from there, as after a driver's reload."""
        self._command("reset", zone)

    def wrap_soon(self, zone: str, left_uj: int = 1_000) -> None:
        """The counter leaps to ``left_uj`` below its range: a jump, then a wrap.

        For a wrap without a jump start near the range: ``start_uj={zone: range_uj - …}``.
        """
        self._command("wrap", zone, str(left_uj))

    def pause(self, zone: str) -> None:
        """The counter is written no more, so that ``tree.write`` can hold any text in it."""
        self._command("pause", zone)

    def resume(self, zone: str) -> None:
        """The counter goes on, with what was used meanwhile."""
        self._command("resume", zone)

    def _command(self, *words: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write((" ".join(words) + "\n").encode())
        self._process.stdin.flush()
        self._answer()

    def _answer(self) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ok\n":
            raise RuntimeError("the process that drives the fake counters has died")
