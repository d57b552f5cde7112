"""The results as JSON, as `permille results --json` prints them."""

from __future__ import annotations

from permille.analysis.results import Results
from permille.exporters import HARDWARE, IMPACTS, OfResults
from permille.output import json_text


def _json(results: Results) -> bytes:
    return (json_text(results) + "\n").encode()


exporter = OfResults(_json, IMPACTS | HARDWARE)
