"""Rows as a Parquet file, by DuckDB."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_TYPES = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR"}


def as_parquet(rows: Sequence[Mapping[str, Any]], types: Mapping[str, type]) -> bytes:
    """The rows, which all have the keys of ``types``; a column's type does not depend on what is
    missing in it."""
    import duckdb

    columns = ", ".join(f'"{name}" {_TYPES[kind]}' for name, kind in types.items())
    places = ", ".join("?" for _ in types)
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as db:
        db.execute(f"CREATE TABLE result ({columns})")
        db.executemany(
            f"INSERT INTO result VALUES ({places})", [[row[name] for name in types] for row in rows]
        )
        # The file's name is ours; COPY takes no parameter in its place.
        file = Path(folder) / "result.parquet"
        db.execute(f"COPY result TO '{file}' (FORMAT parquet)")
        return file.read_bytes()
