"""The results as Parquet, one row a cell, each column of one type."""

from __future__ import annotations

from typing import Any

from permille.carbon.settings import CarbonSettings
from permille.exporters import OfResults
from permille.exporters.rows import TYPES, flat_rows
from permille.extras import extra
from permille.tabular import as_parquet


def _parquet(results: dict[str, Any], carbon: CarbonSettings) -> bytes:
    rows = flat_rows(results, carbon)
    with extra("parquet", "export parquet"):
        return as_parquet(rows, {name: TYPES.get(name, float) for name in rows[0]})


exporter = OfResults(_parquet)
