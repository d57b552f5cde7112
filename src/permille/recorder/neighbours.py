"""Compare the CPU time of the machine with that of the run's own processes (Linux).

The run is a tree of processes: the runner, the recorder, the worker and all their descendants. The
time of a process that ended and was waited for is in its parent's ``cutime``, so the sum over
living processes includes it (proc(5)). For a process whose parent ended first, the last observation
counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from permille.meters.estimate.cpu_time import parse_stat
from permille.recorder.descendants import descendants, listed_children
from permille.records.recording import CpuSeries

PROC = Path("/proc")
GAP_NS = 20_000_000
"""The shortest useful time between two observations (0.02 s, two of the kernel's ticks)."""


class ProcessTime(NamedTuple):
    """One process: its parent, its start time, and the CPU time of itself and the children that it
    has waited for (ticks)."""

    parent: int
    started: int
    ticks: int


def parse_process(text: str) -> ProcessTime:
    """Parse the text of /proc/PID/stat.

    Raises:
        ValueError: it has another format.
    """
    fields = text.rpartition(")")[2].split()  # a name may contain blanks and parentheses
    if len(fields) < 20:
        raise ValueError("no CPU times in it")
    # proc_pid_stat(5), whose third field comes first here: 4 is ppid, 22 starttime, 14 to 17
    # utime, stime, cutime and cstime.
    return ProcessTime(int(fields[1]), int(fields[19]), sum(map(int, fields[11:15])))


class CpuWatch:
    """Observations of both since the last :meth:`begin`. ``root``: the root process of the tree."""

    def __init__(self, root: int, proc: Path = PROC) -> None:
        self._root = root
        self._proc = proc
        self._ticks_per_s = os.sysconf("SC_CLK_TCK")
        self._lists_children = (proc / f"{root}/task/{root}/children").exists()
        self._known: dict[int, ProcessTime] = {}  # as of the last observation
        self._ended_ticks = self._own_ticks = 0
        self._cpus = 0
        self._looks: list[tuple[int, float, float, float | None]] = []

    def look(self, *, now: bool = False) -> None:
        """Make an observation; with ``now`` even right after another."""
        before_ns = time.monotonic_ns()
        if self._looks and not now and before_ns - self._looks[-1][0] < GAP_NS:
            return
        try:
            text = (self._proc / "stat").read_text()
            used, self._cpus = parse_stat(text, self._ticks_per_s)
            own_s = self._own_s()
        except (OSError, ValueError):
            return  # the system does not report it: the series then does not cover the span
        t_ns = (before_ns + time.monotonic_ns()) // 2
        if not self._looks or t_ns > self._looks[-1][0]:
            self._looks.append((t_ns, used.busy_s, own_s, used.steal_s))

    def begin(self) -> None:
        """Discard all but the last observation."""
        # A span may begin before the next observation; this one then covers its start.
        del self._looks[:-1]

    def series(self) -> CpuSeries | None:
        """The observations; None if there are none."""
        if not self._looks:
            return None
        t_ns, busy_s, own_s, stolen_s = zip(*self._looks, strict=True)
        steal_s = tuple(one for one in stolen_s if one is not None)
        return CpuSeries(
            cpus=self._cpus,
            t_ns=t_ns,
            busy_s=busy_s,
            own_s=own_s,
            steal_s=steal_s if len(steal_s) == len(t_ns) else None,
        )

    def _own_s(self) -> float:
        family = self._family()
        for pid, before in self._known.items():
            ended = pid not in family or family[pid].started != before.started
            # An orphan: nobody in the run waits for it, so its time is in no other process's.
            if ended and before.parent not in self._known:
                self._ended_ticks += before.ticks
        self._known = family
        ticks = self._ended_ticks + sum(process.ticks for process in family.values())
        if ticks < self._own_ticks:
            # A process ended without being waited for: its time still belongs to the run.
            self._ended_ticks += self._own_ticks - ticks
            ticks = self._own_ticks
        self._own_ticks = ticks
        return ticks / self._ticks_per_s

    def _family(self) -> dict[int, ProcessTime]:
        if self._lists_children:
            # From those known as well: while a child exits, the kernel's list may omit another one
            # (proc_tid_children(5)).
            return self._walk(self._read([self._root, *self._known]), str(self._proc))
        everyone = self._read(int(name) for name in os.listdir(self._proc) if name.isdigit())
        children: dict[int, list[int]] = {}
        for pid, process in everyone.items():
            children.setdefault(process.parent, []).append(pid)
        # Those known are roots as well: one whose parent ended is no longer below the root.
        roots = [pid for pid in (self._root, *self._known) if self._is_ours(pid, everyone)]
        pids = descendants(roots, lambda pid: children.get(pid, []))
        return {pid: everyone[pid] for pid in pids if pid in everyone}

    def _walk(self, known: dict[int, ProcessTime], proc: str) -> dict[int, ProcessTime]:
        roots = [pid for pid in known if self._is_ours(pid, known)]
        pids = descendants(roots, lambda pid: listed_children(pid, proc))
        return self._read(pids)

    def _is_ours(self, pid: int, everyone: dict[int, ProcessTime]) -> bool:
        """Whether this id still belongs to the same process: ids are reused."""
        if pid not in everyone:
            return False
        return pid == self._root or self._known[pid].started == everyone[pid].started

    def _read(self, pids: Iterable[int]) -> dict[int, ProcessTime]:
        processes = {}
        for pid in pids:
            try:
                with open(self._proc / f"{pid}/stat", encoding="utf-8", errors="replace") as file:
                    processes[pid] = parse_process(file.read())
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it has ended and is in its parent's time, or it belongs to another user
        return processes
