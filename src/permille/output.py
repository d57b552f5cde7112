"""What is written for the user: JSON documents, and files, completely or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from permille.errors import UsageError

if TYPE_CHECKING:
    from permille.records import Record

_DATABASE = b"SQLite format 3\0"
_OF_A_DATABASE = ("-wal", "-shm", "-journal")
_BEYOND_ASCII = re.compile(r"[^\n -~]+")


def json_text(output: Record, *, ascii_only: bool = False) -> str:
    """One JSON document, indented by two spaces. NaN is refused: it is not JSON.

    As ``json.dumps`` with an indent has it, in a fifth of the time.
    """
    import msgspec

    # A path of a file may hold what is not UTF-8, as surrogates.
    compact = "".join(_parts(output)).encode("utf-8", "surrogatepass")
    text = msgspec.json.format(compact, indent=2).decode("utf-8", "surrogatepass")
    return _BEYOND_ASCII.sub(lambda some: json.dumps(some[0])[1:-1], text) if ascii_only else text


def _parts(output: Record) -> Iterator[str]:
    """The document without white space. Of many rows, one at a time becomes a dictionary."""
    if output.__struct_config__.omit_defaults:
        yield _compact(output)
        return
    mark = "{"
    for name, field in zip(output.__struct_encode_fields__, output.__struct_fields__, strict=True):
        value = getattr(output, field)
        yield f"{mark}{json.dumps(name, ensure_ascii=False)}:"
        if isinstance(value, tuple):
            yield "["
            for number, item in enumerate(value):
                yield ("," if number else "") + _compact(item)
            yield "]"
        else:
            yield _compact(value)
        mark = ","
    yield "}" if mark == "," else "{}"


def _compact(value: object) -> str:
    import msgspec

    payload = msgspec.to_builtins(value)
    return json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


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
