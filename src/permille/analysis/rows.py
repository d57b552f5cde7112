"""Summaries × carbon -> the rows of ``permille results``. Carbon is applied here, on reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from permille.analysis.cell_summary import Summary, Sums
from permille.analysis.quality import as_json
from permille.carbon.footprint import carbon_overhead, energy_overhead
from permille.records import Estimate
from permille.units import co2e_g, kwh_from_joules


def scaled(estimate: Estimate, factor: Callable[[float], float]) -> Estimate:
    """The estimate in another unit; ``factor`` must be increasing."""
    return Estimate(
        value=factor(estimate.value),
        low=None if estimate.low is None else factor(estimate.low),
        high=None if estimate.high is None else factor(estimate.high),
    )


def estimate_json(estimate: Estimate | None) -> dict[str, float | None]:
    """``{"value", "low", "high"}``; all None where there is no figure."""
    if estimate is None:
        return {"value": None, "low": None, "high": None}
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def kwh_per_1000(sums: Sums | None, overhead: float = 1.0) -> Estimate | None:
    """kWh per 1,000 inferences, times ``overhead`` (the PUE within ``facility``)."""
    if sums is None:
        return None
    return scaled(sums.estimate(), lambda j: kwh_from_joules(j) * overhead)


def row(summary: Summary, *, intensity_g_per_kwh: float, pue: float, net: bool) -> dict[str, Any]:
    """One row in the documented shape.

    Within ``facility`` the PUE is in the kWh already; within the other boundaries it multiplies
    the carbon alone, since the energy named is then the machine's. With ``net`` the headline
    kWh and carbon are those above idle.
    """
    overhead = energy_overhead(pue, summary.boundary)
    headline = kwh_per_1000(summary.net if net else summary.energy, overhead)
    to_grams = intensity_g_per_kwh * carbon_overhead(pue, summary.boundary)
    net_kwh = kwh_per_1000(summary.net, overhead)
    cell = summary.cell
    return {
        "study": summary.study,
        "task": cell.task,
        "dataset": cell.dataset,
        "model": cell.model,
        "category": cell.category,
        "backend": cell.backend,
        "device": summary.device,
        "params": summary.params,
        "batch_size": cell.settings.get("batch_size"),
        "weights": cell.settings.get("weights"),
        "kwh_per_1000": estimate_json(headline),
        "co2e_g_per_1000": estimate_json(
            headline and scaled(headline, lambda kwh: co2e_g(kwh, to_grams))
        ),
        "net_kwh_per_1000": None if net_kwh is None else estimate_json(net_kwh),
        "kwh_per_trial": estimate_json(kwh_per_1000(summary.run, overhead)),
        "latency_s": {"p50": summary.latency_p50_s, "p95": summary.latency_p95_s},
        "inference_energy_j": None
        if summary.inference_p50_j is None
        else {
            "p50": summary.inference_p50_j,
            "p95": summary.inference_p95_j,
            "boundary": "compute",
        },
        "quality": as_json(summary.quality),
        "inference_failures": summary.failures
        and {
            "failed": summary.failures.failed,
            "tried": summary.failures.tried,
            "share": summary.failures.share,
        },
        "trials": {"done": summary.done, "failed": summary.failed, "invalid": summary.invalid},
        "disturbed": summary.disturbed,
        "provenance": summary.provenance,
        "source": summary.source,
        "boundary": summary.boundary,
        "domains": list(summary.domains),
        "fingerprint": summary.fingerprint,
        "problem": summary.problem,
        "reasons": list(summary.reasons),
        "notes": list(summary.notes),
    }
