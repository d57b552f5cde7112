"""Results as the ``model-index`` of a model card's metadata (YAML)."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Any

from permille.analysis.results import ResultRow, Results
from permille.exporters import Export, ExportRequest, basis
from permille.exporters.single import check_of_one_model, named, shown, whole_rows
from permille.units import wh_from_kwh

if TYPE_CHECKING:
    from huggingface_hub import EvalResult


class ModelIndex:
    """The results of one model: a metric for energy, carbon and quality each. Rows without an
    interval or a provenance are left out, with a note."""

    def refusal(self, given: Set[str]) -> str | None:
        """Every option is supported."""
        return None

    def export(self, request: ExportRequest) -> Export:
        """The ``model-index`` key of the metadata, written by huggingface_hub.

        Raises:
            UsageError: the rows are of several models, or of replica weights.
        """
        results = request.results()
        check_of_one_model(results, "a model-index")
        whole, notes = whole_rows(results)
        content = _yaml(whole, results) if whole else b""
        return Export(content, len(whole), notes)


def _yaml(rows: list[ResultRow], results: Results) -> bytes:
    from huggingface_hub import ModelCardData

    metrics = [metric for row in rows for metric in _metrics(row, results)]
    data = ModelCardData(model_name=named(rows[0]), eval_results=metrics)
    text: str = data.to_yaml()
    return text.encode() + b"\n"


def _metrics(row: ResultRow, results: Results) -> list[EvalResult]:
    """The energy (Wh) and carbon (gCO2e) of 1,000 inferences, and the quality if it is known."""
    kwh, grams = row.kwh_per_1000, row.co2e_g_per_1000
    energy, run = basis.counted_energy(row, results), basis.measuring(row)
    words = f"{row.boundary}, {row.provenance}" + (", above idle" if results.net else "")
    wh = [None if end is None else wh_from_kwh(end) for end in (kwh.value, kwh.low, kwh.high)]
    metrics = [
        _metric(row, "energy", f"Wh per 1,000 inferences ({words})", wh, energy | run),
        _metric(
            row,
            "co2e",
            f"gCO2e per 1,000 inferences ({words})",
            [grams.value, grams.low, grams.high],
            energy | basis.grid(results) | run,
        ),
    ]
    quality = row.quality
    if quality is not None:
        figures = [quality.value, quality.low, quality.high]
        on = {"samples": quality.n, "lower_is_better": quality.lower_is_better}
        metrics.append(_metric(row, shown(quality.metric), None, figures, on | run))
    return metrics


def _metric(
    row: ResultRow,
    kind: str,
    name: str | None,
    figures: list[float | None],
    rest: dict[str, Any],
) -> EvalResult:
    from huggingface_hub import EvalResult

    value, low, high = figures
    # model-index has no interval and no basis; args are free, and ModelCard gives them back.
    args = {"low": low, "high": high, "interval": "95 %", **rest}
    return EvalResult(
        task_type=shown(row.task),
        # Required, the dataset's id on the Hub. One's own file has only its name.
        dataset_type=shown(row.dataset),
        dataset_name=shown(row.dataset),
        metric_type=kind,
        metric_value=value,
        metric_name=name,
        metric_args={key: item for key, item in args.items() if item is not None},
    )


exporter = ModelIndex()
"""For the metadata at the head of a model card."""
