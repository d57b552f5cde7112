"""Detect files that have changed since the study was planned."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

from permille.backends.source_files.planned import changed
from permille.errors import TrialError
from permille.records import Record


class Stamp(Record):
    """A file's digest, and its metadata when the content was read."""

    name: str
    path: str
    sha256: str
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, name: str, file: Path) -> Stamp:
        """The current stamp of a file."""
        status = file.stat()  # before the content, to notice later changes
        return cls(
            name=name,
            path=str(file),
            sha256=_digest_once(file, status.st_size, status.st_mtime_ns, status.st_ino),
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            # A file of equal size and time, such as a copy with its times, may take its place.
            inode=status.st_ino,
        )

    def is_current(self) -> bool:
        """Whether the file is unchanged. Its content is read again only if the metadata shows that
        it was written."""
        file = Path(self.path)
        try:
            status = file.stat()
            metadata = (status.st_size, status.st_mtime_ns, status.st_ino)
            return (
                # A checkout or a restored backup changes the metadata alone: no reason to refuse.
                metadata == (self.size, self.mtime_ns, self.inode) or _digest(file) == self.sha256
            )
        except OSError:
            return False


def check(stamps: Iterable[Stamp]) -> None:
    """Check that no file has changed.

    Raises:
        TrialError: one has, so that the measurement would not be of the planned study.
    """
    for stamp in stamps:
        if not stamp.is_current():
            raise TrialError(changed(stamp.path))


@functools.lru_cache(maxsize=4096)
def _digest_once(file: Path, size: int, mtime_ns: int, inode: int) -> str:
    """The digest of a file with this metadata: the models of a sweep name the same files, which may
    have many gigabytes."""
    return _digest(file)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
