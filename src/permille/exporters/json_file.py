"""The results as JSON, as `permille results --json` prints them."""

from __future__ import annotations

import json
from typing import Any

from permille.carbon.settings import CarbonSettings
from permille.exporters import OfResults


def _json(results: dict[str, Any], carbon: CarbonSettings) -> bytes:
    return (json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


exporter = OfResults(_json)
