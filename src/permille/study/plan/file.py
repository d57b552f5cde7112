"""Read the study file: untrusted TOML; every error is one line that says how to fix it."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from permille.errors import StudyError
from permille.records import Record
from permille.records.cell import Category
from permille.study.plan.sweeps import swept
from permille.study.plan.typed import typed
from permille.suggestions import nearest
from permille.workload.specs import HubSource

MAX_BYTES = 1_000_000
MAX_DEPTH = 8
MAX_ENTRIES = 10_000
MAX_DOTS = 200
"""The most dots in one line: tomllib takes quadratic time in the length of a dotted key."""

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
_NAME = re.compile(r"[\w.][\w .+:@-]{0,99}")

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
    """Instead of `repeats`: repeat until the 95 % interval of the mean is within ± this share. Such
    as `0.05`."""
    max_repeats: Annotated[int, msgspec.Meta(gt=1, le=10_000)] = 30
    """The most trials per cell under `precision`. Such as `50`."""
    rerun_precision: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    """With `--sessions N`: begin no further session once a rerun of every model would be within
    ± this share. Such as `0.1`."""
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] = 0
    """Determines which samples are used, and their order. Such as `7`."""
    warmup: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 50
    """The most inferences before measuring starts; fewer if the durations are steady earlier. Such
    as `0`."""
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
    params: Annotated[int, msgspec.Meta(gt=0, le=10**18)] | None = None
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
    """A study file with its syntax checked; its paths are relative to ``folder``. ``only``: the
    cells (task, dataset, model) of its grid to run; None: all."""

    where: str
    folder: Path
    settings: Settings
    models: tuple[ModelEntry, ...]
    tasks: tuple[TaskEntry, ...]
    only: frozenset[tuple[str, str, str]] | None = None


def read(path: Path) -> StudyFile:
    """Read the study file at ``path``.

    Raises:
        StudyError: what is wrong, where, and how to fix it, on one line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StudyError(f"cannot read the study file {path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise StudyError(f"{path} is larger than {MAX_BYTES:,} bytes, which no study file needs")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StudyError(f"{path} is not UTF-8 text (byte {error.start})") from error
    return parse(text, where=str(path), folder=path.resolve().parent)


def parse(text: str, *, where: str, folder: Path) -> StudyFile:
    """Parse the text of a study file.

    Raises:
        StudyError: see :func:`read`.
    """
    if any(line.count(".") > MAX_DOTS for line in text.split("\n")):
        raise StudyError(
            f"{where} has a line with more than {MAX_DOTS} dots; break a long text into lines with"
            ' """'
        )
    try:
        tree = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, and errors of int() and datetime()
        raise StudyError(f"{where} is not valid TOML: {error}") from error
    except RecursionError as error:
        raise StudyError(f"{where} is nested too deeply") from error
    _bound(tree, where)
    _known(tree, ("study", "models", "tasks"), where, "the file")
    for needed in ("study", "models", "tasks"):
        if needed not in tree:
            form = "[study]" if needed == "study" else f"[[{needed}]]"
            raise StudyError(f"{where}: there is no {form} table")
    study = _table(tree["study"], where, "[study]")
    _known(study, Settings.__struct_fields__, where, "[study]")
    settings = typed(study, Settings, f"{where}: [study]")
    if not _NAME.fullmatch(settings.name):
        raise StudyError(
            f"{where}: [study] name {settings.name!r}: letters, digits, spaces and .+:@-_ only,"
            " at most 100"
        )
    if settings.repeats is not None and settings.precision is not None:
        raise StudyError(f"{where}: [study] has both repeats and precision; keep one")
    if settings.precision is not None and settings.rerun_precision is not None:
        raise StudyError(
            f"{where}: [study] has both precision, of the mean, and rerun_precision; keep one"
        )
    return StudyFile(
        where=where,
        folder=folder,
        settings=settings,
        models=_models(tree["models"], where),
        tasks=_tasks(tree["tasks"], where),
    )


def _bound(tree: object, where: str) -> None:
    """Refuse excessive nesting or numbers of entries, and numbers that a store cannot represent."""
    entries = 0
    level: list[object] = [tree]
    for _ in range(MAX_DEPTH + 1):
        inner: list[object] = []
        for value in level:
            if isinstance(value, Mapping):
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        for value in inner:
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise StudyError(f"{where} has a whole number beyond 64 bits: {_short(value)}")
            if isinstance(value, float) and not math.isfinite(value):
                raise StudyError(f"{where} has {value} where a finite number is needed")
        entries += len(inner)
        if entries > MAX_ENTRIES:
            raise StudyError(f"{where} has more than {MAX_ENTRIES:,} entries")
        level = inner
    if level:
        raise StudyError(f"{where} is nested more than {MAX_DEPTH} deep")


def _short(value: int) -> str:
    """An approximate form of a huge number, which may have thousands of digits."""
    return f"about {'-' if value < 0 else ''}2**{value.bit_length()}"


def _known(table: Mapping[str, Any], known: Sequence[str], where: str, at: str) -> None:
    for key in table:
        if key not in known:
            raise StudyError(f"{where}: {at} has no key {key!r}; {nearest(key, known)}")


def _table(value: object, where: str, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StudyError(f"{where}: {at} must be a table")
    return value


def _tables(value: object, where: str, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise StudyError(f"{where}: {name} must be one or more [[{name}]] tables")
    return [_table(v, where, f"[[{name}]] {i}") for i, v in enumerate(value, 1)]


def _models(value: object, where: str) -> tuple[ModelEntry, ...]:
    models: list[ModelEntry] = []
    for i, table in enumerate(_tables(value, where, "models"), 1):
        at = f"[[models]] {i}"
        if isinstance(table.get("id"), str):
            at += f" ({table['id']!r})"
        common = {k: v for k, v in table.items() if k in COMMON_MODEL_KEYS}
        own = {k: v for k, v in table.items() if k not in COMMON_MODEL_KEYS}
        model = typed({**common, "own": own}, ModelEntry, f"{where}: {at}")
        for label, settings in swept(own, f"{where}: {at}"):
            one = _of_sweep(model, label, settings)
            if any(m.id == one.id for m in models):
                raise StudyError(f"{where}: {at}: the id occurs twice; ids must be unique")
            models.append(one)
    return tuple(models)


def _of_sweep(model: ModelEntry, label: str, settings: dict[str, Any]) -> ModelEntry:
    if not label:
        return model
    return msgspec.structs.replace(
        model, id=f"{model.id}, {label}", own=settings, swept_from=model.id
    )


def _tasks(value: object, where: str) -> tuple[TaskEntry, ...]:
    tasks = []
    for i, table in enumerate(_tables(value, where, "tasks"), 1):
        at = f"[[tasks]] {i}"
        _known(table, TaskEntry.__struct_fields__, where, at)
        for key in ("task", "datasets"):
            if key not in table:
                raise StudyError(f"{where}: {at} has no {key}")
        if not isinstance(table["datasets"], list) or not table["datasets"]:
            raise StudyError(f"{where}: {at} datasets must be a list of names or tables")
        datasets = tuple(_dataset(d, where, f"{at} datasets") for d in table["datasets"])
        tasks.append(typed({"task": table["task"], "datasets": ()}, TaskEntry, f"{where}: {at}"))
        quality = _quality(table.get("quality"), f"{where}: {at} quality")
        tasks[-1] = msgspec.structs.replace(tasks[-1], datasets=datasets, quality=quality)
    return tuple(tasks)


def _quality(value: object, at: str) -> QualityEntry | None:
    """``"lm-eval:NAME"``, or ``{task = "lm-eval:NAME", …}``."""
    if value is None:
        return None
    entry: QualityEntry = typed(
        {"task": value} if isinstance(value, str) else value, QualityEntry, at
    )
    if not entry.task.removeprefix(HARNESS) or not entry.task.startswith(HARNESS):
        raise StudyError(
            f'{at}: {entry.task!r} is not a task of lm-eval; write quality = "{HARNESS}arc_easy"'
        )
    return entry


def _dataset(value: object, where: str, at: str) -> DatasetEntry:
    """``"name"``; ``{path = …, column = …}``; or ``{hub = …, split = …, column = …}``, the tables
    with an optional ``name`` and ``labels``."""
    if isinstance(value, str):
        return DatasetEntry(name=value)
    table = _table(value, where, at)
    if ("path" in table) == ("hub" in table):
        raise StudyError(
            f"{where}: {at}: a table needs a path or a hub, as in {{ path = 'inbox.jsonl' }} or"
            " { hub = 'owner/name', split = 'test' }"
        )
    own = {"name", "labels", "path"}
    entry: dict[str, Any] = {}
    if "hub" in table:
        places = [name for name in HubSource.__struct_fields__ if name != "repo"]
        given = {k: table[k] for k in places if k in table}
        entry["hub"] = typed({"repo": table["hub"], **given}, HubSource, f"{where}: {at}")
        own |= {"hub", *places}
    columns = {k: v for k, v in table.items() if k not in own}
    entry |= {k: v for k, v in table.items() if k in ("path", "name", "labels")}
    entry.setdefault("name", Path(str(table.get("path") or table["hub"])).name)
    hub = entry.pop("hub", None)
    dataset: DatasetEntry = typed({**entry, "columns": columns}, DatasetEntry, f"{where}: {at}")
    return msgspec.structs.replace(dataset, hub=hub)
