"""One measurement at a time on a machine: a lock that dies with its holder."""

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
    """Take the machine's lock; the descriptor that holds it until it is closed or we die.
    ``remedy`` is how the caller can do without.

    flock, not the file's existence, is the lock: the kernel releases it on any death.

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
            f" wait for it, or measure beside it with {remedy}, which the results will say"
        ) from error
    if os.access(path, os.W_OK):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _open(path: Path) -> int:
    """Another user's lock file can be opened for reading only, which is enough for flock."""
    common = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, os.O_RDWR | common)
    except PermissionError:
        return os.open(path, os.O_RDONLY | common)
    except FileNotFoundError:
        return os.open(path, os.O_RDWR | os.O_CREAT | common, 0o644)
