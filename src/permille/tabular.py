"""Rows as CSV that is safe to open in a spreadsheet, and as Parquet."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from permille.escaping import inert

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_AT_ONCE = 1_000
"""Rows that are inserted by one statement."""
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


def as_parquet(rows: Iterable[Mapping[str, Any]], types: Mapping[str, type]) -> bytes:
    """The rows, which all have the keys of ``types``; a column's type does not depend on missing
    values."""
    import duckdb

    columns = ", ".join(f'"{name}" {_TYPES[kind]}' for name, kind in types.items())
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as db:
        db.execute(f'CREATE TABLE result ("#" BIGINT, {columns})')
        given = iter(rows)
        while some := list(islice(given, _AT_ONCE)):  # by column: a row at a time takes minutes
            lists = {name: [row[name] for row in some] for name in types}
            # Columns without a value, which are most of them, take no time.
            known = [name for name, values in lists.items() if values.count(None) < len(values)]
            names = ", ".join(f'"{name}"' for name in ("#", *known))
            values = ", ".join(f"unnest(?::{_TYPES[types[name]]}[])" for name in known)
            db.execute(
                f"INSERT INTO result ({names}) SELECT unnest(range(?)){values and ', '}{values}",
                [len(some), *(lists[name] for name in known)],
            )
        return parquet_of(db, 'SELECT * EXCLUDE ("#") FROM result', [], Path(folder))


def parquet_of(db: DuckDBPyConnection, sql: str, values: Sequence[Any], folder: Path) -> bytes:
    """The result of a query, through a file in ``folder``, the only place that a locked-down
    connection can write to."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".parquet") as file:
        # The file name is generated here; COPY does not accept a parameter for it.
        db.execute(f"COPY ({sql}) TO '{file.name}' (FORMAT parquet)", values)
        return Path(file.name).read_bytes()
