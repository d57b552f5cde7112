"""Find a run's processes by a token in their environment, which children inherit: even a daemon
that left its group, its session and its parent has it."""

from __future__ import annotations

import contextlib
import signal
import time

VARIABLE = "PERMILLE_RUN"
"""The environment variable with the run's token, set for every worker."""
WORKER, SERVER = "/worker", "/server"
"""What follows the run's token in the environment of its workers, and of a server that they share:
the token alone stands for both."""
_ROUNDS = 20


def marked(token: str) -> dict[int, str]:
    """Living processes with ``token``: process id -> name."""
    import psutil

    processes = {}
    for process in psutil.process_iter():
        try:
            if not _covers(token, process.environ().get(VARIABLE, "")):
                continue
            if process.status() != psutil.STATUS_ZOMBIE:
                processes[process.pid] = process.name()
        except (psutil.Error, OSError):
            continue  # it has ended, or belongs to another user
    return processes


def _covers(token: str, value: str) -> bool:
    return value == token or value.startswith(f"{token}/")


def stop_marked(token: str, *, grace_s: float) -> dict[int, str]:
    """Terminate every process with ``token`` (TERM), then kill those that have not ended within
    ``grace_s``; returns all that were still running."""
    import psutil

    running = marked(token)
    for pid in running:
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid).terminate()
    return running | end_marked(token, grace_s=grace_s)


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9; ``signal 77`` for a number without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def end_marked(token: str, *, grace_s: float = 0.0) -> dict[int, str]:
    """Kill every process with ``token`` that does not end by itself within ``grace_s``; returns
    those that were killed. Repeated, because a process may fork during the search."""
    import psutil

    deadline = time.monotonic() + grace_s
    ended: dict[int, str] = {}
    for _ in range(_ROUNDS):
        running = marked(token)
        # No grace for those that are found later: they were forked by one that had its own.
        while running and not ended and time.monotonic() < deadline:
            time.sleep(0.02)
            running = marked(token)
        if not running:
            break
        for pid in running:
            try:
                psutil.Process(pid).send_signal(signal.SIGKILL)
            except psutil.Error:
                continue
        ended |= running
        # A signal takes effect once its process is scheduled; until then that is still listed.
        time.sleep(0.005)
    return ended
