"""The process that advances the counters of :mod:`tests.powercap` on a known trace.

Hundreds of tests start it, so that it imports no more than it needs: that takes a third as long.
"""

from __future__ import annotations

import marshal
import math
import os
import select
import sys
import time

UNIT_UJ = 1e6 / 2**14
"""One count of the energy status register: 2^-14 J on most Intel processors."""
WIDTH = 24


class Constant:
    """The same power at all times."""

    def __init__(self, watts: float) -> None:
        self.watts = watts

    def energy_j(self, t_s: float) -> float:
        """Joules from 0 to ``t_s``."""
        return self.watts * t_s


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


_TRACES: dict[str, type[Constant] | type[Bursts]] = {"Constant": Constant, "Bursts": Bursts}


def write_counter(descriptor: int, text: str) -> None:
    """Replace a counter's content in place, in one write."""
    os.pwrite(descriptor, text.encode().ljust(WIDTH, b"\n"), 0)


class _Counter:
    """One zone in the driver's process."""

    def __init__(self, settings: dict[str, object], range_uj: int, t0_ns: int) -> None:
        made = dict(settings)
        self.descriptor = os.open(str(made.pop("path")), os.O_WRONLY)
        self.offset_uj = float(str(made.pop("start_uj")))
        self.trace = _TRACES[str(made.pop("trace"))](**made)  # type: ignore[arg-type]
        self.range_uj = range_uj
        self.t0_ns = t0_ns
        self.paused = False

    def used_uj(self, t_ns: int) -> float:
        return self.trace.energy_j((t_ns - self.t0_ns) / 1e9) * 1e6

    def step(self, t_ns: int) -> None:
        if not self.paused:
            total = self.offset_uj + self.used_uj(t_ns)
            counts = math.floor(total / UNIT_UJ)
            write_counter(self.descriptor, str(round(counts * UNIT_UJ) % self.range_uj))

    def obey(self, command: str, argument: str) -> None:
        if command == "reset":
            self.offset_uj = -self.used_uj(time.monotonic_ns())
        elif command == "wrap":
            self.offset_uj = self.range_uj - float(argument) - self.used_uj(time.monotonic_ns())
        else:
            self.paused = command == "pause"


def _keep_time() -> None:
    """Run at once where the system lets us: a register of the hardware steps on time whatever the
    processors are busy with, and a test's verdict must not depend on how busy they are."""
    if not hasattr(os, "sched_setscheduler"):
        return
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
    except PermissionError:
        return


def play(task: dict[str, object]) -> None:
    """The driver's process: step every counter at each tick, obey lines on stdin, until EOF."""
    _keep_time()
    zones: dict[str, dict[str, object]] = task["zones"]  # type: ignore[assignment]
    t0_ns, range_uj = int(str(task["t0_ns"])), int(str(task["range_uj"]))
    tick_s = float(str(task["tick_s"]))
    counters = {zone: _Counter(made, range_uj, t0_ns) for zone, made in zones.items()}
    pending, answer = b"", True
    due = time.monotonic()
    while True:
        now_ns = time.monotonic_ns()  # of all: two of one trace are as one register
        for counter in counters.values():
            counter.step(now_ns)
        if answer:
            os.write(1, b"ok\n")
            answer = False
        due = max(due + tick_s, time.monotonic())
        ready, _, _ = select.select([0], [], [], max(0.0, due - time.monotonic()))
        if ready:
            got = os.read(0, 4096)
            if not got:
                return
            *lines, pending = (pending + got).split(b"\n")
            for line in lines:
                command, zone, *rest = line.decode().split()
                counters[zone].obey(command, rest[0] if rest else "")
                answer = True


if __name__ == "__main__":
    # Built in: to import what reads JSON would take as long again as all else here.
    play(marshal.loads(bytes.fromhex(sys.argv[1])))
