"""The results as CSV, one line per cell."""

from __future__ import annotations

from permille.analysis.results import Results
from permille.exporters import IMPACTS, OfResults
from permille.exporters.rows import columns_of, one_line
from permille.tabular import columns_as_csv


def _csv(results: Results) -> bytes:
    return columns_as_csv(columns_of(results), one_line)


# No column says what is on the Pareto front, and finding it takes a large part of the time.
exporter = OfResults(_csv, IMPACTS, fronts=False)
