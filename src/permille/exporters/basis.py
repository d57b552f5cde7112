"""What a figure rests on as names and values, for formats that programs read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from permille.analysis.results import ResultRow, Results
from permille.errors import UsageError
from permille.exporters.single import shown


def counted_energy(row: ResultRow, results: Results) -> dict[str, Any]:
    """Which joules count, and the origin of the figure."""
    # Only the facility's energy includes the PUE; in other boundaries it multiplies the carbon.
    of_facility = {"pue": results.carbon.pue} if row.boundary == "facility" else {}
    return {
        "boundary": row.boundary,
        "provenance": str(row.provenance),
        "idle": "left out" if results.net else "included",
        **of_facility,
    }


def grid(results: Results) -> dict[str, Any]:
    """The grid that the carbon is computed with, and the PUE."""
    carbon = results.carbon
    return {
        "g_per_kwh": carbon.intensity_g_per_kwh,
        "grid": shown(carbon.name),
        "grid_year": carbon.year,
        "grid_assumed": carbon.assumed,
        "grid_source": shown(carbon.source),
        "pue": carbon.pue,
    }


def measuring(row: ResultRow) -> dict[str, Any]:
    """The trials, and what they ran on; None is unknown."""
    return {
        "study": shown(row.study),
        "backend": shown(row.backend),
        "device": None if row.device is None else shown(row.device),
        "trials": row.trials.done,
        "sessions": row.kwh_per_1000.sessions,
        "fingerprint": shown(row.fingerprint),
        "measured_with": shown(row.source),
    }


def identities(rows: Sequence[ResultRow], results: Results) -> list[dict[str, str]]:
    """The :func:`identity` of each row, for formats that tell figures apart by it.

    Raises:
        UsageError: two rows have the same.
    """
    each = [identity(row, results) for row in rows]
    # Formats that identify a figure by its labels alone would silently replace the first by the
    # second.
    if len({tuple(labels.values()) for labels in each}) < len(each):
        raise UsageError("two figures have the same labels: choose one with --study or --model")
    return each


def identity(row: ResultRow, results: Results) -> dict[str, str]:
    """What tells a figure from every other, as text; what is unknown is empty."""
    names = {
        "study": row.study,
        "task": row.task,
        "dataset": row.dataset,
        "model": row.model,
        "backend": row.backend,
        "device": row.device,
        # Another tool's figures at several batch sizes all count: none supersedes another
        # (analysis/comparable.py, split).
        "batch_size": None if row.batch_size is None else f"{row.batch_size}",
        "weights": row.weights,
        "fingerprint": row.fingerprint,
        "source": row.source,
    }
    return {
        # Empty, not left out: prometheus_client wants the same labels of all rows of a gauge.
        **{name: shown(text or "") for name, text in names.items()},
        "boundary": row.boundary,
        "idle": "left out" if results.net else "included",
        "provenance": str(row.provenance),
    }
