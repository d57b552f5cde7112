"""Copy a store's file while others may write it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from permille.errors import StoreError
from permille.store.log import log_of


def require_plain(path: Path) -> None:
    """Check that the path is a regular file: opening a pipe would block, and a device never ends.

    Raises:
        StoreError: it exists and is not a regular file.
    """
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is not a store, but a folder, a pipe or a device")


def snapshot(
    path: Path, folder: Path, copy: Callable[[Path, Path], object] = shutil.copyfile
) -> Path:
    """Copy the file and its log to ``folder``; returns the copy.

    Raises:
        StoreError: it was written during each of three attempts.
        OSError: it cannot be read, or there is no space.
    """
    require_plain(path)
    parts = [path, log_of(path)]
    # The file and its log are one after the other: a checkpoint between the two would move trials
    # from the log, which is copied too late, into the file, which was copied too early.
    for _ in range(3):
        before = [_state(part) for part in parts]
        for part in parts:
            (folder / part.name).unlink(missing_ok=True)
            if part.exists():
                copy(part, folder / part.name)
        if [_state(part) for part in parts] == before:
            return folder / path.name
    raise StoreError(f"{path} is being written; read it again later")


def _state(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_size, stat.st_mtime_ns
