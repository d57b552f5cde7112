"""Results as OTLP JSON, which an OpenTelemetry collector reads from a file."""

from __future__ import annotations

from collections.abc import Iterable, Set

from permille.analysis.results import ResultRow
from permille.exporters import Export, ExportRequest, basis
from permille.exporters.single import began, finished_of, whole_rows
from permille.records.trial import Trial
from permille.telemetry import MetricPoint, as_json_line, per_1000
from permille.units import counted, joules_from_kwh


class OtlpJson:
    """Three gauges per row: the joules of 1,000 inferences and the ends of their interval, at the
    time of the row's last trial. Rows without an interval or a time are left out, with a note."""

    def refusal(self, given: Set[str]) -> str | None:
        """Every option is supported."""
        return None

    def export(self, request: ExportRequest) -> Export:
        """One line of JSON.

        Raises:
            UsageError: the extra ``otlp`` is not installed, or two rows have the same attributes.
        """
        results = request.results()
        rows, notes = whole_rows(results)
        # Once, because each row looks through all of them, and the iterator reads the store.
        trials = list(request.trials())
        labels = basis.identities(rows, results)
        times = [_last_ns(finished_of(row, trials)) for row in rows]
        points = [
            point
            for row, identity, t_ns in zip(rows, labels, times, strict=True)
            if t_ns is not None
            for point in _points(row, identity, t_ns)
        ]
        undated = times.count(None)
        if undated:
            is_are = counted(undated, "row is", "rows are")
            notes = (*notes, f"{is_are} left out: a trial has no valid date")
        return Export(as_json_line(points).encode() + b"\n", len(rows) - undated, notes)


exporter = OtlpJson()


def _points(row: ResultRow, identity: dict[str, str], t_ns: int) -> list[MetricPoint]:
    kwh = row.kwh_per_1000
    if kwh.value is None or kwh.low is None or kwh.high is None:
        return []
    # An empty text counts as a value (OpenTelemetry specification, common, AnyValue).
    attributes = {f"permille.{name}": text for name, text in identity.items() if text}
    value, low, high = map(joules_from_kwh, (kwh.value, kwh.low, kwh.high))
    return per_1000((value, low, high), attributes, t_ns)


def _last_ns(trials: Iterable[Trial]) -> int | None:
    """The latest start of the trials (ns since 1970); None if one is not known, or there are
    none."""
    times = began(trials)
    # Whole seconds first: a float does not hold the nanoseconds since 1970.
    return int(max(times).timestamp()) * 1_000_000_000 if times else None
