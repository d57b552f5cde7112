"""Processes that belong to a run, found by a mark in their environment, which children inherit:
a daemon that left its group, its session and its parent still has it."""

from __future__ import annotations

import contextlib
import signal
import time

VARIABLE = "PERMILLE_RUN"
"""Set for every worker of a run to the run's own token."""
_ROUNDS = 20


def marked(token: str) -> dict[int, str]:
    """Living processes that carry ``token``: process id -> name."""
    import psutil

    found = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get(VARIABLE) != token:
                continue
            if process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process.name()
        except (psutil.Error, OSError):
            continue  # gone, or another user's: not one of ours
    return found


def stop_marked(token: str, *, grace_s: float) -> dict[int, str]:
    """Ask every process that carries ``token`` to end (TERM), then kill those that have not within
    ``grace_s``; all that were still running."""
    import psutil

    found = marked(token)
    for pid in found:
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid).terminate()
    return found | end_marked(token, grace_s=grace_s)


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9; a number that has no name as ``signal 77``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def end_marked(token: str, *, grace_s: float = 0.0) -> dict[int, str]:
    """Kill every process that carries ``token`` and does not end by itself within ``grace_s``;
    those that were killed. Again and again, since a process may fork as it is looked for."""
    import psutil

    deadline = time.monotonic() + grace_s
    ended: dict[int, str] = {}
    for _ in range(_ROUNDS):
        found = marked(token)
        while found and not ended and time.monotonic() < deadline:
            time.sleep(0.02)
            found = marked(token)
        if not found:
            break
        for pid in found:
            try:
                psutil.Process(pid).send_signal(signal.SIGKILL)
            except psutil.Error:
                continue
        ended |= found
        time.sleep(0.005)
    return ended
