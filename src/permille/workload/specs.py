"""Models and datasets as a study file names them, checked and with absolute paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from permille.records import Category, Record


class SourceFile(Record):
    """A file of Python source, as it was when the study was planned."""

    path: str
    sha256: str


class StandsOn(Record):
    """What decides a model's answers beside its settings and what its paths lead to, as far as it
    can be known without running anything.

    ``files`` by the names they are shown under. ``code``: modules by name. ``foreign``: modules
    that are called and lie elsewhere than in the study's folder. ``unseen``: what cannot be known,
    in words."""

    files: dict[str, Path] = {}
    code: dict[str, SourceFile] = {}
    foreign: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


class Execution(Record):
    """What a study has run: a ``callable`` of a module, a ``command``, or the ``code`` that comes
    with a model or can come with its pickle."""

    kind: Literal["callable", "command", "code"]
    what: str


class ModelSpec(Record):
    """A model as the study file names it. ``settings`` are the keys of its own backend,
    already checked against the backend's ``settings`` type; paths in it are absolute. ``code``:
    the source that a callable rests on, by the names of its modules: what is imported is this,
    or nothing."""

    id: str
    backend: str
    category: Category
    prompt: str | None = None
    settings: dict[str, Any] = {}
    code: dict[str, SourceFile] = {}


class HubSource(Record):
    """A dataset on the Hub."""

    repo: str
    """The dataset's repository. Such as `"rotten_tomatoes"`."""
    config: str | None = None
    """The configuration (subset). Such as `"en"`."""
    split: str = "test"
    """The split. Such as `"validation"`."""
    revision: str = "main"
    """The branch, tag or commit. Such as `"main"`."""
    files: str | None = None
    """Only the files that this pattern matches. Such as `"*.parquet"`."""
    boxes: Literal["sides", "corners"] = "sides"
    """How an object's box is given: `[x, y, width, height]`, or two `corners`. Such as
    `"corners"`."""
    unscored: bool = False
    """Whether it lacks the column that answers are scored against. Such as `true`."""


class DatasetSpec(Record):
    """A dataset as the study file names it: a name that permille knows, or a path or a place on
    the Hub with column names.

    ``columns`` maps the task's own names (``text``, ``label``, …) to the file's; ``id`` may name
    a column whose values identify the rows. ``labels``, if given, are the only ones allowed: a
    row with another is left out and named."""

    name: str
    path: str | None = None
    hub: HubSource | None = None
    columns: dict[str, str] = {}
    labels: tuple[str, ...] = ()
