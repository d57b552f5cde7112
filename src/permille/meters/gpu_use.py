"""The GPUs used by a workload, from the driver's process lists. Pure, except for /proc."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

_INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""PROC_PID_INIT_INO, include/linux/proc_ns.h: the same on every Linux."""


class Sight(NamedTuple):
    """What the driver reports about one GPU. ``pids`` is None if it does not list processes,
    ``busy`` if it does not report recent work."""

    domain: str
    pids: frozenset[int] | None
    busy: bool | None


def sees_every_process(namespace: Path = Path("/proc/self/ns/pid")) -> bool:
    """Whether process ids are the same as the driver's: false in a container's PID namespace."""
    try:
        return os.readlink(namespace) == _INITIAL_PID_NAMESPACE
    except OSError:
        return False  # not known: then what cannot be identified counts as in use


def is_running(pid: int) -> bool:
    """Whether a process with this id is visible."""
    return Path(f"/proc/{pid}").exists()


def judge(
    sights: Sequence[Sight],
    pids: frozenset[int],
    sees_all: bool,
    running: Callable[[int], bool] = is_running,
) -> tuple[frozenset[str] | None, list[tuple[str | None, str]]]:
    """(the domains in use by ``pids``, notices); the first is None if it is unknown.

    A GPU is in use if one of ``pids`` is listed. In a separate PID namespace, the driver's ids
    belong to another namespace or are missing: there a GPU with an invisible process, or one that
    is busy without a listed process, may be the workload's. It counts as in use, with a notice; the
    figure may then be too high, never too low.
    """
    used: set[str] = set()
    said: list[tuple[str | None, str]] = []
    for sight in sights:
        if sight.pids is None:
            continue
        others = sight.pids - pids - {os.getpid()}
        if sight.pids & pids:
            used.add(sight.domain)
        # A driver may still list a process that has just ended. Ids of another namespace, which are
        # not visible either, are dealt with below.
        strangers = sorted(pid for pid in others if running(pid))
        if strangers:
            shown = ", ".join(map(str, strangers[:4])) + (", …" if len(strangers) > 4 else "")
            said.append((sight.domain, f"another tenant: process {shown}"))
        unseen = len(strangers) < len(others)
        hidden = not sight.pids and sight.busy is True
        if not sees_all and sight.domain not in used and (unseen or hidden):
            used.add(sight.domain)
            said.append(
                (sight.domain, "busy with an invisible process (in a container): counted as in use")
            )
    if any(sight.pids is None for sight in sights):
        return None, said
    return frozenset(used), said
