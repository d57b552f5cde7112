"""Specs of models and datasets from a study file, checked and with absolute paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from permille.records import Record
from permille.records.cell import Category


class SourceFile(Record):
    """A Python source file, as it was when the study was planned."""

    path: str
    sha256: str


class StandsOn(Record):
    """Everything that determines a model's answers apart from its settings and the files that its
    paths name, as far as it can be determined without running anything.

    ``files`` by displayed name. ``code``: modules by name. ``foreign``: called modules outside the
    study's folder. ``unseen``: descriptions of what cannot be determined."""

    files: dict[str, Path] = {}
    code: dict[str, SourceFile] = {}
    foreign: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


class Execution(Record):
    """Something that a study executes: a ``callable`` of a module, a ``command``, or ``code`` that
    comes with a model or may be in its pickle."""

    kind: Literal["callable", "command", "code"]
    what: str


class Launch(Record):
    """How to start a server that outlives the workers which use it: words before its command, and
    its whole environment."""

    prefix: tuple[str, ...]
    environment: dict[str, str]


class ModelSpec(Record):
    """A model from the study file. ``settings`` are the keys of its backend, already checked
    against the backend's ``settings`` type; paths in it are absolute. ``code``: the source of a
    callable, by module name; only this source is imported."""

    id: str
    backend: str
    category: Category
    prompt: str | None = None
    # A table, not the backend's own type: only the backend, which may be a plug-in, can decode that
    # in the worker, where this arrives as MessagePack.
    settings: dict[str, Any] = {}
    code: dict[str, SourceFile] = {}


class HarnessTask(Record):
    """A task of lm-eval by which a model is scored; ``metric`` None: the first that the task has,
    ``limit`` None: all of its samples. ``include_path``: the folder that defines the task, instead
    of the installed ones. ``files``: the digests of what is in it."""

    task: str
    metric: str | None = None
    limit: int | None = None
    include_path: str | None = None
    files: dict[str, str] = {}


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
    """Use only the files that match this pattern. Such as `"*.parquet"`."""
    boxes: Literal["sides", "corners"] = "sides"
    """The format of an object's box: `[x, y, width, height]`, or two `corners`. Such as
    `"corners"`."""
    unscored: bool = False
    """Whether the dataset lacks the column that answers are scored against. Such as `true`."""


class DatasetSpec(Record):
    """A dataset from the study file: a known name, or a path or Hub source with column names.

    ``columns`` maps the task's own names (``text``, ``label``, …) to the file's; ``id`` may name a
    column whose values identify the rows. If ``labels`` is given, rows with other labels are
    skipped and named."""

    name: str
    path: str | None = None
    hub: HubSource | None = None
    columns: dict[str, str] = {}
    labels: tuple[str, ...] = ()
