"""Results for services that follow benchmarks over commits: Bencher, github-action-benchmark.

Their files have a name, a value and a range for each benchmark. The boundary and the provenance are
part of the name: a measured figure is never charted as the successor of an estimate.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Set
from typing import Any, NamedTuple

from permille.analysis.comparable import OURS
from permille.analysis.results import ResultRow, Results
from permille.errors import UsageError
from permille.exporters import Export, ExportRequest
from permille.exporters.single import boundary_text, provenance_text, shown, whole_rows
from permille.units import wh_from_kwh


class EnergyPoint(NamedTuple):
    """One benchmark: the energy of 1,000 inferences with its 95 % interval (Wh)."""

    name: str
    wh: float
    low_wh: float
    high_wh: float
    extra: str


class Continuous:
    """One benchmark per row. Rows without an interval are left out, with a note."""

    def __init__(self, document: Callable[[list[EnergyPoint]], Any]) -> None:
        self._document = document

    def refusal(self, given: Set[str]) -> str | None:
        """Every option is supported."""
        return None

    def export(self, request: ExportRequest) -> Export:
        """The file as JSON.

        Raises:
            UsageError: two rows would have the same name.
        """
        results = request.results()
        rows, notes = whole_rows(results)
        points = [point for row in rows for point in _points(row, results)]
        # Bencher's format has names as keys, so the last of two figures would replace the first.
        for name, count in Counter(point.name for point in points).items():
            if count > 1:
                raise UsageError(
                    f"{count} figures are called {name!r}, of several studies, machines or"
                    " settings: choose one with --study, or export each machine's store"
                )
        text = json.dumps(self._document(points), indent=2, ensure_ascii=False)
        return Export(text.encode() + b"\n", len(points), notes)


def _points(row: ResultRow, results: Results) -> list[EnergyPoint]:
    """The row's benchmark; none without a figure."""
    kwh = row.kwh_per_1000
    if kwh.value is None or kwh.low is None or kwh.high is None:
        return []
    # Only what a benchmark measures: the services find its history by this name, and another number
    # of trials must not begin a new one. Three names of 200 characters fit into Bencher's 1,024.
    # Another tool's runs with another batch size are another experiment (comparable.place). In a
    # study it is a setting, and the history is to show what changing it does.
    is_apart = row.source != OURS and row.batch_size is not None
    batch = f", batches of {row.batch_size}" if is_apart else ""
    subject = f"{shown(row.model)}: {shown(row.task)} on {shown(row.dataset)}{batch}"
    basis = f"{boundary_text(results, row)}, {provenance_text(row)}"
    return [
        EnergyPoint(
            name=f"{subject} ({basis})",
            wh=wh_from_kwh(kwh.value),
            low_wh=wh_from_kwh(kwh.low),
            high_wh=wh_from_kwh(kwh.high),
            extra=f"{row.trials.done} trials, {shown(row.backend)},"
            f" {shown(row.device or 'device not recorded')}, machine {shown(row.fingerprint)}",
        )
    ]


def _metric_format(points: list[EnergyPoint]) -> dict[str, Any]:
    """Bencher Metric Format (https://bencher.dev/docs/reference/bencher-metric-format/)."""
    return {
        point.name: {
            "wh-per-1000-inferences": {
                "value": point.wh,
                "lower_value": point.low_wh,
                "upper_value": point.high_wh,
            }
        }
        for point in points
    }


def _smaller_is_better(points: list[EnergyPoint]) -> list[dict[str, Any]]:
    """``customSmallerIsBetter`` of github-action-benchmark."""
    return [
        {
            "name": point.name,
            "unit": "Wh / 1,000 inferences",
            "value": point.wh,
            "range": f"{point.low_wh:.3g} to {point.high_wh:.3g} (95 %)",
            "extra": point.extra,
        }
        for point in points
    ]


bencher = Continuous(_metric_format)
github = Continuous(_smaller_is_better)
