"""Results as flat rows, for tabular formats."""

from __future__ import annotations

from typing import Any

from permille.analysis.results import ResultRow, Results
from permille.analysis.rows import Interval
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
    flat |= _impacts(row, results)
    quality, carbon = row.quality, results.carbon
    return flat | {
        "latency_p50_s": row.latency_s.p50,
        "latency_p95_s": row.latency_s.p95,
        **_serving(row),
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


def _impacts(row: ResultRow, results: Results) -> dict[str, float | None]:
    """Water and embodied carbon, as columns if they were requested."""
    requested: dict[str, Interval | None] = {}
    if results.water is not None:
        requested["water_l_per_1000"] = row.water_l_per_1000
    if results.embodied is not None:
        requested["embodied_g_per_1000"] = row.embodied_g_per_1000
    return {
        name + suffix: getattr(figure, part) if figure else None
        for name, figure in requested.items()
        for suffix, part in (("", "value"), ("_low", "low"), ("_high", "high"))
    }


def _serving(row: ResultRow) -> dict[str, float | None]:
    """Figures of tokens and streamed answers, with their intervals."""
    tokens = row.per_token
    figures: dict[str, Interval | None] = {
        "j_per_output_token": tokens.output if tokens else None,
        "j_per_input_token": tokens.input if tokens else None,
        "j_per_token": tokens.all if tokens else None,
        "tokens_per_s": row.tokens_per_s_interval,
    }
    for name, times in (("request", row.request_s), ("ttft", row.ttft_s), ("tpot", row.tpot_s)):
        for share in ("p50", "p95", "p99"):
            figures[f"{name}_{share}_s"] = getattr(times.intervals, share) if times else None
    return {
        column + suffix: getattr(figure, part) if figure else None
        for column, figure in figures.items()
        for suffix, part in (("", "value"), ("_low", "low"), ("_high", "high"))
    }
