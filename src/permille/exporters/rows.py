"""Results as flat columns, for tabular formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from permille.analysis.results import ResultRow, Results
from permille.carbon.footprint import footprint
from permille.escaping import plain

_NAMES = ("study", "task", "dataset", "model", "category", "backend", "device")
# Stated, and not found from the values: a column in which everything is missing must have the type
# that it has in another export, or Parquet files could not be read together.
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


def columns_of(results: Results) -> dict[str, list[Any]]:
    """A value per cell in each column, with the basis of the figures; missing values are None."""
    # By column: row by row, Parquet of 15,000 rows took 81 s of processor time, and now 1.3 s.
    rows, carbon = results.rows, results.carbon
    latency, lag, split, failures = (
        _each(rows, name)
        for name in ("latency_s", "schedule_lag_s", "token_split", "inference_failures")
    )
    quality, trials = _each(rows, "quality"), _each(rows, "trials")
    return {
        **{name: _each(rows, name) for name in (*_NAMES, "params")},
        **_with_ends(_energies(results)),
        **_market(results),
        "latency_p50_s": _each(latency, "p50"),
        "latency_p95_s": _each(latency, "p95"),
        **{f"schedule_lag_{name}_s": _each(lag, name) for name in ("p50", "p95", "most")},
        **_with_ends(_serving(rows)),
        "token_split_method": _each(split, "method"),
        "token_split_problem": _each(split, "problem"),
        "token_split_warning": _each(split, "warning"),
        "inferences_failed": _each(failures, "failed"),
        "inferences_tried": _each(failures, "tried"),
        "metric": _each(quality, "metric"),
        "quality": _each(quality, "value"),
        "quality_low": _each(quality, "low"),
        "quality_high": _each(quality, "high"),
        "done": _each(trials, "done"),
        "failed": _each(trials, "failed"),
        "invalid": _each(trials, "invalid"),
        "provenance": _each(rows, "provenance"),
        "boundary": _each(rows, "boundary"),
        # In every row: a table has no other place for what holds for all of them.
        "net": [results.net] * len(rows),
        "g_per_kwh": [carbon.intensity_g_per_kwh] * len(rows),
        "pue": [carbon.pue] * len(rows),
        "source": _each(rows, "source"),
        "fingerprint": _each(rows, "fingerprint"),
        **_evidence(rows),
    }


def without_controls(row: dict[str, Any]) -> dict[str, Any]:
    """A row without control characters in its text, so that each row is one line and printing it
    cannot affect a terminal."""
    return row | {name: one_line(value) for name, value in row.items() if isinstance(value, str)}


def one_line(text: str) -> str:
    """Text without control characters."""
    return plain(text).replace("\t", " ")


def _each(records: Sequence[Any], name: str) -> list[Any]:
    """One field of each record; None where there is no record."""
    return [None if record is None else getattr(record, name) for record in records]


def _evidence(rows: Sequence[ResultRow]) -> dict[str, list[Any]]:
    """What a reader must know of a figure before using it."""
    energy = _each(rows, "kwh_per_1000")
    rerun = _each(energy, "rerun")
    return {
        "weights": _each(rows, "weights"),
        "batch_size": _each(rows, "batch_size"),
        "sessions": _each(energy, "sessions"),
        "kwh_per_1000_rerun_low": _each(rerun, "low"),
        "kwh_per_1000_rerun_high": _each(rerun, "high"),
        "machines": _each(rows, "machines"),
        "disturbed": _each(rows, "disturbed"),
        "problem": _each(rows, "problem"),
    }


def _energies(results: Results) -> dict[str, list[Any]]:
    """Energy and carbon, and water and embodied carbon if they were requested."""
    names = ["kwh_per_1000", "co2e_g_per_1000", "net_kwh_per_1000"]
    if results.water is not None:
        names.append("water_l_per_1000")
    if results.embodied is not None:
        names.append("embodied_g_per_1000")
    return {name: _each(results.rows, name) for name in names}


def _market(results: Results) -> dict[str, list[Any]]:
    """The market-based carbon, if it was requested."""
    if results.carbon.market_intensity_g_per_kwh is None:
        return {}
    # Computed here: a row has it of the value, but not of the ends of the interval.
    return {
        f"market_co2e_g_per_1000{suffix}": [
            None if kwh is None else footprint(kwh, results.carbon, row.boundary).market_g
            for row in results.rows
            for kwh in [getattr(row.kwh_per_1000, end)]
        ]
        for suffix, end in (("", "value"), ("_low", "low"), ("_high", "high"))
    }


def _serving(rows: Sequence[ResultRow]) -> dict[str, list[Any]]:
    """Figures of tokens, of other units of work, and of streamed answers."""
    tokens, each, split = (
        _each(rows, name) for name in ("per_token", "tokens_each", "token_split")
    )
    return {
        "j_per_output_token": _each(tokens, "output"),
        "j_per_input_token": _each(tokens, "input"),
        "j_per_token": _each(tokens, "all"),
        "j_per_image": [row.per_unit.get("image") for row in rows],
        "j_per_audio_second": [row.per_unit.get("audio_second") for row in rows],
        "j_per_embedded_token": [row.per_unit.get("embedded_token") for row in rows],
        "token_split_input_j": _each(split, "input"),
        "token_split_output_j": _each(split, "output"),
        "token_split_rest_w": _each(split, "rest_w"),
        "input_tokens_each": _each(each, "input"),
        "output_tokens_each": _each(each, "output"),
        "reasoning_tokens_each": _each(each, "reasoning"),
        "inferences_per_s": _each(rows, "inferences_per_s"),
        "tokens_per_s": _each(rows, "tokens_per_s_interval"),
        **_percentiles("request", _each(rows, "request_s")),
        **_percentiles("ttft", _each(rows, "ttft_s")),
        **_percentiles("tpot", _each(rows, "tpot_s")),
    }


def _percentiles(name: str, times: Sequence[Any]) -> dict[str, list[Any]]:
    intervals = _each(times, "intervals")
    return {f"{name}_{share}_s": _each(intervals, share) for share in ("p50", "p95", "p99")}


def _with_ends(figures: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """A column for each figure and for both ends of its interval."""
    columns = {}
    for name, intervals in figures.items():
        columns[name] = _each(intervals, "value")
        columns[f"{name}_low"] = _each(intervals, "low")
        columns[f"{name}_high"] = _each(intervals, "high")
    return columns
