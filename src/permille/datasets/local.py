"""Datasets in local files: JSON Lines, CSV, Parquet and image folders, by column name.

The files are hostile input: they are read as UTF-8 and limited in size, lines and rows. A bad row
is skipped and named, never guessed.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from permille.datasets import folders, parquet
from permille.datasets.rows import Row
from permille.datasets.values import Fields, Layout, layout, missing, row
from permille.errors import DatasetError
from permille.workload.protocols import Task
from permille.workload.specs import DatasetSpec

MAX_FILE_BYTES = 2 << 30
MAX_LINE_BYTES = 1 << 20
MAX_ROWS = 1_000_000

_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
_BOM = b"\xef\xbb\xbf"


def read(spec: DatasetSpec, task: Task) -> Iterator[Row]:
    """The rows of a file, in order.

    ``spec.columns`` maps the task's inputs and reference, and ``id``, to the file's columns; a
    column that is not mapped has the task's own name. A sample's id is its line number, or the
    value of the ``id`` column. Labels may be strings, or whole numbers, which become strings.

    Raises:
        DatasetError: no such file, an unsupported kind of file, too large, or a missing column.
    """
    path = Path(spec.path or "")
    try:
        if path.is_dir():
            return folders.read(path, spec, task, read_file=read)
        kind = _SUFFIXES.get(path.suffix.lower())
        if kind is None:
            raise DatasetError(f"{path}: not a .jsonl, .csv or .parquet file, nor a folder")
        if not path.is_file():
            raise DatasetError(f"{path}: no such file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DatasetError(f"{path} is larger than 2 GiB; take a sample of it")
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
    columns = layout(spec, task, root=path.parent)
    readers = {"jsonl": _read_jsonl, "csv": _read_csv, "parquet": parquet.read}
    raw = readers[kind](path, columns)
    return (row(f"{_UNIT[kind]} {number}", number, fields, columns) for number, fields in raw)


_UNIT = {"jsonl": "line", "csv": "line", "parquet": "row"}


def _read_jsonl(path: Path, columns: Layout) -> Iterator[tuple[int, Fields]]:
    names: set[str] = set()
    matched = False
    number = 0
    try:
        with path.open("rb") as stream:
            for number, line in _lines(stream, path):
                fields = _parse_json(line)
                if fields is None:
                    continue
                if isinstance(fields, dict) and not matched:
                    names.update(list(fields)[:50])
                    matched = columns.used <= fields.keys()
                yield number, fields
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
    # Only after the last row: JSON lines may leave keys out, so a column that the first rows lack
    # may still come.
    if names and (absent := sorted(columns.used - names)) and not matched:
        raise missing(path, absent, sorted(names))


def _lines(stream: BinaryIO, path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines; None for a line that is too long, which is skipped without storing it."""
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number > MAX_ROWS:
            raise DatasetError(f"{path} has more than {MAX_ROWS:,} rows; take a sample of it")
        if number == 1:
            line = line.removeprefix(_BOM)
        too_long = len(line) > MAX_LINE_BYTES
        rest = line
        while too_long and rest and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES)
        yield number, None if too_long else line


def _parse_json(line: bytes | None) -> Fields | None:
    """The object on a line, the error in it, or None for an empty line."""
    if line is None:
        return "longer than 1 MiB"
    try:
        text = line.decode("utf-8").strip()
        if not text:
            return None
        value = json.loads(text)
    except UnicodeDecodeError:
        return "not UTF-8"
    except (ValueError, RecursionError):  # RecursionError: thousands of brackets
        return "not JSON"
    return value if isinstance(value, dict) else "not a JSON object"


def _read_csv(path: Path, columns: Layout) -> Iterator[tuple[int, Fields]]:
    # The csv module's own limit, 128 KiB a field, is less than a document may have, and holds for
    # the whole process (docs.python.org, csv.field_size_limit).
    others = csv.field_size_limit(MAX_LINE_BYTES)
    try:
        with path.open("rb") as stream:
            text = _CsvText(stream, path)
            # strict: otherwise, the csv module takes broken quoting for text.
            reader = csv.reader(text, strict=True)
            header = next(reader, None)
            if header is None:
                return
            if absent := sorted(columns.used - set(header)):
                raise missing(path, absent, header)
            if twice := [name for name in sorted(columns.used) if header.count(name) > 1]:
                raise DatasetError(
                    f"{path} has two columns called {twice[0]!r}: rename the one not to be used"
                )
            for count, values in enumerate(reader, 1):
                text.row_bytes = 0
                if count > MAX_ROWS:
                    raise DatasetError(f"{path} has more than {MAX_ROWS:,} rows; take a sample")
                if not values:
                    continue
                if len(values) != len(header):
                    yield reader.line_num, f"{len(values)} fields, the header has {len(header)}"
                else:
                    yield reader.line_num, dict(zip(header, values, strict=True))
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8; save it as UTF-8") from error
    except csv.Error as error:
        raise DatasetError(f"{path}, line {reader.line_num}: not CSV: {error}") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
    finally:
        csv.field_size_limit(others)


class _CsvText:
    """Lines for the csv module, which has no limit on their length. A row may have several:
    ``row_bytes`` adds them up, and the consumer of the row resets it to 0."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._lines = self._read(stream, path)
        self.row_bytes = 0

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def _read(self, stream: BinaryIO, path: Path) -> Iterator[str]:
        number = 0
        # A "\r" alone may end a line, as in files from old Macs; csv needs such lines separately.
        while chunk := stream.readline(MAX_LINE_BYTES + 1):
            self.row_bytes += len(chunk)
            if self.row_bytes > MAX_LINE_BYTES:
                raise DatasetError(
                    f"{path}, line {number + 1}: a row is longer than {MAX_LINE_BYTES >> 20} MiB;"
                    " is this a CSV file?"
                )
            if number == 0:
                chunk = chunk.removeprefix(_BOM)
            number += 1
            yield from io.StringIO(chunk.decode("utf-8"), newline="")
