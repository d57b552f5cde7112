"""Results in Prometheus' text format, for the textfile collector of its node exporter."""

from __future__ import annotations

from collections.abc import Set

from permille.analysis.results import ResultRow, Results
from permille.errors import UsageError
from permille.exporters import Export, ExportRequest
from permille.exporters.single import shown, whole_rows
from permille.extras import extra
from permille.units import joules_from_kwh

_LABELS = (
    "study", "task", "dataset", "model", "backend", "device", "weights", "fingerprint", "source",
    "boundary", "idle", "provenance",
)  # fmt: skip

_PARTS = {
    "": "Energy of 1,000 inferences",
    "_low": "Lower end of the 95 % interval of permille_energy_per_1000_joules",
    "_high": "Upper end of the 95 % interval of permille_energy_per_1000_joules",
}


class PrometheusText:
    """A gauge and its interval per row. Rows without an interval are left out, with a note."""

    def refusal(self, given: Set[str]) -> str | None:
        """Every option is supported."""
        return None

    def export(self, request: ExportRequest) -> Export:
        """The file, written by prometheus-client.

        Raises:
            UsageError: prometheus-client is not installed, or two rows have the same labels.
        """
        results = request.results()
        rows, notes = whole_rows(results)
        labels = [_labels(row, results) for row in rows]
        if len({tuple(values) for values in labels}) < len(labels):
            raise UsageError("two figures have the same labels: choose one with --study or --model")
        return Export(_text(rows, labels), len(rows), notes)


def _labels(row: ResultRow, results: Results) -> list[str]:
    """The values of ``_LABELS``; what is unknown is empty, which Prometheus treats as absent."""
    idle = "left out" if results.net else "included"
    rest = (row.boundary, idle, str(row.provenance))
    names = (row.study, row.task, row.dataset, row.model, row.backend, row.device, row.weights,
             row.fingerprint, row.source)  # fmt: skip
    return [*(shown(name or "") for name in names), *rest]


def _text(rows: list[ResultRow], labels: list[list[str]]) -> bytes:
    with extra("watch", "export prometheus"):
        from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    for suffix, meaning in _PARTS.items():
        name = f"permille_energy_per_1000{suffix}_joules"
        gauge = Gauge(name, meaning, _LABELS, registry=registry)
        for row, values in zip(rows, labels, strict=True):
            kwh = getattr(row.kwh_per_1000, suffix.removeprefix("_") or "value")
            gauge.labels(*values).set(joules_from_kwh(kwh))
    content: bytes = generate_latest(registry)
    return content


exporter = PrometheusText()
