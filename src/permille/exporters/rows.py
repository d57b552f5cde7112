"""Results as flat rows, for formats that are one table."""

from __future__ import annotations

from typing import Any

from permille.carbon.settings import CarbonSettings
from permille.escaping import plain

_NAMES = ("study", "task", "dataset", "model", "category", "backend", "device")
TYPES: dict[str, type] = {
    **dict.fromkeys((*_NAMES, "metric", "provenance", "boundary", "source", "fingerprint"), str),
    **dict.fromkeys(("params", "done", "failed", "invalid"), int),
    "net": bool,
}
"""Of the columns that are no numbers with a fraction."""


def flat_rows(results: dict[str, Any], carbon: CarbonSettings) -> list[dict[str, Any]]:
    """A row a cell, each with what its figures rest on; missing is None."""
    return [_flat(row, results["net"], carbon) for row in results["rows"]]


def without_controls(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose text holds no control characters: a line of the file is a line of the table,
    and printing it does nothing to a terminal."""
    return {
        name: plain(value).replace("\t", " ") if isinstance(value, str) else value
        for name, value in row.items()
    }


def _flat(row: dict[str, Any], net: bool, carbon: CarbonSettings) -> dict[str, Any]:
    quality = row["quality"] or {}
    found = {name: row[name] for name in (*_NAMES, "params")}
    for figure in ("kwh_per_1000", "co2e_g_per_1000", "net_kwh_per_1000"):
        for part in ("value", "low", "high"):
            suffix = "" if part == "value" else f"_{part}"
            found[figure + suffix] = (row[figure] or {}).get(part)
    return found | {
        "latency_p50_s": row["latency_s"]["p50"],
        "latency_p95_s": row["latency_s"]["p95"],
        "metric": quality.get("metric"),
        "quality": quality.get("value"),
        "quality_low": quality.get("low"),
        "quality_high": quality.get("high"),
        **{status: row["trials"][status] for status in ("done", "failed", "invalid")},
        "provenance": row["provenance"],
        "boundary": row["boundary"],
        "net": net,
        "g_per_kwh": carbon.intensity_g_per_kwh,
        "pue": carbon.pue,
        "source": row["source"],
        "fingerprint": row["fingerprint"],
    }
