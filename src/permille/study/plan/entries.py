"""The tables of a study file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from permille.records import Record
from permille.records.cell import Category
from permille.units import MOST_TYPED
from permille.workload.specs import HubSource

COMMON_MODEL_KEYS = (
    "id",
    "backend",
    "category",
    "prompt",
    "tasks",
    "params",
    "network",
    "repo",
    "revision",
    "file",
)
HARNESS = "lm-eval:"
"""What stands before the name of a task of lm-eval."""

Positive = Annotated[int, msgspec.Meta(gt=0, le=100_000_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400 * 7)]


class Settings(Record, forbid_unknown_fields=True):
    """The ``[study]`` table: the protocol of every trial, and the permissions of its workers."""

    name: str
    """The study's name in the store and in every table. Such as `"support-inbox"`."""
    description: str = ""
    """A sentence about the study, shown by `permille presets`. Such as `"Which model sorts our
    mail?"`."""
    inferences: Positive = 1000
    """Inferences per trial; whole passes over the samples, so a trial may make a few more. Such as
    `200`."""
    repeats: Annotated[int, msgspec.Meta(gt=0, le=10_000)] | None = None
    """Trials per cell, each in a fresh process; 10 if neither this nor `precision` is given. Such
    as `5`."""
    precision: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    """Instead of `repeats`: repeat until the spread of the trials leaves their mean within ± this
    share (95 %); the meter's own uncertainty is not part of it. Such as `0.05`."""
    # At least stopping.FEWEST: the rule does not judge a spread by fewer repeats.
    max_repeats: Annotated[int, msgspec.Meta(ge=3, le=10_000)] = 30
    """The most trials per cell under `precision`. Such as `50`."""
    rerun_precision: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    """With `--sessions N`: begin no further session once a rerun of every model would be within
    ± this share. Such as `0.1`."""
    # The whole numbers that every TOML parser accepts: https://toml.io/en/v1.0.0#integer
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] = 0
    """Determines which samples are used, and their order. Such as `7`."""
    warmup: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 50
    """The most calls of the model before measuring starts; fewer if the durations are steady
    earlier. A call is one inference or, with a `batch_size`, one batch. Such as `0`."""
    idle_s: Seconds = 5.0
    """Seconds of idle baseline before each trial. Such as `2.0`."""
    timeout_s: Seconds = 3600.0
    """Seconds after which a trial is stopped and counted as failed. Such as `600.0`."""
    network: bool = False
    """Whether workers may use the network; a model's own key takes precedence. Such as `true`."""
    memory_gib: Annotated[float, msgspec.Meta(gt=0, le=65_536)] | None = None
    """The limit of a worker's private memory in GiB (Linux). Such as `8.0`."""
    max_failures: (
        Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]
        | Annotated[float, msgspec.Meta(ge=0, lt=1)]
    ) = 0
    """How many inferences may fail before the trial fails: a count, or a share. Such as
    `0.01`."""
    reference: bool = True
    """Whether permille's reference workload is measured now and then, to see whether the machine
    drifts. Such as `false`."""
    weights: Literal["replica"] | None = None
    """`replica`: build every model with random weights, for energy and time only (see
    Replicas). Such as `"replica"`."""
    device: str | None = None
    """The device of the models, for backends with that key. Such as `"cuda"`."""
    dtype: str | None = None
    """The floating-point type, for backends with that key. Such as `"bfloat16"`."""


class ModelEntry(Record):
    """A ``[[models]]`` table: the keys common to all backends and, in ``own``, the backend's keys,
    which are not checked yet. A model without a ``path`` comes from the Hub."""

    id: str
    """The model's name in every table; for a model of the Hub, its repository. Such as
    `"google/flan-t5-base"`."""
    backend: str
    """What runs the model. Such as `"transformers"`."""
    category: Category
    """`task-specific` or `general-purpose`: decides how the model is used. Such as
    `"task-specific"`."""
    prompt: str | dict[str, str] | None = None
    """For general-purpose models: the prompt with the task's inputs in braces, or a table with a
    prompt for each task. Such as `"Positive or negative? {text}"`."""
    tasks: tuple[str, ...] | None = None
    """Use this model only for these tasks of the study. Such as `["summarization"]`."""
    params: Annotated[int, msgspec.Meta(gt=0, le=MOST_TYPED)] | None = None
    """The number of parameters, if the model's files do not contain it. Such as `7_000_000_000`."""
    network: bool | None = None
    """Whether this model's workers may use the network. Such as `true`."""
    repo: str | None = None
    """The Hub repository, if it differs from the `id`. Such as `"google/flan-t5-base"`."""
    revision: str | None = None
    """The branch, tag or commit of the repository; the default is `main`. Such as `"7bcac57"`."""
    file: str | None = None
    """The file of the repository to use, if it has several. Such as `"model-q4.gguf"`."""
    own: dict[str, Any] = {}
    swept_from: str | None = None  # the id in the file, of a model that a sweep made


class DatasetEntry(Record):
    """A dataset: a known name, or a file or Hub dataset with the names of its columns."""

    name: str
    path: str | None = None
    hub: HubSource | None = None
    columns: dict[str, str] = {}
    labels: tuple[str, ...] = ()


class QualityEntry(Record, forbid_unknown_fields=True):
    """By what the models of a task are scored, instead of by their answers to its samples."""

    task: str
    """`lm-eval:` and the name of a task of lm-eval. Such as `"lm-eval:arc_easy"`."""
    metric: str | None = None
    """The task's metric, if not its first; with a comma and the filter, if it has several. Such as
    `"acc_norm"`."""
    limit: Positive | None = None
    """Score the first so many samples of the task only. Such as `200`."""
    include_path: str | None = None
    """A folder with the YAML file of the task, whose Python functions are run; without it, the task
    is one of those installed with lm-eval. Such as `"harness"`."""


class TaskEntry(Record):
    """A ``[[tasks]]`` table."""

    task: str
    """The task, by its name on the Hub. Such as `"text-classification"`."""
    datasets: tuple[DatasetEntry, ...]
    """Datasets by name, or tables with `path` (or `hub`) and the names of the columns. Such as `[{
    path = "inbox.jsonl", text = "body", label = "queue" }]`."""
    quality: QualityEntry | None = None
    """Score the models by a task of lm-eval instead: its name, or a table. Such as
    `"lm-eval:arc_easy"`."""


class StudyFile(Record):
    """A study file with its syntax checked; its paths are relative to ``folder``."""

    where: str
    folder: Path
    settings: Settings
    models: tuple[ModelEntry, ...]
    tasks: tuple[TaskEntry, ...]
