"""Nothing but the least that a meter one by one can do: read the counter before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from work import Way, bare, infer, same, serve, sleep_window

COUNTER = Path("/sys/class/powercap/intel-rapl:0/energy_uj")


def main() -> None:
    def window(seconds: float) -> dict[str, Any]:
        before = _read()
        t0_ns, t1_ns = sleep_window(seconds)
        return {"t0_ns": t0_ns, "t1_ns": t1_ns, "energy_j": (_read() - before) / 1e6}

    def one_by_one(n: int, work: int) -> None:
        for _ in range(n):
            before = _read()
            infer(work)
            _ = _read() - before

    ways: dict[str, Way] = {"bare": bare, "one by one": one_by_one}
    serve({name: same(way) for name, way in ways.items()}, window)


def _read() -> int:
    with open(COUNTER) as file:
        return int(file.read())


if __name__ == "__main__":
    main()
