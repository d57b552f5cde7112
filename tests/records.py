"""Records for tests, made short: what a test does not care about has a plain value."""

from __future__ import annotations

from typing import Any

from permille.records.cell import Cell
from permille.records.energy import DomainEnergy, Phase
from permille.records.machine import Environment
from permille.records.recording import Domain, Provenance
from permille.records.trial import Protocol, Trial

MEASURED = Provenance.MEASURED
ESTIMATED = Provenance.ESTIMATED


def domain(name: str = "cpu:0", **changed: Any) -> Domain:
    """A measured domain with an exact, untiring counter."""
    kind = name.split(":")[0]
    plain: dict[str, Any] = {
        "name": name,
        "kind": kind if kind in ("cpu", "dram", "gpu", "node") else "other",
        "meter": "rapl",
        "provenance": MEASURED,
        "accuracy_low": 0.0,
        "accuracy_high": 0.0,
        "tick_s": 0.0,
        "resolution_j": 0.0,
        "max_power_w": 1000.0,
    }
    return Domain(**(plain | changed))


def joules(energy_j: float, kind: str = "cpu", **changed: Any) -> DomainEnergy:
    """A figure without any uncertainty."""
    plain: dict[str, Any] = {
        "energy_j": energy_j,
        "edge_j": 0.0,
        "accuracy_low": 0.0,
        "accuracy_high": 0.0,
        "provenance": MEASURED,
        "kind": kind,
        "meter": "rapl",
    }
    return DomainEnergy(**(plain | changed))


def cell(model: str = "small", **changed: Any) -> Cell:
    """A cell of text classification."""
    plain: dict[str, Any] = {
        "id": f"cell-{model}",
        "task": "text-classification",
        "dataset": "reviews",
        "model": model,
        "category": "task-specific",
        "backend": "python",
    }
    return Cell(**(plain | changed))


def trial(
    energy_j: float = 36.0,
    *,
    model: str = "small",
    repeat: int = 0,
    inferences: int = 1000,
    idle_j: float | None = None,
    **changed: Any,
) -> Trial:
    """A finished trial whose query took 10 s, after 10 s of idle if ``idle_j`` is given."""
    phases = {
        "query": Phase(seconds=10.0, domains={"cpu:0": joules(energy_j)}, inferences=inferences)
    }
    if idle_j is not None:
        phases["idle"] = Phase(seconds=10.0, domains={"cpu:0": joules(idle_j)})
    plain: dict[str, Any] = {
        "uid": f"{model}-{repeat}-{energy_j}",
        "study": "study",
        "cell": cell(model),
        "repeat": repeat,
        "status": "done",
        "reason": None,
        "started": "2026-01-01T00:00:00+00:00",
        "protocol": Protocol(inferences=inferences),
        "environment": Environment(fingerprint="machine"),
        "phases": phases,
    }
    return Trial(**(plain | changed))
