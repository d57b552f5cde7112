"""A lock that allows one measurement at a time on a machine and ends with its holder."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from pathlib import Path

from permille.errors import RecorderError, UsageError

FAKE_NODE = "PERMILLE_FAKE_NODE"
"""Makes processes of one machine stand for a node of their own, with its own lock and id. Only for
tests: what such nodes measure at the same time is disturbed by the others."""
_AGAIN_S = 0.2
_CLOCKS_S = 1.0
"""By how much the start of a process, in whole ticks since the boot, may be off."""


def fake_node() -> str | None:
    """The node that this process stands for in a test, or None.

    Raises:
        UsageError: it is not a name.
    """
    name = os.environ.get(FAKE_NODE)
    if name and not re.fullmatch(r"[a-z0-9-]{1,40}", name):
        raise UsageError(f"{FAKE_NODE}: {name[:40]!r} is not a name of letters, digits and hyphens")
    return name or None


def lock_path(gpu: str | None = None) -> Path:
    """The lock file: ``permille.lock`` in the folder for temporary files (``TMPDIR``); of one
    ``gpu``, a file with its UUID."""
    parts = [part for part in ("permille", fake_node(), gpu) if part]
    return Path(tempfile.gettempdir()) / f"{'-'.join(parts)}.lock"


def acquire(remedy: str, wait_s: float = 0.0, gpu: str | None = None) -> tuple[int, ...]:
    """Take the machine's lock; returns the descriptors that hold it until they are closed or this
    process ends. ``remedy`` names the caller's option to run without the lock. A holder is given
    ``wait_s`` to end.

    With ``gpu`` it is the lock of one GPU, which others of the machine may hold for theirs, but no
    run that measures the whole machine: these share its lock.

    The lock is flock(2), not the file's existence, because the kernel releases it however the
    process ends.

    Raises:
        RecorderError: another run holds it.
    """
    if gpu is None:
        return (_acquire(lock_path(), remedy, wait_s),)
    machine = _acquire(lock_path(), remedy, wait_s, shared=True)
    try:
        return (machine, _acquire(lock_path(gpu), remedy, wait_s, what=f"GPU {gpu}"))
    except RecorderError:
        os.close(machine)
        raise


def _acquire(
    path: Path, remedy: str, wait_s: float, *, shared: bool = False, what: str = "this machine"
) -> int:
    try:
        descriptor = _open(path)
    except OSError as error:
        raise RecorderError(f"cannot use the lock {path}: {error.strerror}") from error
    # flock(2) waits without a limit or not at all: hence the loop.
    deadline = time.monotonic() + wait_s
    while not (locked := _try_lock(descriptor, shared=shared)) and time.monotonic() < deadline:
        time.sleep(_AGAIN_S)
    if not locked:
        holder = _holder(descriptor)
        os.close(descriptor)
        raise RecorderError(
            f"another permille is measuring on {what} (process {holder or 'unknown'});"
            f" wait for it, or allow concurrent runs with {remedy} (noted in the results)"
        )
    # Several may share it, so there is no one holder to name. Another user's file was opened for
    # reading only.
    if os.access(path, os.W_OK) and not shared:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _holder(descriptor: int) -> int | None:
    """The process that wrote its id into the lock file; None if it has ended: then the lock belongs
    to a process that may not write there (another user's), or that shares it."""
    import psutil

    written = os.pread(descriptor, 20, 0).strip()
    if not written.isdigit():
        return None
    pid = int(written)
    try:
        started_s = psutil.Process(pid).create_time()
    except (psutil.Error, ValueError, OverflowError):
        return None
    # The kernel gives the id of a process that has ended to a later one.
    return pid if started_s <= os.fstat(descriptor).st_mtime + _CLOCKS_S else None


def _try_lock(descriptor: int, *, shared: bool) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    """Another user's lock file can only be opened for reading, which is enough for flock."""
    # Everybody may write to this folder: a link in it could lead the write to any file of ours.
    common = os.O_CLOEXEC | os.O_NOFOLLOW
    # No O_CREAT at first: in such a folder the kernel refuses it, even to root, for another
    # user's file (sysctl fs.protected_regular, Documentation/admin-guide/sysctl/fs.rst).
    try:
        return os.open(path, os.O_RDWR | common)
    except PermissionError:
        return os.open(path, os.O_RDONLY | common)
    except FileNotFoundError:
        return os.open(path, os.O_RDWR | os.O_CREAT | common, 0o644)
