"""The results as JSON, as `permille results --json` prints them."""

from __future__ import annotations

import io

from permille.analysis.results import Results
from permille.exporters import HARDWARE, IMPACTS, OfResults
from permille.output import json_pieces


def _json(results: Results) -> bytes:
    content = io.BytesIO()
    content.writelines(piece.encode() for piece in json_pieces(results))
    content.write(b"\n")
    return content.getvalue()


exporter = OfResults(_json, IMPACTS | HARDWARE)
