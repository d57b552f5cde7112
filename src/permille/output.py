"""Write a file for the user atomically: either completely, or the old file stays."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from permille.errors import UsageError

_DATABASE = b"SQLite format 3\0"
_OF_A_DATABASE = ("-wal", "-shm", "-journal")


def write_whole(path: Path, content: bytes, *, never: Path | None = None) -> None:
    """Write ``content`` to a temporary file next to ``path`` and move it there.

    A link, a device, a pipe, a folder or a database is never overwritten, nor is ``never``, the
    store with the content, or SQLite's files next to it.

    Raises:
        UsageError: the path must not be overwritten, or cannot be written.
    """
    _may_be_replaced(path, never)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        part = Path(name)
        try:
            with open(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.chmod(_mode(path))
            part.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _may_be_replaced(path: Path, never: Path | None) -> None:
    if path.is_symlink():
        raise UsageError(f"cannot write {path}: it is a link; name the file itself")
    if never is not None and path.resolve() in {
        never.resolve().with_name(never.resolve().name + suffix) for suffix in ("", *_OF_A_DATABASE)
    }:
        raise UsageError(f"cannot write {path}: it is the store, or its log; name another file")
    if not path.exists():
        return
    if not path.is_file():
        raise UsageError(
            f"cannot write {path}: it is a folder, a pipe or a device; name a file, or - for"
            " standard output"
        )
    try:
        with path.open("rb") as file:
            head = file.read(len(_DATABASE))
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    beside = next((path.name[: -len(s)] for s in _OF_A_DATABASE if path.name.endswith(s)), None)
    if head == _DATABASE or (beside and path.with_name(beside).exists()):
        raise UsageError(f"cannot write {path}: it is a store, or another database")


def _mode(path: Path) -> int:
    """The mode of the replaced file, or of a new one."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
