"""Columns as Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from permille.tabular import as_parquet


def test_columns_that_are_missing_for_a_while_keep_their_places(tmp_path: Path) -> None:
    """duckdb gets some rows at a time, in which a column may be all missing."""
    duckdb = pytest.importorskip("duckdb")
    rows = range(4_500)
    columns: dict[str, list[Any]] = {
        "number": list(rows),
        "late": [None if n < 4_100 else n / 7 for n in rows],
        "text": [f"row {n}" if 1_990 < n < 2_010 else None for n in rows],
        "never": [None for _ in rows],
    }
    path = tmp_path / "columns.parquet"
    types = {"number": int, "late": float, "text": str, "never": bool}
    path.write_bytes(as_parquet(columns, types))
    with duckdb.connect() as db:
        found = db.execute(f"SELECT * FROM '{path}'").fetchall()
        described = db.execute(f"DESCRIBE SELECT * FROM '{path}'").fetchall()
    assert found == list(zip(*columns.values(), strict=True))
    assert [(name, kind) for name, kind, *_ in described] == [
        ("number", "BIGINT"),
        ("late", "DOUBLE"),
        ("text", "VARCHAR"),
        ("never", "BOOLEAN"),
    ]
