"""CPU time of the machine and of the run's own processes: a fake /proc, and real processes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from permille.energy import disturbance
from permille.recorder.neighbours import CpuWatch, parse_process
from permille.records.recording import Span

BURN = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"


class FakeProc:
    """A /proc of a machine with two CPUs, whose clocks a test sets in ticks of 10 ms."""

    def __init__(self, root: Path, *, lists_children: bool) -> None:
        self.root = root
        self.lists_children = lists_children
        self.machine(0)

    def machine(self, busy: int) -> None:
        self.root.mkdir(exist_ok=True)
        total = f"{busy} 0 0 500 0 0 0 0 0 0"
        (self.root / "stat").write_text(f"cpu  {total}\ncpu0 {total}\ncpu1 {total}\n")

    def process(self, pid: int, parent: int, own: int, waited: int = 0, started: int = 1) -> None:
        task = self.root / str(pid) / "task" / str(pid)
        task.mkdir(parents=True, exist_ok=True)
        fields = ["S", parent, *[0] * 9, own, 0, waited, 0, *[0] * 4, started, 0]
        (self.root / str(pid) / "stat").write_text(f"{pid} (a) b) {' '.join(map(str, fields))}")
        self._list(pid, [])
        parents = self.root / str(parent)
        if parents.exists():
            listed = {int(p) for p in self._listed(parent)} | {pid}
            self._list(parent, sorted(listed))

    def end(self, pid: int, parent: int) -> None:
        for path in sorted((self.root / str(pid)).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (self.root / str(pid)).rmdir()
        if (self.root / str(parent)).exists():
            self._list(parent, [int(p) for p in self._listed(parent) if int(p) != pid])

    def _listed(self, pid: int) -> list[str]:
        path = self.root / f"{pid}/task/{pid}/children"
        return path.read_text().split() if path.exists() else []

    def _list(self, pid: int, children: list[int]) -> None:
        if self.lists_children:
            path = self.root / f"{pid}/task/{pid}/children"
            path.write_text(" ".join(map(str, children)))


@pytest.fixture(params=[True, False], ids=["lists children", "does not"])
def proc(request: pytest.FixtureRequest, tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc", lists_children=request.param)


def own_s(watch: CpuWatch) -> float:
    watch.look(now=True)
    series = watch.series()
    assert series is not None
    return series.own_s[-1]


def test_the_tree_is_counted_and_no_other(proc: FakeProc) -> None:
    proc.process(10, 1, own=100)
    proc.process(11, 10, own=50)
    proc.process(12, 11, own=25)
    proc.process(99, 1, own=9999)
    watch = CpuWatch(10, proc.root)
    assert own_s(watch) == pytest.approx(1.75)


def test_a_child_that_ended_is_in_its_parents_time(proc: FakeProc) -> None:
    proc.process(10, 1, own=100)
    proc.process(11, 10, own=50)
    watch = CpuWatch(10, proc.root)
    assert own_s(watch) == pytest.approx(1.5)
    proc.end(11, 10)
    proc.process(10, 1, own=100, waited=60)
    assert own_s(watch) == pytest.approx(1.6)


def test_one_that_nobody_waited_for_keeps_what_it_used(proc: FakeProc) -> None:
    proc.process(10, 1, own=100)
    proc.process(11, 10, own=50)
    watch = CpuWatch(10, proc.root)
    assert own_s(watch) == pytest.approx(1.5)
    proc.end(11, 10)
    assert own_s(watch) == pytest.approx(1.5)
    proc.process(10, 1, own=120)
    assert own_s(watch) == pytest.approx(1.7)


def test_an_orphan_stays_the_runs_but_its_number_given_again_does_not(proc: FakeProc) -> None:
    proc.process(10, 1, own=100)
    proc.process(11, 10, own=0)
    proc.process(12, 11, own=50, started=7)
    watch = CpuWatch(10, proc.root)
    assert own_s(watch) == pytest.approx(1.5)
    proc.end(11, 10)
    proc.process(12, 1, own=80, started=7)
    assert own_s(watch) == pytest.approx(1.8)
    proc.process(12, 1, own=5000, started=8)
    assert own_s(watch) == pytest.approx(1.8)


def test_an_orphan_that_ended_keeps_what_it_used_whatever_others_used_meanwhile(
    proc: FakeProc,
) -> None:
    proc.process(10, 1, own=100)
    proc.process(11, 10, own=0)
    proc.process(12, 11, own=40)
    watch = CpuWatch(10, proc.root)
    assert own_s(watch) == pytest.approx(1.4)
    proc.end(11, 10)
    proc.process(12, 1, own=50)
    assert own_s(watch) == pytest.approx(1.5)
    proc.end(12, 1)
    proc.process(10, 1, own=190)
    assert own_s(watch) == pytest.approx(2.4)
    assert own_s(watch) == pytest.approx(2.4)


def test_steal_is_unknown_where_the_system_does_not_report_it(proc: FakeProc) -> None:
    proc.process(10, 1, own=100)
    watch = CpuWatch(10, proc.root)
    watch.look(now=True)
    series = watch.series()
    assert series is not None
    assert series.steal_s == (0.0,)
    (proc.root / "stat").write_text("cpu  9 0 0 500 0 0 0\ncpu0 9 0 0 500 0 0 0\n")
    watch.look(now=True)
    series = watch.series()
    assert series is not None
    assert (series.busy_s[-1], series.steal_s) == (0.09, None)


def test_what_cannot_be_read_is_not_known(proc: FakeProc) -> None:
    (proc.root / "stat").write_text("garbage")
    watch = CpuWatch(10, proc.root)
    watch.look(now=True)
    assert watch.series() is None


@pytest.mark.parametrize("text", ["", "12 (x) S 1", "12 (x) S one" + " 0" * 30])
def test_what_is_no_process_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_process(text)


def test_a_real_child_that_has_ended_is_the_runs() -> None:
    watch = CpuWatch(os.getpid())
    before_s = own_s(watch)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", BURN], check=True)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    child_s = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    assert child_s >= 0.3
    assert own_s(watch) - before_s >= child_s - 0.03


@pytest.mark.measuring
def test_a_real_neighbour_is_seen_whatever_the_run_does() -> None:
    """The neighbour is no child: the tree hangs on a process that sleeps."""
    here = subprocess.Popen(["sleep", "60"])
    cpus = os.cpu_count() or 1
    loops = [subprocess.Popen([sys.executable, "-c", "while 1: pass"]) for _ in range(cpus)]
    try:
        watch = CpuWatch(here.pid)
        watch.look(now=True)
        t0_ns = time.monotonic_ns()
        time.sleep(1.0)
        t1_ns = time.monotonic_ns()
        watch.look(now=True)
    finally:
        for process in (here, *loops):
            process.kill()
            process.wait()
    series = watch.series()
    assert series is not None
    found = disturbance.of_span(series, Span(name="query", t0_ns=t0_ns, t1_ns=t1_ns))
    assert found is not None
    assert found.disturbed
