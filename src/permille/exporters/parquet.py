"""The results as Parquet, one row per cell, with typed columns."""

from __future__ import annotations

from permille.analysis.results import Results
from permille.exporters import IMPACTS, OfResults
from permille.exporters.rows import TYPES, columns_of
from permille.extras import extra
from permille.tabular import as_parquet


def _parquet(results: Results) -> bytes:
    columns = columns_of(results)
    with extra("parquet", "export parquet"):
        return as_parquet(columns, {name: TYPES.get(name, float) for name in columns})


# As in csv_file.py.
exporter = OfResults(_parquet, IMPACTS, fronts=False)
