"""Datasets in local files: JSON Lines and CSV, by column name.

The files are hostile input: read as UTF-8 data, bounded in size, lines and rows, and a row that
cannot be used is left out and named, never guessed at.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from permille.datasets import DatasetSpec, Sample
from permille.datasets.rows import BadRow, Row
from permille.errors import DatasetError
from permille.tasks import Task

MAX_FILE_BYTES = 2 << 30
MAX_LINE_BYTES = 1 << 20
MAX_ROWS = 1_000_000

_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
_BOM = b"\xef\xbb\xbf"


def read(spec: DatasetSpec, task: Task) -> Iterator[Row]:
    """The rows of a file, in its order.

    ``spec.columns`` maps the task's inputs and reference, and ``id``, to the file's column
    names; one that is not given has the task's own name. A sample's id is its line number, or the
    value of the ``id`` column. Labels may be strings, or whole numbers, which become strings.

    Raises:
        DatasetError: no such file, not a kind that is read, too large, a column not there.
    """
    path = Path(spec.path or "")
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise DatasetError(f"{path}: not a .jsonl or .csv file")
    columns = _columns(spec, task)
    try:
        if not path.is_file():
            raise DatasetError(f"{path}: no such file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DatasetError(f"{path} is larger than 2 GiB; take a sample of it")
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
    raw = _read_jsonl(path, columns) if kind == "jsonl" else _read_csv(path, columns)
    return (_row(number, fields, columns, task, spec.labels) for number, fields in raw)


def _columns(spec: DatasetSpec, task: Task) -> dict[str, str]:
    """The file's column for each of the task's names that is used."""
    known = (*task.inputs, *((task.reference,) if task.reference else ()))
    if unknown := sorted(set(spec.columns) - {*known, "id"}):
        raise DatasetError(
            f"dataset {spec.name!r}: no column {unknown[0]!r} is asked for; "
            f"the task knows: {', '.join((*known, 'id'))}"
        )
    columns = {name: spec.columns.get(name, name) for name in known}
    if "id" in spec.columns:
        columns["id"] = spec.columns["id"]
    return columns


_Fields = dict[str, Any] | str
"""A row's fields by column, or what is wrong with the row."""


def _read_jsonl(path: Path, columns: dict[str, str]) -> Iterator[tuple[int, _Fields]]:
    seen: set[str] = set()
    matched = False
    number = 0
    try:
        with path.open("rb") as stream:
            for number, line in _lines(stream, path):
                fields = _parse_json(line)
                if fields is None:
                    continue
                if isinstance(fields, dict) and not matched:
                    seen.update(list(fields)[:50])
                    matched = set(columns.values()) <= fields.keys()
                yield number, fields
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
    if seen and (absent := sorted(set(columns.values()) - seen)) and not matched:
        raise _missing(path, absent, sorted(seen))


def _lines(stream: BinaryIO, path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines; None for one that is too long, which is skipped without keeping it."""
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


def _parse_json(line: bytes | None) -> _Fields | None:
    """The object on a line, what is wrong with it, or None for an empty line."""
    if line is None:
        return "longer than 1 MiB"
    try:
        text = line.decode("utf-8").strip()
        if not text:
            return None
        value = json.loads(text)
    except UnicodeDecodeError:
        return "not UTF-8"
    except (ValueError, RecursionError):
        return "not JSON"
    return value if isinstance(value, dict) else "not a JSON object"


def _read_csv(path: Path, columns: dict[str, str]) -> Iterator[tuple[int, _Fields]]:
    try:
        with path.open("r", encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, None)
            if header is None:
                return
            if absent := sorted(set(columns.values()) - set(header)):
                raise _missing(path, absent, header)
            for count, values in enumerate(reader, 1):
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


def _missing(path: Path, absent: list[str], there: list[str]) -> DatasetError:
    shown = ", ".join(there[:20]) + (", …" if len(there) > 20 else "")
    return DatasetError(f"{path} has no column {absent[0]!r}; it has: {shown}")


def _row(
    number: int, fields: _Fields, columns: dict[str, str], task: Task, labels: tuple[str, ...]
) -> Row:
    """A row's fields as a sample, or why not."""
    if isinstance(fields, str):
        return BadRow(where=f"line {number}", why=fields)
    try:
        reference = _reference(fields, columns, task)
        if labels and reference not in labels:
            raise _Unusable(f"unknown label {reference!r:.60}")
        return Sample(
            id=_word(fields, columns["id"]) if "id" in columns else str(number),
            inputs={name: _text(fields, columns[name]) for name in task.inputs},
            reference=reference,
        )
    except _Unusable as problem:
        return BadRow(where=f"line {number}", why=str(problem))


class _Unusable(Exception):
    """Why a row cannot be used."""


def _reference(fields: dict[str, Any], columns: dict[str, str], task: Task) -> Any:
    if task.reference is None:
        return None
    column, kind = columns[task.reference], task.kinds[task.reference]
    if kind == "label":
        return _word(fields, column)
    return _text(fields, column) if kind == "text" else _texts(fields, column)


def _texts(fields: dict[str, Any], column: str) -> list[str]:
    """A list of texts, which may be empty; one text; or SQuAD's ``{"text": [...]}``."""
    value = fields.get(column)
    if isinstance(value, dict):
        value = value.get("text")
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise _Unusable(f"{column!r} is no text or list of texts")
    return [_text({column: text}, column) for text in value]


def _text(fields: dict[str, Any], column: str) -> str:
    """A column's value: a string that is not blank."""
    value = fields.get(column)
    if value is None:
        raise _Unusable(f"no {column!r}")
    if not isinstance(value, str):
        raise _Unusable(f"{column!r} is not a string")
    if not value.strip():
        raise _Unusable(f"empty {column!r}")
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can name half a surrogate pair
        raise _Unusable(f"{column!r} is not text: a lone surrogate") from None
    return value


def _word(fields: dict[str, Any], column: str) -> str:
    """A label or an id: like a text, without the blanks around it, or a whole number."""
    value = fields.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(fields, column).strip()
