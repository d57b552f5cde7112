"""Rows and columns as CSV that is safe to open in a spreadsheet, and as Parquet."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from permille.escaping import inert

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TYPES = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR"}


def as_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """A header, and one line per row; all rows have the keys of the first. Text that a spreadsheet
    could interpret as a formula is prefixed with an apostrophe (OWASP, CSV Injection). None is an
    empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    names: list[str] | None = None
    for row in rows:
        if names is None:
            names = list(row)
            writer.writerow(names)
        writer.writerow(
            [inert(v) if isinstance(v, str) else v for v in map(row.__getitem__, names)]
        )
    return out.getvalue()


def columns_as_csv(columns: Mapping[str, Sequence[Any]], clean: Callable[[str], str]) -> bytes:
    """The same of columns of equal length, in UTF-8; ``clean`` is applied to every text."""
    content = io.BytesIO()
    # Not StringIO, which has four bytes for each character.
    out = io.TextIOWrapper(content, "utf-8", newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_clean(values, clean) for values in columns.values()), strict=True))
    out.flush()
    return content.getvalue()


def _clean(values: Sequence[Any], clean: Callable[[str], str]) -> Sequence[Any]:
    """Values with harmless text. Most columns have none, or few distinct ones."""
    if not any(issubclass(kind, str) for kind in set(map(type, values))):
        return values
    texts = {text: inert(clean(text)) for text in set(values) if isinstance(text, str)}
    return [texts.get(value, value) for value in values]


def as_parquet(columns: Mapping[str, Sequence[Any]], types: Mapping[str, type]) -> bytes:
    """The columns, which are of equal length; a column's type does not depend on missing values."""
    import duckdb

    declared = ", ".join(f'"{name}" {_TYPES[types[name]]}' for name in columns)
    number = max(map(len, columns.values()))
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as db:
        db.execute(f"CREATE TABLE result ({declared})")
        for first in range(0, number, _ROWS_AT_ONCE):
            some = {name: values[first : first + _ROWS_AT_ONCE] for name, values in columns.items()}
            _insert(db, some, types)
        return parquet_of(db, "SELECT * FROM result", [], Path(folder))


_ROWS_AT_ONCE = 2_000
"""Rows that duckdb gets at once: one at a time takes minutes, and all at once much memory."""


def _insert(
    db: DuckDBPyConnection, columns: Mapping[str, Sequence[Any]], types: Mapping[str, type]
) -> None:
    number = max(map(len, columns.values()))
    # Makes the rows: columns that are all missing have none of their own.
    selected, lists = ['unnest(range(?)) AS "#"'], list[Any]([number])
    for name, values in columns.items():
        if values.count(None) == number:  # most columns; they take no time
            selected.append(f'NULL AS "{name}"')
        else:
            selected.append(f'unnest(?::{_TYPES[types[name]]}[]) AS "{name}"')
            lists.append(values)
    rows = f"SELECT {', '.join(selected)}"
    db.execute(f'INSERT INTO result SELECT * EXCLUDE ("#") FROM ({rows})', lists)


def parquet_of(db: DuckDBPyConnection, sql: str, values: Sequence[Any], folder: Path) -> bytes:
    """The result of a query, through a file in ``folder``, the only place that a locked-down
    connection can write to."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".parquet") as file:
        # The file name is generated here; COPY does not accept a parameter for it.
        db.execute(f"COPY ({sql}) TO '{file.name}' (FORMAT parquet)", values)
        return Path(file.name).read_bytes()
