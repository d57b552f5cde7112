"""Which run makes a block, where two runs of one study share a store (``--shared``).

A claim is a lock on one byte of a file beside the store, whose offset stands for the block: the
kernel gives it up when its holder dies, by whatever signal. The file is empty, and goes with the
last run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from permille.errors import StoreError
from permille.store.failures import vanished

# An offset is signed and has 64 bits; bytes beyond the end of a file can be locked (fcntl(2)).
_OFFSETS = 2**62
_AGAIN_S = 0.2
"""Between two looks whether another run has finished a block."""


class Claims:
    """The claims of this process on the blocks of one store. Use with ``with``.

    Raises:
        StoreError: the lock file cannot be created next to the store, or the store's folder has
            vanished.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._path = store.with_name(store.name + "-claims")
        # The only descriptor: to close another one of the file would give up all locks (fcntl(2)).
        self._file = self._open()

    def __enter__(self) -> Claims:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            # Nobody else holds a claim: the next run creates the file again.
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass  # the other run removes it
        else:
            if self._is_current():
                self._path.unlink(missing_ok=True)
        os.close(self._file)

    @contextmanager
    def on(self, block: str, *, wait: bool) -> Iterator[bool]:
        """Whether the block is ours to run, as long as the ``with`` lasts. ``wait`` until the
        run that has it has finished, or died."""
        digest = hashlib.sha256(block.encode()).digest()
        offset = int.from_bytes(digest[:8]) % _OFFSETS
        ours = self._lock(offset)
        while wait and not ours:
            time.sleep(_AGAIN_S)
            ours = self._lock(offset)
        try:
            yield ours
        finally:
            if ours:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, offset)

    def _lock(self, offset: int) -> bool:
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
            # EACCES or EAGAIN, depending on the system (fcntl(2)).
            except (BlockingIOError, PermissionError):
                return False
            if self._is_current():
                return True
            removed = self._file  # the last run removed its file at the same moment
            # Before it is closed: if the folder has vanished too, __exit__ closes it.
            self._file = self._open()
            os.close(removed)

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except FileNotFoundError:
            return False

    def _open(self) -> int:
        try:
            # O_NOFOLLOW: where others can write, a link could lead to any file of the user.
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError as error:
            raise vanished(self._store, error) from error  # with its folder
        except OSError as error:
            raise StoreError(f"cannot create {self._path}: {error.strerror}") from error
