"""What is written for the user: JSON documents, and files, completely or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from permille.errors import UsageError

if TYPE_CHECKING:
    from permille.records import Record

STANDARD_OUTPUT = "-"
"""What names standard output in place of a file. Among an exporter's options: it is written to."""
_DATABASE = b"SQLite format 3\0"
_OF_A_DATABASE = ("-wal", "-shm", "-journal")
_BEYOND_ASCII = re.compile(r"[^\n -~]+")
_MAYBE_NOT_FINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
"""In MessagePack, the first bytes of a NaN or an infinity; seldom, bytes of something else."""
_ROWS_AT_ONCE = 200


def json_text(output: Record, *, ascii_only: bool = False) -> str:
    """One JSON document, indented by two spaces. NaN is refused: it is not JSON."""
    return "".join(json_pieces(output, ascii_only=ascii_only))


def json_pieces(output: Record, *, ascii_only: bool = False) -> Iterator[str]:
    """The same in pieces, which takes less memory; in a fifth of the time of the standard
    library."""
    return (_spelled(piece.indented(), ascii_only) for piece in _pieces(output))


def ready_json_pieces(output: Record, *, ascii_only: bool = False) -> Iterator[str]:
    """The same for printing: what is refused is so before the first piece."""
    pieces = deque(_pieces(output))
    # Each is freed once it is yielded.
    return (_spelled(pieces.popleft().indented(), ascii_only) for _ in range(len(pieces)))


def _spelled(piece: bytes, ascii_only: bool) -> str:
    text = piece.decode("utf-8", "surrogatepass")
    return _BEYOND_ASCII.sub(lambda some: json.dumps(some[0])[1:-1], text) if ascii_only else text


class _Piece(NamedTuple):
    """A part of a document, made of a document of its own, of which the ends are cut off. Without
    white space, it takes half of the memory."""

    before: bytes
    compact: bytes
    cut: tuple[int, int | None]
    after: bytes = b""

    def indented(self) -> bytes:
        """As it is printed."""
        import msgspec

        start, end = self.cut
        return self.before + msgspec.json.format(self.compact, indent=2)[start:end] + self.after


def _pieces(output: Record) -> Iterator[_Piece]:
    """Of a record with many rows, some at a time."""
    names, fields = output.__struct_encode_fields__, output.__struct_fields__
    # Which fields are left out, msgspec decides.
    if output.__struct_config__.omit_defaults or not fields:
        yield _Piece(b"", compact_json(output), (0, None))
        return
    last = fields[-1]
    mark = b"{"
    for name, field in zip(names, fields, strict=True):
        value = getattr(output, field)
        key = compact_json(name)
        after = b"\n}" if field == last else b""
        if isinstance(value, tuple) and len(value) > _ROWS_AT_ONCE:
            yield from _rows(value, mark + b"\n  " + key + b": [", b"\n  ]" + after)
        else:
            # Without the braces around it, which belong to the whole document.
            yield _Piece(mark, b"{" + key + b":" + compact_json(value) + b"}", (1, -2), after)
        mark = b","


def _rows(values: Sequence[object], before: bytes, after: bytes) -> Iterator[_Piece]:
    """Lines of an array in a document, some at a time."""
    for first in range(0, len(values), _ROWS_AT_ONCE):
        some = values[first : first + _ROWS_AT_ONCE]
        array = b'{"":[' + b",".join(map(compact_json, some)) + b"]}"
        last = first + _ROWS_AT_ONCE >= len(values)
        # Without its brackets.
        cut = len(b'{\n  "": ['), -len(b"\n  ]\n}")
        yield _Piece(b"," if first else before, array, cut, after if last else b"")


def compact_json(value: object) -> bytes:
    """JSON without white space.

    Raises:
        ValueError: it holds NaN or an infinity.
    """
    import msgspec

    # msgspec writes a number that is not finite as null, which would look like a missing one.
    with contextlib.suppress(OverflowError, UnicodeEncodeError):
        if not _MAYBE_NOT_FINITE.search(msgspec.msgpack.encode(value)):
            return msgspec.json.encode(value)
    # It refuses what is not finite, and takes integers of any size and, as surrogates, names of
    # files that are not UTF-8.
    text = json.dumps(
        msgspec.to_builtins(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return text.encode("utf-8", "surrogatepass")


def check_writable(path: Path) -> None:
    """Check that :func:`write_whole` can write there, before making what cannot be made again.

    Raises:
        UsageError: the path must not be overwritten, or cannot be written.
    """
    # Nobody who named it looks for a file of that name.
    if str(path) == STANDARD_OUTPUT:
        raise UsageError("cannot write to standard output here: name a file instead of -")
    try:
        _may_be_replaced(path, None)
        folder = path.absolute().parent
        is_there = folder.is_dir()
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    if not is_there:
        raise UsageError(f"cannot write {path}: there is no folder {path.parent}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write {path}: permission denied in {path.parent}")


def write_whole(path: Path, content: bytes, *, never: Path | None = None) -> None:
    """Write ``content`` to a temporary file next to ``path`` and move it there.

    A link, a device, a pipe, a folder or a database is never overwritten, nor is ``never``, the
    store with the content, or SQLite's files next to it.

    Raises:
        UsageError: the path must not be overwritten, or cannot be written.
    """
    try:
        _may_be_replaced(path, never)
        # In the same folder, because rename(2) does not cross file systems.
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        part = Path(name)
        try:
            with open(handle, "wb") as file:
                file.write(content)
                file.flush()
                # Before the rename: else a power cut may leave the new name with nothing in it.
                os.fsync(file.fileno())
            # mkstemp's files are for their owner alone.
            part.chmod(_mode(path))
            part.replace(path)
        # Ctrl-C, too: no half-written file is left beside the target.
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _may_be_replaced(path: Path, never: Path | None) -> None:
    """Check what is at the path.

    Raises:
        UsageError: it must not be overwritten.
        OSError: it cannot be examined.
    """
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
    # By its content, because a hard link to a store has another name.
    with path.open("rb") as file:
        head = file.read(len(_DATABASE))
    beside = next((path.name[: -len(s)] for s in _OF_A_DATABASE if path.name.endswith(s)), None)
    if head == _DATABASE or (beside and path.with_name(beside).exists()):
        raise UsageError(f"cannot write {path}: it is a store, or another database")


def _mode(path: Path) -> int:
    """The mode of the replaced file, or of a new one."""
    if path.exists():
        return path.stat().st_mode & 0o777
    # umask(2) can only be read by setting it.
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
