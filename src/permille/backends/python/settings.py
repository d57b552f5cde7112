"""The keys of a ``[[models]]`` table whose backend is ``python``."""

from __future__ import annotations

from permille.records import Record


class Settings(Record, forbid_unknown_fields=True):
    """The keys of a ``[[models]]`` table with this backend."""

    callable: str | None = None
    """The function that answers one sample, as `module:function`. Such as `"model:predict"`."""
    load: str | None = None
    """A function that is called once and returns the callable, as `module:function`. Such as
    `"model:load"`."""
    python_path: str | None = None
    """The folder that is searched for modules first; by default the study's own. Such as
    `"src"`."""
    labels: dict[str, str] = {}
    """The dataset's label -> the callable's word. Such as `{ pos = "positive" }`."""
