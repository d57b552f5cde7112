"""zeus under test: windows of its ZeusMonitor, CPU only."""

from __future__ import annotations

from typing import Any

from work import Way, bare, infer, same, serve, sleep_window
from zeus.monitor import ZeusMonitor


def main() -> None:
    monitor = ZeusMonitor(gpu_indices=[])

    def window(seconds: float) -> dict[str, Any]:
        monitor.begin_window("window")
        t0_ns, t1_ns = sleep_window(seconds)
        found = monitor.end_window("window")
        energy_j = sum(found.cpu_energy.values()) if found.cpu_energy else None
        return {"t0_ns": t0_ns, "t1_ns": t1_ns, "energy_j": energy_j}

    def whole(n: int, work: int) -> None:
        monitor.begin_window("whole")
        bare(n, work)
        monitor.end_window("whole")

    def one_by_one(n: int, work: int) -> None:
        for _ in range(n):
            monitor.begin_window("one")
            infer(work)
            monitor.end_window("one")

    ways: dict[str, Way] = {"bare": bare, "whole": whole, "one by one": one_by_one}
    serve({name: same(way) for name, way in ways.items()}, window)


if __name__ == "__main__":  # its wrap tracker imports this module again
    main()
