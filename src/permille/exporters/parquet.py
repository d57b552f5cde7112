"""The results as Parquet, one row per cell, with typed columns."""

from __future__ import annotations

from permille.analysis.results import Results
from permille.exporters import IMPACTS, OfResults
from permille.exporters.rows import TYPES, flat_rows
from permille.extras import extra
from permille.tabular import as_parquet


def _parquet(results: Results) -> bytes:
    names = next(flat_rows(results))
    with extra("parquet", "export parquet"):
        return as_parquet(flat_rows(results), {name: TYPES.get(name, float) for name in names})


exporter = OfResults(_parquet, IMPACTS)
