"""The processes of a workload: the given ones and their descendants."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection


def with_children(pids: Collection[int]) -> frozenset[int]:
    """``pids`` and all their descendants that are alive.

    Linux lists children by thread (proc(5), with CONFIG_PROC_CHILDREN), at a cost independent of
    the number of processes on the machine. On other systems psutil examines every process.
    """
    listed = os.path.exists(f"/proc/self/task/{os.getpid()}/children")
    return descendants(pids, listed_children if listed else children_by_psutil)


def descendants(
    pids: Collection[int], children: Callable[[int], Collection[int]]
) -> frozenset[int]:
    """``pids`` and their descendants, each listed once."""
    family: set[int] = set()
    pending = list(pids)
    while pending:
        pid = pending.pop()
        if pid not in family:
            family.add(pid)
            pending += children(pid)
    return frozenset(family)


def listed_children(pid: int, proc: str = "/proc") -> list[int]:
    """The children of a process from the kernel's list; none if it has ended."""
    children: list[int] = []
    try:
        for thread in os.listdir(f"{proc}/{pid}/task"):
            with open(f"{proc}/{pid}/task/{thread}/children", "rb") as file:
                children += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        return children  # its time is in the counters
    return children


def children_by_psutil(pid: int) -> list[int]:
    """All descendants of a process; none if it has ended."""
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []
