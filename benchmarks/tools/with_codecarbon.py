"""codecarbon under test: windows are tasks of one tracker; whole is a tracker of its own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from codecarbon import OfflineEmissionsTracker
from work import Way, bare, infer, serve, sleep_window

JOULES_PER_KWH = 3.6e6


def make_tracker() -> OfflineEmissionsTracker:
    return OfflineEmissionsTracker(
        country_iso_code="FRA",
        save_to_file=False,
        log_level="critical",
        measure_power_secs=1,
        allow_multiple_runs=True,
    )


def main() -> None:
    numbers = count()
    tasks = make_tracker()

    def window(seconds: float) -> dict[str, Any]:
        name = str(next(numbers))
        tasks.start_task(name)
        t0_ns, t1_ns = sleep_window(seconds)
        found = tasks.stop_task(name)
        energy_j = None if found is None else found.cpu_energy * JOULES_PER_KWH
        return {"t0_ns": t0_ns, "t1_ns": t1_ns, "energy_j": energy_j}

    def make_whole() -> Way:
        tracker = make_tracker()

        def whole(n: int, work: int) -> None:
            tracker.start()
            bare(n, work)
            tracker.stop()

        return whole

    def one_by_one(n: int, work: int) -> None:
        for _ in range(n):
            name = str(next(numbers))
            tasks.start_task(name)
            infer(work)
            tasks.stop_task(name)

    ways: dict[str, Callable[[], Way]] = {
        "bare": lambda: bare,
        "whole": make_whole,
        "one by one": lambda: one_by_one,
    }
    serve(ways, window)


if __name__ == "__main__":
    main()
