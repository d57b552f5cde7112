"""The results as JSON, as `permille results --json` prints them."""

from __future__ import annotations

import json

import msgspec

from permille.analysis.results import Results
from permille.exporters import HARDWARE, IMPACTS, OfResults


def _json(results: Results) -> bytes:
    payload = msgspec.to_builtins(results)
    return (json.dumps(payload, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


exporter = OfResults(_json, IMPACTS | HARDWARE)
