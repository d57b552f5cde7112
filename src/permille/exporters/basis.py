"""What a figure rests on as names and values, for formats that programs read."""

from __future__ import annotations

from typing import Any

from permille.analysis.results import ResultRow, Results
from permille.exporters.single import shown


def counted_energy(row: ResultRow, results: Results) -> dict[str, Any]:
    """Which joules count, and the origin of the figure."""
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
