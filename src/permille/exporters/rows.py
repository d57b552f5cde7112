"""Results as flat rows, for tabular formats."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from permille.analysis.estimates import Interval
from permille.analysis.results import ResultRow, Results
from permille.escaping import plain

_NAMES = ("study", "task", "dataset", "model", "category", "backend", "device")
TYPES: dict[str, type] = {
    **dict.fromkeys((*_NAMES, "metric", "provenance", "boundary", "source", "fingerprint"), str),
    **dict.fromkeys(("weights", "problem"), str),
    **dict.fromkeys(("token_split_method", "token_split_problem", "token_split_warning"), str),
    **dict.fromkeys(("params", "done", "failed", "invalid"), int),
    **dict.fromkeys(("inferences_failed", "inferences_tried"), int),
    **dict.fromkeys(("batch_size", "sessions", "machines"), int),
    "net": bool,
}
"""The types of the columns that are not floating-point numbers."""


def flat_rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per cell, each with the basis of its figures; missing values are None."""
    return (_flat(row, results) for row in results.rows)


def without_controls(row: dict[str, Any]) -> dict[str, Any]:
    """A row without control characters in its text, so that each row is one line and printing it
    cannot affect a terminal."""
    texts = {
        name: plain(value).replace("\t", " ")
        for name, value in row.items()
        if isinstance(value, str)
    }
    return row | texts


def _flat(row: ResultRow, results: Results) -> dict[str, Any]:
    quality, carbon = row.quality, results.carbon
    split, failures = row.token_split, row.inference_failures
    return {
        **{name: getattr(row, name) for name in (*_NAMES, "params")},
        **_with_ends(
            {
                "kwh_per_1000": row.kwh_per_1000,
                "co2e_g_per_1000": row.co2e_g_per_1000,
                "net_kwh_per_1000": row.net_kwh_per_1000,
                **_impacts(row, results),
            }
        ),
        "latency_p50_s": row.latency_s.p50,
        "latency_p95_s": row.latency_s.p95,
        **_with_ends(_serving(row)),
        "token_split_method": split and split.method,
        "token_split_problem": split and split.problem,
        "token_split_warning": split and split.warning,
        "inferences_failed": failures and failures.failed,
        "inferences_tried": failures and failures.tried,
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
        **_evidence(row),
    }


def _evidence(row: ResultRow) -> dict[str, Any]:
    """What a reader must know of a figure before using it."""
    rerun = row.kwh_per_1000.rerun
    return {
        "weights": row.weights,
        "batch_size": row.batch_size,
        "sessions": row.kwh_per_1000.sessions,
        "kwh_per_1000_rerun_low": rerun and rerun.low,
        "kwh_per_1000_rerun_high": rerun and rerun.high,
        "machines": row.machines,
        "disturbed": row.disturbed,
        "problem": row.problem,
    }


def _impacts(row: ResultRow, results: Results) -> dict[str, Interval | None]:
    """Water and embodied carbon, as columns if they were requested."""
    requested: dict[str, Interval | None] = {}
    if results.water is not None:
        requested["water_l_per_1000"] = row.water_l_per_1000
    if results.embodied is not None:
        requested["embodied_g_per_1000"] = row.embodied_g_per_1000
    return requested


def _serving(row: ResultRow) -> dict[str, Interval | None]:
    """Figures of tokens, of other units of work, and of streamed answers."""
    tokens, each, split = row.per_token, row.tokens_each, row.token_split
    figures: dict[str, Interval | None] = {
        "j_per_output_token": tokens.output if tokens else None,
        "j_per_input_token": tokens.input if tokens else None,
        "j_per_token": tokens.all if tokens else None,
        "j_per_image": row.per_unit.get("image"),
        "j_per_audio_second": row.per_unit.get("audio_second"),
        "j_per_embedded_token": row.per_unit.get("embedded_token"),
        "token_split_input_j": split.input if split else None,
        "token_split_output_j": split.output if split else None,
        "token_split_rest_w": split.rest_w if split else None,
        "input_tokens_each": each.input if each else None,
        "output_tokens_each": each.output if each else None,
        "reasoning_tokens_each": each.reasoning if each else None,
        "inferences_per_s": row.inferences_per_s,
        "tokens_per_s": row.tokens_per_s_interval,
    }
    for times, columns in zip((row.request_s, row.ttft_s, row.tpot_s), _TIMES, strict=True):
        for share, column in columns.items():
            figures[column] = getattr(times.intervals, share) if times else None
    return figures


_TIMES = [
    {share: f"{name}_{share}_s" for share in ("p50", "p95", "p99")}
    for name in ("request", "ttft", "tpot")
]
"""Columns of percentiles."""


def _with_ends(figures: dict[str, Interval | None]) -> dict[str, float | None]:
    """A column for each figure and for both ends of its interval."""
    columns: dict[str, float | None] = {}
    for column, figure in figures.items():
        low, high = _ends_of(column)
        if figure is None:
            columns[column] = columns[low] = columns[high] = None
        else:
            columns[column], columns[low], columns[high] = figure.value, figure.low, figure.high
    return columns


@cache
def _ends_of(column: str) -> tuple[str, str]:
    return f"{column}_low", f"{column}_high"
