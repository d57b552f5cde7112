"""What a large store takes: run by hand, `python benchmarks/large_store.py [--json FILE]`.

Makes a store of ``--trials`` in ``--cells``, one cell after another, with ids in no order as real
ones have them, in transactions of ``--batch``; closes it, which rolls it up; then runs reading
commands on it, each in a process of its own. Prints the seconds by the clock and of processor time
(which a busy machine changes little) and the greatest memory of each. ``--merge`` also merges the
store into a new one. ``--stores`` makes that many stores, as many machines would, all at once, and
merges them into one, which is then read. ``--sessions`` gives the trials what those of a study
have: sessions, an idle phase, a quality and counts of tokens.

10,000,000 trials take 15 GB of disk.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for tests.records

from tests.records import cell, trial  # noqa: E402

from permille.records.answers import Quality  # noqa: E402
from permille.records.trial import Trial  # noqa: E402
from permille.store import Store  # noqa: E402

TASKS = 10
FIGURES = """
import sys
from pathlib import Path
from permille.explorer.figures import Figures
Figures(Path(sys.argv[1])).state()
"""
"""What the explorer's server does when a page asks for its figures."""


Make = Callable[[int, int, int, int], Iterator[Trial]]
"""Makes the trials from one number to another, of so many in so many cells."""


class Took(NamedTuple):
    """What one step took; ``memory_mb`` is the greatest resident memory of its process."""

    step: str
    seconds: float
    cpu_s: float
    memory_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--cells", type=int, default=15_000)
    parser.add_argument("--batch", type=int, default=50_000, help="trials of one transaction")
    parser.add_argument("--merge", action="store_true", help="also merge it into a new store")
    parser.add_argument("--stores", type=int, default=1, help="stores that are merged into one")
    parser.add_argument("--sessions", action="store_true", help="trials as a study makes them")
    parser.add_argument("--folder", type=Path, help="where the stores are made")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON, too")
    parser.add_argument("--fill", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--part", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fill is not None:
        make = of_a_study if args.sessions else made
        part = Part.of(args.part, args.stores, args.trials, args.cells)
        print(json.dumps(fill(args.fill, part, args.batch, make)))
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "large.db"
        steps = _made(path, args)
        for took in steps:
            _show(took)
        explorer = [sys.executable, "-c", FIGURES, str(path)]
        lines = {words_of(words): _line(words, path) for words in _commands(Path(folder), args)}
        for step, line in {**lines, "explore: figures": explorer}.items():
            took = _process(step, line)
            _show(took)
            steps.append(took)
        size_mb = path.stat().st_size / 1e6
    print(
        f"{args.trials:,} trials in {args.cells:,} cells, {size_mb:,.0f} MB; load {load:.1f} before"
    )
    if args.json:
        about = {"trials": args.trials, "cells": args.cells, "batch": args.batch, "mb": size_mb}
        figures = {**about, "load_before": load, "load_after": os.getloadavg()[0]}
        figures["steps"] = [took._asdict() for took in steps]
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


def _made(path: Path, args: argparse.Namespace) -> list[Took]:
    sizes = [f"--{name}={getattr(args, name)}" for name in ("trials", "cells", "batch", "stores")]
    sessions = ["--sessions"] if args.sessions else []
    parts = [path.with_name(f"part-{number}.db") for number in range(args.stores)]
    paths = [path] if args.stores == 1 else parts
    # In processes of their own, so that the greatest memory of each is its own.
    filling = [
        subprocess.Popen(
            [sys.executable, __file__, f"--fill={one}", f"--part={number}", *sizes, *sessions],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, one in enumerate(paths)
    ]
    steps = []
    for process in filling:
        steps += [Took(*step) for step in json.loads(process.communicate()[0])]
    if args.stores > 1:
        words = ["store", "merge", str(path), *map(str, parts)]
        step = f"store merge: {args.stores} stores"
        steps.append(_process(step, [sys.executable, "-m", "permille", *words]))
    return steps


def _commands(folder: Path, args: argparse.Namespace) -> list[list[str]]:
    last = args.cells - TASKS + args.cells % TASKS  # a model of the task of model-0
    merge = [["store", "merge", str(folder / "merged.db")]] if args.merge else []
    return [
        ["results"],
        ["results", "--json"],
        ["compare", "model-0", f"model-{last - last % TASKS}"],
        *(["export", kind, str(folder / kind)] for kind in ("csv", "json", "parquet")),
        *([["export", "codecarbon", str(folder / "cc.csv")]] if args.trials <= 1_000_000 else []),
        *merge,
    ]


def words_of(words: Sequence[str]) -> str:
    """A command without its paths."""
    return " ".join(word for word in words if "/" not in word)


def _line(words: Sequence[str], store: Path) -> list[str]:
    """The command line of a command of permille on the store."""
    merging = words[:2] == ["store", "merge"]
    named = [str(store)] if merging else ["--store", str(store)]
    return [sys.executable, "-m", "permille", *words, *named]


def _process(step: str, line: Sequence[str]) -> Took:
    """Run it in a process of its own, and see what it took."""
    start = time.perf_counter()
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        errors = process.stderr.read() if process.stderr else b""
        # Of this child alone: RUSAGE_CHILDREN has the largest of all so far (getrusage(2)).
        _, status, usage = os.wait4(process.pid, 0)
        # Popen would find no child to wait for, and take that for a success.
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{step}: {errors.decode()}")
    seconds = time.perf_counter() - start
    return Took(step, seconds, usage.ru_utime + usage.ru_stime, _mb(usage))


def _show(took: Took) -> None:
    print(
        f"{took.step:32} {took.seconds:9.2f} s  CPU {took.cpu_s:9.2f} s  {took.memory_mb:7.0f} MB",
        flush=True,
    )


class Part(NamedTuple):
    """Some of so many trials in so many cells: from the number ``first`` to ``last``."""

    first: int
    last: int
    trials: int
    cells: int

    @classmethod
    def of(cls, number: int, parts: int, trials: int, cells: int) -> Part:
        """That one of so many, with its share of the cells."""
        cell, end = (one * cells // parts for one in (number, number + 1))
        # Rounded up: the first number of a cell in made().
        return cls(-(-cell * trials // cells), -(-end * trials // cells), trials, cells)


def fill(path: Path, part: Part, batch: int, make: Make) -> tuple[Took, Took]:
    """Store these trials; what writing them took, and rolling them up. Making the trials is not
    in it."""
    store = Store(path)
    seconds, cpu_s = 0.0, 0.0
    for first in range(part.first, part.last, batch):
        last = min(part.last, first + batch)
        made_now = [(one, None) for one in make(first, last, part.trials, part.cells)]
        start, start_cpu = time.perf_counter(), time.process_time()
        store.add_many(made_now)
        seconds += time.perf_counter() - start
        cpu_s += time.process_time() - start_cpu
    written = Took("write", seconds, cpu_s, _memory_mb())
    before = os.times()
    start = time.perf_counter()
    store.close()
    after = os.times()
    spent = sum(after[:4]) - sum(before[:4])  # with processes that it started and that have ended
    return written, Took("roll up", time.perf_counter() - start, spent, _memory_mb())


def made(first: int, last: int, trials: int, cells: int) -> Iterator[Trial]:
    """Some of so many trials by their numbers, an equal share of each cell."""
    number, alike = -1, list[Trial]()
    for i in range(first, last):
        if i * cells // trials != number:
            number = i * cells // trials
            # To make each from nothing takes as long as to store it.
            alike = [_one_of(number, tenths) for tenths in range(7)]
        repeat = i + (-number * trials) // cells
        uid = hashlib.blake2b(str(i).encode(), digest_size=16).hexdigest()
        yield msgspec.structs.replace(alike[repeat % 7], uid=uid, repeat=repeat)


def _one_of(number: int, tenths: int) -> Trial:
    """A trial of that cell."""
    its_cell = cell(f"model-{number}", id=f"cell-{number}", task=f"task-{number % TASKS}")
    return trial(30.0 + number + tenths / 10, cell=its_cell)


def of_a_study(first: int, last: int, trials: int, cells: int) -> Iterator[Trial]:
    """The same with three sessions, an idle phase, a quality and tokens."""
    for i, one in enumerate(made(first, last, trials, cells), first):
        number, repeat = i * cells // trials, one.repeat
        yield trial(
            30.0 * (1 + number % 53) * (1 + i * 37 % 100 / 2000),
            uid=one.uid,
            repeat=repeat,
            cell=one.cell,
            idle_j=12.0,
            session=f"session-{repeat % 3}",
            block=repeat,
            machine="machine",
            quality=Quality(metric="accuracy", value=0.5 + number % 97 / 250, n=400),
            counts={"tokens_out": 1000.0 * (5 + i % 85), "tokens_in": 12345.0},
        )


def _memory_mb() -> float:
    return _mb(resource.getrusage(resource.RUSAGE_SELF))


def _mb(usage: resource.struct_rusage) -> float:
    """The greatest resident memory; Linux counts it in KiB (getrusage(2))."""
    return usage.ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
