"""Which GPUs a workload is on, from the processes that the driver lists. Pure but for /proc."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

_INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""PROC_PID_INIT_INO, include/linux/proc_ns.h: the same on every Linux."""


class Sight(NamedTuple):
    """What the driver says of one GPU. ``pids`` is None where it does not list processes,
    ``busy`` where it does not say whether work was done lately."""

    domain: str
    pids: frozenset[int] | None
    busy: bool | None


def sees_every_process(namespace: Path = Path("/proc/self/ns/pid")) -> bool:
    """Whether process ids here are the driver's: false in a container's own PID namespace."""
    try:
        return os.readlink(namespace) == _INITIAL_PID_NAMESPACE
    except OSError:
        return False


def is_running(pid: int) -> bool:
    """Whether a process with this id can be seen from here."""
    return Path(f"/proc/{pid}").exists()


def judge(
    sights: Sequence[Sight],
    pids: frozenset[int],
    sees_all: bool,
    running: Callable[[int], bool] = is_running,
) -> tuple[frozenset[str] | None, list[tuple[str | None, str]]]:
    """(the domains in use by ``pids``, what to say); None for the first where nobody can tell.

    A GPU is in use where one of ``pids`` is listed. In a PID namespace of its own the driver's
    ids are of another namespace, or left out: there a GPU with a process that cannot be seen, or
    that is busy with none listed, may be the workload's. It is counted as in use, and said; the
    figure can then be too high, never too low.
    """
    used: set[str] = set()
    said: list[tuple[str | None, str]] = []
    for sight in sights:
        if sight.pids is None:
            continue
        others = sight.pids - pids - {os.getpid()}
        if sight.pids & pids:
            used.add(sight.domain)
        strangers = sorted(pid for pid in others if running(pid))
        if strangers:
            shown = ", ".join(map(str, strangers[:4])) + (", …" if len(strangers) > 4 else "")
            said.append((sight.domain, f"another tenant: process {shown}"))
        unseen = len(strangers) < len(others)
        hidden = not sight.pids and sight.busy is True
        if not sees_all and sight.domain not in used and (unseen or hidden):
            used.add(sight.domain)
            said.append(
                (sight.domain, "busy with a process out of sight (a container): counted as in use")
            )
    if any(sight.pids is None for sight in sights):
        return None, said
    return frozenset(used), said
