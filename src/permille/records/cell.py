"""What is measured: a model on a task and a dataset, by a backend."""

from __future__ import annotations

from typing import Any, Literal

from permille.records import Record

Category = Literal["task-specific", "general-purpose"]
CellCategory = Literal["task-specific", "general-purpose", "unknown"]


class ModelFacts(Record):
    """Facts about a model, read from its files."""

    params: int | None = None
    active_params: int | None = None
    architecture: str | None = None
    size_bytes: int | None = None
    files: dict[str, str] = {}  # file name -> sha256
    weights: str | None = None  # "replica" if the weights are random; None: its own


class Cell(Record):
    """One (task, dataset, model, backend, settings). Its id is a hash of this content.

    ``category`` is ``unknown`` only if an imported file does not state it.
    """

    id: str
    task: str
    dataset: str
    model: str
    category: CellCategory
    backend: str
    settings: dict[str, Any] = {}
