"""Rows as CSV that is safe to open in a spreadsheet, and as Parquet."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from permille.escaping import inert

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TYPES = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR"}


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """A header, and one line per row; all rows have the keys of the first. Text that a spreadsheet
    could interpret as a formula is prefixed with an apostrophe (OWASP, CSV Injection). None is an
    empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    names = list(rows[0]) if rows else []
    if names:
        writer.writerow(names)
    for values in ([row[name] for name in names] for row in rows):
        writer.writerow([inert(v) if isinstance(v, str) else v for v in values])
    return out.getvalue()


def as_parquet(rows: Sequence[Mapping[str, Any]], types: Mapping[str, type]) -> bytes:
    """The rows, which all have the keys of ``types``; a column's type does not depend on missing
    values."""
    import duckdb

    columns = ", ".join(f'"{name}" {_TYPES[kind]}' for name, kind in types.items())
    places = ", ".join("?" for _ in types)
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as db:
        db.execute(f"CREATE TABLE result ({columns})")
        db.executemany(
            f"INSERT INTO result VALUES ({places})", [[row[name] for name in types] for row in rows]
        )
        return parquet_of(db, "SELECT * FROM result", [], Path(folder))


def parquet_of(db: DuckDBPyConnection, sql: str, values: Sequence[Any], folder: Path) -> bytes:
    """The result of a query, through a file in ``folder``, the only place that a locked-down
    connection can write to."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".parquet") as file:
        # The file name is generated here; COPY does not accept a parameter for it.
        db.execute(f"COPY ({sql}) TO '{file.name}' (FORMAT parquet)", values)
        return Path(file.name).read_bytes()
