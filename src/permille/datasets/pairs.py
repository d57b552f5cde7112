"""The paper's thirty task-dataset pairs by name: their source on the Hub and their columns."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any, Literal

import msgspec

from permille.records import Record
from permille.workload.specs import HubSource


class Pair(Record, forbid_unknown_fields=True):
    """A dataset for a task. ``absent``: why it is not available from the Hub."""

    task: str
    name: str
    repo: str | None = None
    config: str | None = None
    split: str = "test"
    revision: str = "main"
    files: str | None = None
    boxes: Literal["sides", "corners"] = "sides"
    unscored: bool = False
    columns: dict[str, str] = {}
    absent: str | None = None

    @property
    def source(self) -> HubSource | None:
        """Its source; None if it is absent."""
        if self.repo is None:
            return None
        names = HubSource.__struct_fields__
        return HubSource(**{name: getattr(self, name) for name in names})


def find(task: str, name: str) -> Pair | None:
    """The pair of that name for a task, ignoring case, blanks, dashes and underscores."""
    return _table().get((task, _plain(name)))


def all_pairs() -> tuple[Pair, ...]:
    """All thirty pairs."""
    return tuple(_table().values())


@cache
def _table() -> dict[tuple[str, str], Pair]:
    text = resources.files("permille.datasets").joinpath("pairs.toml").read_text("utf-8")
    rows: list[dict[str, Any]] = tomllib.loads(text)["pairs"]
    pairs = msgspec.convert(rows, list[Pair])
    return {(pair.task, _plain(pair.name)): pair for pair in pairs}


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()
