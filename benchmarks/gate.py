"""How often the gate's verdict is right: real gates whose two commands are equal, or a tenth apart.

    python benchmarks/gate.py [--rounds 12] [--cases equal,equal,slower] [--times 250]
        [--seconds 0.3] [--json results/gate.json]

Each gate is `permille gate -- CMD --- CMD`, with so many rounds or at its defaults, by its own code
from the command line on: the recorder, the rounds, the interval, the verdict. The cases take turns:
``equal`` runs one command twice, ``slower`` adds a tenth to the processor time of the second.
``at_0`` has the verdicts of the same intervals if no increase is allowed at all, which is the
stricter test of equal commands. The machine is used as it is: ``load`` is its mean load average
over its processors. A run that was stopped continues where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from permille.analysis.estimates import Interval, estimate_of
from permille.analysis.gate import judged
from permille.analysis.quality import wilson
from permille.cli import dispatch
from permille.records.energy import Estimate

RESULTS = Path(__file__).parent / "results" / "gate.json"
WORK = "x = 0\nfor i in range({loops}): x = (x * 31 + i) % 1_000_003\n"
INCREASE = 0.1
"""Of the second command's processor time, in the case ``slower``."""
VERDICTS = ("pass", "fail", "cannot-tell")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="of each gate (default: the gate's)")
    parser.add_argument("--cases", default="equal,equal,slower,equal,equal", help="in turns")
    parser.add_argument("--times", type=int, default=250, help="gates in all")
    parser.add_argument("--seconds", type=float, default=0.3, help="processor time of a run")
    parser.add_argument("--json", type=Path, default=RESULTS)
    args = parser.parse_args()
    name = f"{args.rounds} rounds" if args.rounds else "default"
    turns = args.cases.split(",")
    kept = args.json.with_suffix(f".{name.replace(' ', '-')}.lines")
    made = [json.loads(line) for line in kept.read_text().splitlines()] if kept.is_file() else []
    loops, more = loops_of(args.seconds)
    with kept.open("a") as lines:
        for number in range(len(made), args.times):
            case = turns[number % len(turns)]
            added = more if case == "slower" else 0
            one = {"case": case, "load": load(), **gate(loops, added, args.rounds)}
            made.append(one)
            print(json.dumps(one), file=lines, flush=True)
            keep(args.json, name, {"seconds": args.seconds, "cases": cases(made)})
    kept.unlink()


def keep(path: Path, name: str, run: Mapping[str, Any]) -> None:
    """Put this run beside those of other settings."""
    document: dict[str, Any] = {"schema": 2, "runs": {}}
    if path.is_file():
        document = json.loads(path.read_text())
    document["runs"][name] = run
    path.write_text(json.dumps(document, indent=2) + "\n")


def command(loops: int) -> list[str]:
    # Without site-packages, whose .pth files and imports are other work on each machine.
    return [sys.executable, "-I", "-S", "-c", WORK.format(loops=loops)]


def loops_of(seconds: float) -> tuple[int, int]:
    """How many loops take that much processor time, with the interpreter's start, and how many more
    add a tenth to both."""
    start_s, with_loops_s = cpu_s(0), cpu_s(1_000_000)
    each_s = (with_loops_s - start_s) / 1_000_000
    return round((seconds - start_s) / each_s), round(INCREASE * seconds / each_s)


def cpu_s(loops: int, runs: int = 15) -> float:
    """The median processor time of a run (s)."""

    def spent_s() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    found = []
    for _ in range(runs):
        before_s = spent_s()
        subprocess.run(command(loops), check=True)
        found.append(spent_s() - before_s)
    return median(found)


def load() -> float:
    return os.getloadavg()[0] / (os.cpu_count() or 1)


def gate(loops: int, more: int, rounds: int | None) -> dict[str, Any]:
    """What matters of the output of one gate, and the seconds that it took."""
    printed = io.StringIO()
    words = [*command(loops), "---", *command(loops + more)]
    given = ["--rounds", str(rounds)] if rounds else []
    began = time.monotonic()
    with contextlib.redirect_stdout(printed):
        dispatch(["gate", "--json", "--shared", *given, "--", *words])
    output: dict[str, Any] = json.loads(printed.getvalue())
    found = {key: output[key] for key in ("verdict", "ratio", "blocks", "provenance", "reason")}
    return {**found, "took_s": time.monotonic() - began}


def cases(made: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = dict.fromkeys(one["case"] for one in made)
    return {name: summary([one for one in made if one["case"] == name]) for name in names}


def summary(gates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The rates of each verdict with their 95 % intervals, at the limit and if nothing more is
    allowed."""
    ratios = [estimate_of(Interval(**one["ratio"])) for one in gates]
    strict = [judged(r, one["blocks"], 0.0).verdict for r, one in zip(ratios, gates, strict=True)]
    known = [r for r in ratios if r is not None]
    return {
        "gates": len(gates),
        "blocks_median": median(one["blocks"] for one in gates),
        "took_s_median": median(one["took_s"] for one in gates),
        "refused": sum(one["reason"] is not None for one in gates),
        "load": fmean(one["load"] for one in gates),
        "provenance": sorted({one["provenance"] for one in gates if one["provenance"]}),
        "ratio_median": median(r.value for r in known) if known else None,
        "half_width_median": half_width(known),
        "at_limit": rates([one["verdict"] for one in gates]),
        "at_0": rates(strict),
    }


def half_width(ratios: Sequence[Estimate]) -> float | None:
    """The median of the intervals' half-widths, as a factor less 1."""
    ends = [(r.low, r.high) for r in ratios if r.low is not None and r.high is not None]
    return median((high / low) ** 0.5 - 1 for low, high in ends) if ends else None


def rates(verdicts: Sequence[str]) -> dict[str, Any]:
    """By verdict: how many, and their share with Wilson's interval."""
    found: dict[str, Any] = {}
    for verdict in VERDICTS:
        count = sum(one == verdict for one in verdicts)
        share = wilson(count / len(verdicts), len(verdicts))
        found[verdict] = {
            "count": count, "share": share.value, "low": share.low, "high": share.high,
        }  # fmt: skip
    return found


if __name__ == "__main__":
    main()
