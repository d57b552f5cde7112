"""A study whose server is put under further loads than its file lists. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from permille.errors import UsageError
from permille.records import Record
from permille.study.plan.entries import ModelEntry, StudyFile
from permille.study.plan.sweeps import label_of

LoadKey = Literal["concurrency", "rate_per_s"]


class LoadAxis(Record):
    """The setting of a server that is its load, and the value to begin with: the lowest in the
    study file, or one client. ``listed``: all values in the file."""

    key: LoadKey
    start: int | float
    listed: tuple[int | float, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether a load is a whole number."""
        return self.key == "concurrency"

    def written(self, load: float) -> int | float:
        """A load as the study file would have it: cells of equal loads must be equal."""
        # 2 and 2.0 are two cells: of a list such as [0.5, 2], the search takes up the trials of 2.
        for value in self.listed:
            if value == load:
                return value
        whole = self.whole or isinstance(self.start, int)
        return int(load) if whole and load == int(load) else load


def axis_of(study: StudyFile) -> LoadAxis:
    """The load of the study's only server.

    Raises:
        UsageError: there are several models, tasks or datasets, or a model that is not a server.
    """
    if len({_without_load(entry) for entry in study.models}) > 1:
        names = ", ".join(dict.fromkeys(entry.id for entry in study.models))
        raise UsageError(
            f"{study.where}: --find-knee changes the load of one model, and there are several"
            f" ({names[:200]}): choose one with --models"
        )
    if sum(len(entry.datasets) for entry in study.tasks) > 1:
        raise UsageError(
            f"{study.where}: --find-knee needs one task and dataset: choose with --tasks, or keep"
            " one dataset"
        )
    entry = study.models[0]
    if entry.backend != "endpoint":
        raise UsageError(
            f"{study.where}: --find-knee changes the load of a server, and model {entry.id!r} has"
            f" backend {entry.backend!r}, not endpoint"
        )
    rates = [value for e in study.models if (value := e.own.get("rate_per_s")) is not None]
    if rates:
        listed = tuple(_numbers(rates, study, "rate_per_s"))
        return LoadAxis(key="rate_per_s", start=min(listed), listed=listed)
    clients = [value for e in study.models if (value := e.own.get("concurrency")) is not None]
    return LoadAxis(
        key="concurrency", start=min(_numbers(clients, study, "concurrency"), default=1)
    )


def under_loads(study: StudyFile, axis: LoadAxis, loads: Iterable[float]) -> StudyFile:
    """The study with its server under these loads, as if its file listed them."""
    first = study.models[0]
    models = tuple(_under(first, axis, axis.written(load)) for load in loads)
    return msgspec.structs.replace(study, models=models)


def _under(entry: ModelEntry, axis: LoadAxis, load: int | float) -> ModelEntry:
    label = label_of(axis.key, load)
    own = {**entry.own, axis.key: load}
    base = entry.swept_from or entry.id
    others = entry.id.removeprefix(base)  # the labels of the lists, each after a comma
    old = f", {label_of(axis.key, entry.own.get(axis.key))}"
    # In the place that the load has among the file's lists, so that the id is the one of a longer
    # list.
    labels = others.replace(old, f", {label}", 1) if old in others else f"{others}, {label}"
    return msgspec.structs.replace(entry, id=base + labels, own=own, swept_from=base)


def _without_load(entry: ModelEntry) -> str:
    """What must be the same for all, as text."""
    own = {k: v for k, v in entry.own.items() if k not in ("concurrency", "rate_per_s")}
    rest = msgspec.structs.replace(entry, id=entry.swept_from or entry.id, own=own)
    # As text: a record with tables in it cannot be in a set.
    return repr(rest)


def _numbers(values: list[Any], study: StudyFile, key: str) -> list[int | float]:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise UsageError(f"{study.where}: {key} must be a number above 0, not {value!r}")
    return values
