"""Whether two equal commands are told apart: ratios of a command to itself, which should hold 1.

    python benchmarks/aa.py [--case quiet loaded] [--times 200] [--repeats 5]

Each ratio is of one `permille measure -r 5 -- CMD --- CMD`, made by the same functions in one
process: the recorder, the rounds, the figure. ``quiet`` is the machine as it is; ``loaded`` is
beside a load that comes and goes: busy processes, one a processor, that work and sleep for random
times.
``time_half_width_median`` is the same interval for the ratio of the commands' times, which no meter
is in: on a virtual machine it shows how much the processor's own speed varies.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

from permille.analysis.commands import ratio
from permille.analysis.intervals import paired_ratio
from permille.measure.commands import CommandLine
from permille.measure.rounds import RunProtocol, rounds
from permille.recorder.client import Recorder
from permille.records.energy import Estimate

RESULTS = Path(__file__).parent / "results" / "aa.json"
WORK = "x = 0\nfor i in range(4_000_000): x = (x * 31 + i) % 1_000_003\n"
"""About half a second of one processor."""
CASES = ("quiet", "loaded")
LOAD = (
    "import random, time\n"
    "draw = random.Random({seed})\n"
    "while True:\n"
    "    end = time.monotonic() + draw.uniform(0.1, 2.0)\n"
    "    while time.monotonic() < end: pass\n"
    "    time.sleep(draw.uniform(0.1, 2.0))\n"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, default=RESULTS)
    args = parser.parse_args()
    known = json.loads(args.json.read_text())["cases"] if args.json.is_file() else {}
    for case in args.case:
        known[case] = row(case, args.times, args.repeats)
        print(case, json.dumps(known[case]), flush=True)
        args.json.write_text(json.dumps({"schema": 1, "cases": known}, indent=2) + "\n")


def row(case: str, times: int, repeats: int) -> dict[str, Any]:
    """The ratios of one case, summed up."""
    with Recorder(shared=True) as recorder, load() if case == "loaded" else nullcontext():
        ratios = list(same_twice(recorder, times, repeats, [WORK]))
        meters = sorted({domain.meter for domain in recorder.domains})
    return {"meters": meters, "repeats": repeats, **summary(ratios)}


def same_twice(
    recorder: Recorder, times: int, repeats: int, work: Sequence[str]
) -> Iterator[tuple[Estimate | None, Estimate]]:
    """``times`` ratios of a command to itself, of energy and of time."""
    # Without site-packages, whose .pth files and imports are other work on each machine.
    words = (sys.executable, "-I", "-S", "-c", *work)
    commands = [CommandLine(name=name, words=words) for name in ("a", "b")]
    protocol = RunProtocol(
        repeats=repeats,
        min_repeats=repeats,
        max_repeats=repeats,
        warmup=0,
        idle_s=0.0,
        stdin=Path(os.devnull),
        ignore_failure=False,
    )
    for _ in range(times):
        a, b = rounds(
            recorder,
            commands,
            protocol,
            token=uuid.uuid4().hex,
            stdout=sys.stderr.buffer,
            before=lambda number, round_number, runs: None,
        )
        energies = ratio(
            ([run.phase for run in a], [run.idle for run in a]),
            ([run.phase for run in b], [run.idle for run in b]),
            "compute",
        )
        times_s = ([run.phase.seconds for run in side] for side in (a, b))
        yield energies, paired_ratio(*times_s)


def summary(pairs: Sequence[tuple[Estimate | None, Estimate]]) -> dict[str, Any]:
    """How many ratios there are, how many of their intervals leave out 1, and how wide they are."""
    known = [energy for energy, _ in pairs if energy is not None]
    ends = bounds(known)
    return {
        "ratios": len(pairs),
        "refused": len(pairs) - len(ends),
        "without_1": sum(not low <= 1 <= high for low, high in ends),
        "half_width_median": half_width(ends),
        "time_half_width_median": half_width(bounds([seconds for _, seconds in pairs])),
        "off_median": median(abs(math.log(r.value)) for r in known) if known else None,
    }


def bounds(ratios: Sequence[Estimate]) -> list[tuple[float, float]]:
    """The ends of those that have an interval."""
    return [(r.low, r.high) for r in ratios if r.low is not None and r.high is not None]


def half_width(ends: Sequence[tuple[float, float]]) -> float | None:
    """The median of the intervals' half-widths, as a factor less 1."""
    return median(math.sqrt(high / low) - 1 for low, high in ends) if ends else None


@contextmanager
def load() -> Iterator[None]:
    """One busy process a processor, which works and sleeps in turns."""
    cpus = os.cpu_count() or 1
    busy = [
        subprocess.Popen([sys.executable, "-c", LOAD.format(seed=seed)]) for seed in range(cpus)
    ]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
