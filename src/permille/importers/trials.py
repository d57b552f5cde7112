"""Shared by all importers to build trials: cells, machines, domains."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from permille.records.cell import Cell, CellCategory
from permille.records.energy import DomainEnergy, Problem
from permille.records.machine import Environment
from permille.records.recording import DomainKind, Provenance

UNKNOWN = "unknown"
"""The task or dataset of a run if its file does not say."""
# Ids on the Hub have at most 96 characters. What is much longer is no name, and the store and every
# table would repeat it.
MAX_NAME = 300

GPU_ONLY = {
    "cpu:0": Problem(reason="only GPUs were metered; see --boundary accelerator", kind="cpu"),
    "dram:0": Problem(reason="only GPUs were metered; see --boundary accelerator", kind="dram"),
}
"""The problem of a source that only meters GPUs, so that its sum is never taken for the node's."""


def digest(content: object) -> str:
    """A digest of ``content`` in 16 hex digits, independent of the order of its keys."""
    # 64 bits: among a million runs, any two share a digest with a probability of 3e-8.
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]


def started(text: str | None) -> str:
    """When a run began, in ISO 8601 and the zone of its file, if that has one; empty if it is no
    time."""
    try:
        # It also reads vLLM's form, 20251013-014803. As it is, that sorts behind any ISO 8601.
        return datetime.fromisoformat((text or "").strip()).isoformat()
    except ValueError:
        return ""


def seconds(ms: float | None) -> float | None:
    """Seconds from milliseconds; None stays None."""
    return None if ms is None else ms / 1000


def cell(
    source: str,
    *,
    task: str,
    dataset: str,
    model: str,
    category: CellCategory,
    backend: str,
    settings: dict[str, Any] | None = None,
) -> Cell:
    """A cell of an imported run. ``source`` is part of its id: runs of the same model from two
    tools are different cells, so that they are never pooled."""
    content = {
        "source": source,
        "task": task[:MAX_NAME],
        "dataset": dataset[:MAX_NAME],
        "model": model[:MAX_NAME],
        "category": category,
        "backend": backend,
        "settings": settings or {},
    }
    return Cell(
        id=digest(content),
        task=task[:MAX_NAME],
        dataset=dataset[:MAX_NAME],
        model=model[:MAX_NAME],
        category=category,
        backend=backend,
        settings=settings or {},
    )


def environment(facts: dict[str, str | None], beside: dict[str, str] | None = None) -> Environment:
    """The machine as described in the file; ``beside`` has facts that are not about the machine."""
    known = {name: value[:MAX_NAME] for name, value in facts.items() if value}
    # ``beside`` is not part of the fingerprint: the grid factor of one machine may change.
    return Environment(fingerprint=digest(known)[:12], facts={**known, **(beside or {})})


def domain(
    energy_j: float,
    kind: DomainKind,
    meter: str,
    provenance: Provenance,
    accuracy: tuple[float, float],
    *,
    in_use: bool = True,
    edge_j: float = 0.0,
    covers: tuple[DomainKind, ...] = (),
) -> DomainEnergy:
    """Energy of one imported domain; ``accuracy`` is relative, low and high, k = 2. ``edge_j`` and
    ``covers`` are as in :class:`~permille.records.energy.DomainEnergy`."""
    return DomainEnergy(
        energy_j=energy_j,
        edge_j=edge_j,
        accuracy_low=accuracy[0],
        accuracy_high=accuracy[1],
        provenance=provenance,
        kind=kind,
        meter=meter,
        covers=covers,
        in_use=in_use,
    )
