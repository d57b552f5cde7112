"""The results as CSV, one line a cell."""

from __future__ import annotations

from typing import Any

from permille.carbon.settings import CarbonSettings
from permille.exporters import OfResults
from permille.exporters.rows import flat_rows, without_controls
from permille.tabular import as_csv


def _csv(results: dict[str, Any], carbon: CarbonSettings) -> bytes:
    return as_csv([without_controls(row) for row in flat_rows(results, carbon)]).encode()


exporter = OfResults(_csv)
