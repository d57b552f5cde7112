"""Results as flat rows, for tabular formats."""

from __future__ import annotations

from typing import Any

from permille.analysis.results import ResultRow, Results
from permille.escaping import plain

_NAMES = ("study", "task", "dataset", "model", "category", "backend", "device")
TYPES: dict[str, type] = {
    **dict.fromkeys((*_NAMES, "metric", "provenance", "boundary", "source", "fingerprint"), str),
    **dict.fromkeys(("params", "done", "failed", "invalid"), int),
    "net": bool,
}
"""The types of the columns that are not floating-point numbers."""


def flat_rows(results: Results) -> list[dict[str, Any]]:
    """One row per cell, each with the basis of its figures; missing values are None."""
    return [_flat(row, results) for row in results.rows]


def without_controls(row: dict[str, Any]) -> dict[str, Any]:
    """A row without control characters in its text, so that each row is one line and printing it
    cannot affect a terminal."""
    return {
        name: plain(value).replace("\t", " ") if isinstance(value, str) else value
        for name, value in row.items()
    }


def _flat(row: ResultRow, results: Results) -> dict[str, Any]:
    flat: dict[str, Any] = {name: getattr(row, name) for name in (*_NAMES, "params")}
    for name in ("kwh_per_1000", "co2e_g_per_1000", "net_kwh_per_1000"):
        figure = getattr(row, name)
        for part in ("value", "low", "high"):
            suffix = "" if part == "value" else f"_{part}"
            flat[name + suffix] = figure and getattr(figure, part)
    quality, carbon = row.quality, results.carbon
    return flat | {
        "latency_p50_s": row.latency_s.p50,
        "latency_p95_s": row.latency_s.p95,
        "metric": quality and quality.metric,
        "quality": quality and quality.value,
        "quality_low": quality and quality.low,
        "quality_high": quality and quality.high,
        "done": row.trials.done,
        "failed": row.trials.failed,
        "invalid": row.trials.invalid,
        "provenance": row.provenance,
        "boundary": row.boundary,
        "net": results.net,
        "g_per_kwh": carbon.intensity_g_per_kwh,
        "pue": carbon.pue,
        "source": row.source,
        "fingerprint": row.fingerprint,
    }
