"""Parquet files, read by DuckDB in a separate process: only the columns that are used.

A file of 1 kB can contain a million texts of many MiB each. The operating system limits the memory
of the process, which returns one row at a time.
"""

from __future__ import annotations

import contextlib
import importlib.util
import resource
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from permille.datasets.media import MAX_BYTES
from permille.datasets.values import Fields, Layout, missing
from permille.errors import DatasetError

MAX_ROWS = 1_000_000
MAX_ROW_BYTES = MAX_BYTES + (1 << 20)
"""The largest row: an image or recording, and a line of text."""
MEMORY_BYTES = 4 << 30
MAX_TOTAL_BYTES = 8 << 30
"""The most bytes of all rows together, which limits the time."""
_BATCH_BYTES, _MOST_ROWS = 8 << 20, 256
_LENGTH = struct.Struct("!I")


class _Request(msgspec.Struct):
    path: str
    columns: list[str]


class _Answer(msgspec.Struct):
    """``row``, or ``too_large`` for a skipped one; ``there``: the file's columns, if a required one
    is missing; ``error``: why there are no more rows."""

    row: list[Any] | None = None
    too_large: bool = False
    there: list[str] | None = None
    error: str | None = None


def read(path: Path, columns: Layout) -> Iterator[tuple[int, Fields]]:
    """Numbered rows, from 1.

    Raises:
        DatasetError: DuckDB is not installed, the file is not Parquet, or a column is missing.
    """
    if importlib.util.find_spec("duckdb") is None:
        raise DatasetError(f"{path}: reading Parquet needs duckdb: pip install 'permille[parquet]'")
    if set(path.name) & set("*?["):
        raise DatasetError(
            f"{path}: DuckDB takes a name with *, ? or [ for a pattern; rename the file"
        )
    return _read(path, columns)


def _read(path: Path, columns: Layout) -> Iterator[tuple[int, Fields]]:
    names = sorted(columns.used)
    with _reader(path, names) as stream:
        for number, answer in enumerate(_answers(stream, path), 1):
            if answer.there is not None:
                raise missing(path, sorted(columns.used - set(answer.there)), answer.there)
            if answer.error is not None:
                raise DatasetError(f"{path} cannot be read as Parquet: {answer.error}")
            if number > MAX_ROWS:
                raise DatasetError(f"{path} has more than {MAX_ROWS:,} rows; take a sample")
            if answer.row is None:
                yield number, f"larger than {MAX_ROW_BYTES >> 20} MiB"
            else:
                yield number, dict(zip(names, answer.row, strict=True))


@contextlib.contextmanager
def _reader(path: Path, names: list[str]) -> Iterator[BinaryIO]:
    # -P: with -m alone, Python searches the current folder for modules first, and a duckdb.py may
    # lie there beside a stranger's dataset (docs.python.org, using/cmdline.html).
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "permille.datasets.parquet"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(msgspec.msgpack.encode(_Request(path=str(path), columns=names)))
        with process.stdout as stdout:
            yield stdout  # type: ignore[misc]
    finally:
        # The consumer may stop early: a reader that still has rows would wait for it.
        process.kill()
        process.wait()


def _answers(stream: BinaryIO, path: Path) -> Iterator[_Answer]:
    decoder = msgspec.msgpack.Decoder(_Answer)
    while True:
        head = stream.read(_LENGTH.size)
        size = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else None
        if size == 0:
            return
        body = stream.read(size) if size is not None and size <= 2 * MAX_ROW_BYTES else b""
        if not body or len(body) != size:
            raise DatasetError(
                f"{path}: its rows need more than {MEMORY_BYTES >> 30} GiB to be read, or its"
                " reader crashed; is it a complete Parquet file?"
            )
        yield decoder.decode(body)


# --- in the separate process -------------------------------------------------------------


def _main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    # By the system: DuckDB's memory_limit is only that of its buffer manager
    # (https://duckdb.org/docs/stable/operations_manual/limits).
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    request = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=_Request)
    try:
        for answer in _rows(request):
            _say(answer)
    except MemoryError:
        _say(_Answer(error=f"its rows need more than {MEMORY_BYTES >> 30} GiB"))
    # A length of 0 is the end: a stream that only stops is that of a reader which was killed.
    sys.stdout.buffer.write(_LENGTH.pack(0))
    sys.stdout.buffer.flush()


def _rows(request: _Request) -> Iterator[_Answer]:
    import duckdb

    try:
        # One thread: each has buffers of its own, all of them within one limit.
        with duckdb.connect(config={"threads": 1, "memory_limit": "1GB"}) as connection:
            result = connection.execute("SELECT * FROM read_parquet(?) LIMIT 0", [request.path])
            there = [column[0] for column in result.description or ()]
            if not set(request.columns) <= set(there):
                yield _Answer(there=there)
                return
            # SQL has no parameters for names; a quote in one is doubled.
            listed = ", ".join('"' + name.replace('"', '""') + '"' for name in request.columns)
            result = connection.execute(f"SELECT {listed} FROM read_parquet(?)", [request.path])
            rows = 1  # one row at first and after a large one; more while rows are small
            total = 0
            while batch := result.fetchmany(rows):
                largest = 0
                for values in batch:
                    size = _bytes_of(values)
                    largest = max(largest, size)
                    total += size
                    large = size > MAX_ROW_BYTES
                    yield _Answer(too_large=True) if large else _Answer(row=list(values))
                if total > MAX_TOTAL_BYTES:
                    yield _Answer(error=f"its rows are more than {MAX_TOTAL_BYTES >> 30} GiB")
                    return
                rows = min(2 * rows, _MOST_ROWS, max(1, _BATCH_BYTES // (largest or 1)))
    except duckdb.Error as error:
        yield _Answer(error=(str(error).splitlines() or [""])[0][:200])


def _bytes_of(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(_bytes_of(inner) for pair in value.items() for inner in pair)
    if isinstance(value, list | tuple):
        return sum(map(_bytes_of, value))
    return 8


def _say(answer: _Answer) -> None:
    # No task uses the types that msgpack cannot encode (dates, decimals): they become empty.
    body = msgspec.msgpack.encode(answer, enc_hook=lambda value: {})
    sys.stdout.buffer.write(_LENGTH.pack(len(body)) + body)


if __name__ == "__main__":
    _main()
