"""Results in Prometheus' text format, for the textfile collector of its node exporter."""

from __future__ import annotations

from collections.abc import Set

from permille.analysis.results import ResultRow
from permille.exporters import Export, ExportRequest, basis
from permille.exporters.single import whole_rows
from permille.extras import extra
from permille.units import joules_from_kwh

_PARTS = {
    "": "Energy of 1,000 inferences",
    "_low": "Lower end of the 95 % interval of permille_energy_per_1000_joules",
    "_high": "Upper end of the 95 % interval of permille_energy_per_1000_joules",
}


class PrometheusText:
    """A gauge and its interval per row; a label that is unknown is empty, which Prometheus treats
    as absent. Rows without an interval are left out, with a note."""

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
        # A gauge without labels, which no row gives any, would be exported as 0.
        if not rows:
            return Export(b"", 0, notes)
        labels = basis.identities(rows, results)
        return Export(_text(rows, labels), len(rows), notes)


def _text(rows: list[ResultRow], labels: list[dict[str, str]]) -> bytes:
    with extra("watch", "export prometheus"):
        from prometheus_client import CollectorRegistry, Gauge, generate_latest

    # Not the default registry, which also has metrics of this process.
    registry = CollectorRegistry()
    for suffix, meaning in _PARTS.items():
        name = f"permille_energy_per_1000{suffix}_joules"
        gauge = Gauge(name, meaning, labels[0], registry=registry)
        for row, values in zip(rows, labels, strict=True):
            kwh = getattr(row.kwh_per_1000, suffix.removeprefix("_") or "value")
            gauge.labels(**values).set(joules_from_kwh(kwh))
    content: bytes = generate_latest(registry)
    return content


exporter = PrometheusText()
