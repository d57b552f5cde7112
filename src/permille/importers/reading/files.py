"""The files to import: one file, a folder or an archive, streamed with limits.

Nothing is extracted to disk. Members of an archive whose path leads out of it, and links, devices
and sparse files, are refused by name. The unpacked size is limited, so that a bomb stops early.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, Protocol, cast

from permille.errors import ImportDataError

MAX_UNPACKED = 16 << 30
"""The most bytes that one archive may unpack to, over all members."""
# A small file whose rows are all alike compresses by more than MAX_RATIO, and does no harm.
FREE_BYTES = 64 << 20
MAX_RATIO = 500
"""An archive may unpack to FREE_BYTES plus this many times its size. Text of one tool, with similar
rows, compresses by a factor of 10 to 100; zeros by 1,000 to 1,000,000."""
# tarfile and zipfile keep an entry of each member, so their number is memory.
MAX_MEMBERS = 100_000
MAX_READ = 4 << 20
"""The most bytes read at once; tar headers that claim more are refused."""

_TAR_MAGIC_AT = 257
_FOREIGN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,  # a compression method that zipfile does not know
    RuntimeError,  # an encrypted zip member
)

Refuse = Callable[[str, None, str], None]


class Reader(Protocol):
    """The interface for reading a member."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; the whole rest if negative; none at the end."""
        ...


class Member(NamedTuple):
    """A file to read; ``stream`` is valid until the next member is requested. ``chosen``: the user
    named this file."""

    name: str
    stream: Reader
    chosen: bool = False

    def is_of(self, *suffixes: str) -> bool:
        """Whether to read it as one of these kinds: by its suffix, or because the user named it."""
        return self.chosen or PurePosixPath(self.name).suffix.lower() in suffixes


class _Named:
    """A reader whose errors include the name of the source."""

    def __init__(self, inner: Reader, path: Path) -> None:
        self._inner = inner
        self._path = path

    # A member is read while the importer runs, outside of the generator that opened it: the errors
    # of its reads do not pass through members().
    def read(self, size: int = -1, /) -> bytes:
        with _readable(self._path):
            return self._inner.read(size)


class Source:
    """One file, folder or archive. It can be iterated several times."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            raise ImportDataError(f"there is no file or folder {path}")
        # Opening a pipe would wait for its writer, and it could not be read a second time.
        if not (path.is_file() or path.is_dir()):
            raise ImportDataError(f"{path} is a pipe or a device: save it as a file first")

    def members(self, refuse: Refuse) -> Iterator[Member]:
        """Every file in it. ``refuse`` is called with the name and the reason of a skipped one.

        Raises:
            ImportDataError: it cannot be read to its end: damaged, truncated, too large.
        """
        # In a folder, an unreadable file costs only itself. In an archive, nothing after the damage
        # can be located.
        if self.path.is_dir():
            yield from _folder(self.path, refuse)
            return
        with _readable(self.path):
            for member in _file(self.path, refuse):
                yield member._replace(stream=_Named(member.stream, self.path))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except _FOREIGN as error:
        why = str(error) or type(error).__name__
        raise ImportDataError(f"{path} cannot be read to its end: {why}") from error


def _folder(root: Path, refuse: Refuse) -> Iterator[Member]:
    def unreadable(error: OSError) -> None:
        refuse(str(error.filename), None, str(error.strerror))

    for folder, names, files in os.walk(root, onerror=unreadable, followlinks=False):
        # In place, so that os.walk goes on in this order on every file system.
        names.sort()
        for name in names:
            if Path(folder, name).is_symlink():
                refuse(str(Path(folder, name).relative_to(root)), None, "a link: not followed")
        for name in sorted(files):
            path = Path(folder, name)
            shown = str(path.relative_to(root))
            try:
                if not stat.S_ISREG(path.lstat().st_mode):
                    refuse(shown, None, "not a plain file (a link or a device): not followed")
                    continue
                stream = path.open("rb")
            except OSError as error:
                refuse(shown, None, str(error.strerror))
                continue
            with stream:
                yield Member(shown, _Named(stream, path))


def _file(path: Path, refuse: Refuse) -> Iterator[Member]:
    # By its content: a file that the user names may have any suffix, or none.
    if zipfile.is_zipfile(path):
        yield from _zip(path, refuse)
        return
    size = path.stat().st_size
    with path.open("rb") as packed:
        inner = _unpacked(packed)
        if inner is None:
            if _is_tar(packed):
                # No budget: what is not packed cannot grow. tarfile seeks past the end of a
                # truncated one, and a budget would call that a bomb.
                yield from _tar(_Bounded(packed, sys.maxsize), refuse)
            else:
                yield Member(path.name, packed, chosen=True)
            return
        with inner:
            bounded = _Bounded(inner, _budget(size))
            if _is_tar(bounded):
                yield from _tar(bounded, refuse)
            else:
                unpacked = io.BufferedReader(cast(io.RawIOBase, bounded))
                yield Member(path.stem, unpacked, chosen=True)


def _unpacked(packed: IO[bytes]) -> IO[bytes] | None:
    """The stream inside a gzip, xz or bzip2 file; None for any other."""
    head = packed.read(6)
    packed.seek(0)
    if head.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(packed))
    if head.startswith(b"\xfd7zXZ\x00"):
        return cast(IO[bytes], lzma.open(packed))
    if head.startswith(b"BZh"):
        return cast(IO[bytes], bz2.open(packed))
    return None


def _is_tar(stream: IO[bytes] | _Bounded) -> bool:
    head = stream.read(_TAR_MAGIC_AT + 5) or b""
    stream.seek(0)
    return head[_TAR_MAGIC_AT:] == b"ustar"


def _budget(packed_bytes: int) -> int:
    return min(MAX_UNPACKED, FREE_BYTES + MAX_RATIO * packed_bytes)


class _Bounded(io.RawIOBase):
    """A stream that refuses to unpack more than its budget, or to read too much at once."""

    def __init__(self, inner: IO[bytes], budget: int) -> None:
        super().__init__()
        self._inner = inner
        self._budget = budget

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._inner.tell()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence == 0:
            # To seek forwards, a decompressor unpacks all in between.
            self._check(offset)
        return self._inner.seek(offset, whence)

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= MAX_READ:
            raise ImportDataError(f"the archive has a header of {size} bytes: refused")
        data = self._inner.read(size)
        self._check(self._inner.tell())
        return data

    def readinto(self, buffer: bytearray, /) -> int:  # type: ignore[override]
        data = self.read(min(len(buffer), MAX_READ))
        buffer[: len(data)] = data
        return len(data)

    def _check(self, position: int) -> None:
        if position > self._budget:
            raise ImportDataError(
                f"the archive unpacks to more than {self._budget >> 20} MiB: refused as a bomb;"
                " unpack it yourself and import the folder if you trust it"
            )


def _tar(stream: _Bounded, refuse: Refuse) -> Iterator[Member]:
    """The members in order: a stream never seeks backwards."""
    # "r:", because plain "r" would decompress a second time, out of reach of the budget.
    with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r:") as archive:
        for count, member in enumerate(archive):
            if count >= MAX_MEMBERS:
                raise ImportDataError(f"the archive has more than {MAX_MEMBERS} members: refused")
            if member.isdir():
                continue
            # The holes of a sparse member are returned as zeros without reading the stream below,
            # where the budget is counted.
            reason = _refusal(member.name) or (
                None
                if member.isreg() and not member.issparse()
                else "not a plain file (a link, a device or sparse)"
            )
            if reason:
                refuse(member.name, None, reason)
                continue
            content = archive.extractfile(member)
            if content is not None:
                yield Member(str(PurePosixPath(member.name)), content)


def _zip(path: Path, refuse: Refuse) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise ImportDataError(f"{path} has more than {MAX_MEMBERS} members: refused")
        budget = _budget(path.stat().st_size)
        # zipfile never reads more of a member than its header claims, so the claims limit the sum.
        if sum(member.file_size for member in members) > budget:
            raise ImportDataError(
                f"{path} unpacks to more than {budget >> 20} MiB: refused as a bomb;"
                " unpack it yourself and import the folder if you trust it"
            )
        for member in members:
            if member.is_dir():
                continue
            # The upper half is a Unix mode, or 0 where the archive was made on another system.
            kind = stat.S_IFMT(member.external_attr >> 16)
            plain = kind in (0, stat.S_IFREG)
            reason = _refusal(member.filename) or (
                None if plain else "not a plain file (a link or a device)"
            )
            if reason:
                refuse(member.filename, None, reason)
                continue
            with archive.open(member) as content:
                yield Member(str(PurePosixPath(member.filename)), content)


def _refusal(name: str) -> str | None:
    # As Windows reads it: \ parts folders there, and C: begins a path.
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
        return "its path leads out of the archive"
    return None
