"""Parquet files, read by DuckDB: only the columns that are used, a batch of rows at a time."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from permille.datasets.values import Fields, Layout, missing
from permille.errors import DatasetError

MAX_ROWS = 1_000_000
_BATCH = 256


def read(path: Path, columns: Layout) -> Iterator[tuple[int, Fields]]:
    """Numbered rows, from 1.

    Raises:
        DatasetError: DuckDB is not installed, the file is not Parquet, or a column is not there.
    """
    if importlib.util.find_spec("duckdb") is None:
        raise DatasetError(f"{path}: Parquet is read with duckdb: pip install 'permille[parquet]'")
    if set(path.name) & set("*?["):
        raise DatasetError(f"{path}: a name with *, ? or [ means several files here; rename it")
    return _read(path, columns)


def _read(path: Path, columns: Layout) -> Iterator[tuple[int, Fields]]:
    import duckdb

    try:
        with duckdb.connect(config={"threads": 1, "memory_limit": "1GB"}) as connection:
            found = connection.execute("SELECT * FROM read_parquet(?) LIMIT 0", [str(path)])
            there = [column[0] for column in found.description or ()]
            if absent := sorted(columns.used - set(there)):
                raise missing(path, absent, there)
            names = sorted(columns.used)
            listed = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
            found = connection.execute(f"SELECT {listed} FROM read_parquet(?)", [str(path)])
            number = 0
            while batch := found.fetchmany(_BATCH):
                for values in batch:
                    number += 1
                    if number > MAX_ROWS:
                        raise DatasetError(f"{path} has more than {MAX_ROWS:,} rows; take a sample")
                    yield number, dict(zip(names, values, strict=True))
    except duckdb.Error as error:
        said = (str(error).splitlines() or [""])[0][:200]
        raise DatasetError(f"{path} cannot be read as Parquet: {said}") from error
