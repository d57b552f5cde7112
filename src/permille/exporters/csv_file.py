"""The results as CSV, one line per cell."""

from __future__ import annotations

from permille.analysis.results import Results
from permille.exporters import IMPACTS, OfResults
from permille.exporters.rows import flat_rows, without_controls
from permille.tabular import as_csv


def _csv(results: Results) -> bytes:
    return as_csv(map(without_controls, flat_rows(results))).encode()


exporter = OfResults(_csv, IMPACTS)
