"""A lock that allows one measurement at a time on a machine and ends with its holder."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from permille.errors import RecorderError


def lock_path() -> Path:
    """The lock file: ``permille.lock`` in the folder for temporary files (``TMPDIR``)."""
    return Path(tempfile.gettempdir()) / "permille.lock"


def acquire(remedy: str) -> int:
    """Take the machine's lock; returns the descriptor that holds it until it is closed or this
    process ends. ``remedy`` names the caller's option to run without the lock.

    The lock is flock(2), not the file's existence, because the kernel releases it however the
    process ends.

    Raises:
        RecorderError: another run holds it.
    """
    path = lock_path()
    try:
        descriptor = _open(path)
    except OSError as error:
        raise RecorderError(f"cannot use the lock {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise RecorderError(
            f"another permille is measuring on this machine (process {holder or 'unknown'});"
            f" wait for it, or allow concurrent runs with {remedy} (noted in the results)"
        ) from error
    if os.access(path, os.W_OK):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _open(path: Path) -> int:
    """Another user's lock file can only be opened for reading, which is enough for flock."""
    common = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, os.O_RDWR | common)
    except PermissionError:
        return os.open(path, os.O_RDONLY | common)
    except FileNotFoundError:
        return os.open(path, os.O_RDWR | os.O_CREAT | common, 0o644)
