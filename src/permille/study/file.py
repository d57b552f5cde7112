"""The study file: TOML, hostile until checked, every error one line with the way to mend it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec

from permille.datasets import HubSource
from permille.errors import StudyError
from permille.records import Category, Record
from permille.suggestions import nearest

MAX_BYTES = 1_000_000
MAX_DEPTH = 8
MAX_ENTRIES = 10_000
MAX_DOTS = 200
"""In one line: tomllib's time goes with the square of a dotted key's length."""

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
_NAME = re.compile(r"[\w.][\w .+:@-]{0,99}")

Positive = Annotated[int, msgspec.Meta(gt=0, le=100_000_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400 * 7)]


class Settings(Record, forbid_unknown_fields=True):
    """The ``[study]`` table: the protocol of every trial, and what its workers may have:
    ``network`` (a ``[[models]]`` table may say otherwise), ``memory_gib`` of private memory.
    ``weights`` ("replica" builds models at random, see docs/replicas.md), ``device`` and ``dtype``
    are for every model whose backend has such a key and whose table does not say otherwise."""

    name: str
    description: str = ""
    inferences: Positive = 1000
    repeats: Annotated[int, msgspec.Meta(gt=0, le=10_000)] | None = None
    precision: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    max_repeats: Annotated[int, msgspec.Meta(gt=1, le=10_000)] = 30
    seed: int = 0
    warmup: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 50
    idle_s: Seconds = 5.0
    timeout_s: Seconds = 3600.0
    network: bool = False
    memory_gib: Annotated[float, msgspec.Meta(gt=0, le=65_536)] | None = None
    weights: Literal["replica"] | None = None
    device: str | None = None
    dtype: str | None = None


class ModelEntry(Record):
    """A ``[[models]]`` table: the common keys, and the backend's own, not yet checked.

    A model without a ``path`` comes from the Hub: ``repo`` (the id, if not given), at ``revision``
    (``main``), of its files ``file`` where there are several. ``prompt`` may be a table, of a
    prompt for each task."""

    id: str
    backend: str
    category: Category
    prompt: str | dict[str, str] | None = None
    tasks: tuple[str, ...] | None = None
    params: int | None = None
    network: bool | None = None
    repo: str | None = None
    revision: str | None = None
    file: str | None = None
    own: dict[str, Any] = {}


class DatasetEntry(Record):
    """A dataset: a name that permille knows, or a file or a place on the Hub with the names of
    its columns."""

    name: str
    path: str | None = None
    hub: HubSource | None = None
    columns: dict[str, str] = {}
    labels: tuple[str, ...] = ()


class TaskEntry(Record):
    """A ``[[tasks]]`` table."""

    task: str
    datasets: tuple[DatasetEntry, ...]


class StudyFile(Record):
    """A study file, its form checked; ``folder`` is what its paths are relative to. ``only``: of
    its grid, the cells (task, dataset, model) that are run; None: all."""

    where: str
    folder: Path
    settings: Settings
    models: tuple[ModelEntry, ...]
    tasks: tuple[TaskEntry, ...]
    only: frozenset[tuple[str, str, str]] | None = None


def read(path: Path) -> StudyFile:
    """The study file at ``path``.

    Raises:
        StudyError: what is wrong, where, and how to mend it, on one line.
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
    """The study file of a text.

    Raises:
        StudyError: as :func:`read`.
    """
    if any(line.count(".") > MAX_DOTS for line in text.split("\n")):
        raise StudyError(
            f"{where} has a line with more than {MAX_DOTS} dots; break a long text into lines with"
            ' """'
        )
    try:
        tree = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, and what int() and datetime() refuse
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
    settings = _convert(study, Settings, where, "[study]")
    if not _NAME.fullmatch(settings.name):
        raise StudyError(
            f"{where}: [study] name {settings.name!r}: letters, digits, spaces and .+:@-_ only,"
            " at most 100"
        )
    if settings.repeats is not None and settings.precision is not None:
        raise StudyError(f"{where}: [study] has both repeats and precision; keep one")
    return StudyFile(
        where=where,
        folder=folder,
        settings=settings,
        models=_models(tree["models"], where),
        tasks=_tasks(tree["tasks"], where),
    )


def _bound(tree: object, where: str) -> None:
    """Refuse what is nested or numerous beyond any study."""
    entries = 0
    level: list[object] = [tree]
    for _ in range(MAX_DEPTH + 1):
        inner: list[object] = []
        for value in level:
            if isinstance(value, Mapping):
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        entries += len(inner)
        if entries > MAX_ENTRIES:
            raise StudyError(f"{where} has more than {MAX_ENTRIES:,} entries")
        level = inner
    if level:
        raise StudyError(f"{where} is nested more than {MAX_DEPTH} deep")


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


def _convert(table: object, kind: Any, where: str, at: str) -> Any:
    """msgspec's check, its message mapped: ``$.repeats`` becomes ``repeats``."""
    try:
        return msgspec.convert(table, kind, strict=True)
    except msgspec.ValidationError as error:
        message = str(error)
        what, _, path = message.partition(" - at `$")
        key = path.rstrip("`").lstrip(".")
        raise StudyError(f"{where}: {at}{' ' + key if key else ''}: {_plain(what, at)}") from error


def _plain(message: str, at: str) -> str:
    """msgspec's words for types, as a user of TOML knows them."""
    for theirs, ours in (("`str`", "text"), ("`int`", "a whole number"), ("`float`", "a number")):
        message = message.replace(theirs, ours)
    if message.startswith("Object missing required field"):
        return f"{message.rpartition(' ')[2].strip('`')} is missing"
    if message.startswith("Invalid enum value"):  # of the two closed sets here
        closed = ("replica",) if at == "[study]" else get_args(Category)
        words = " or ".join(repr(word) for word in closed)
        message = f"{message.replace('enum value', 'value')}; {words}"
    return message[:1].lower() + message[1:]


def _models(value: object, where: str) -> tuple[ModelEntry, ...]:
    models: list[ModelEntry] = []
    for i, table in enumerate(_tables(value, where, "models"), 1):
        at = f"[[models]] {i}"
        if isinstance(table.get("id"), str):
            at += f" ({table['id']!r})"
        common = {k: v for k, v in table.items() if k in COMMON_MODEL_KEYS}
        own = {k: v for k, v in table.items() if k not in COMMON_MODEL_KEYS}
        model = _convert({**common, "own": own}, ModelEntry, where, at)
        if any(m.id == model.id for m in models):
            raise StudyError(f"{where}: {at}: the id is there twice; ids must differ")
        models.append(model)
    return tuple(models)


def _tasks(value: object, where: str) -> tuple[TaskEntry, ...]:
    tasks = []
    for i, table in enumerate(_tables(value, where, "tasks"), 1):
        at = f"[[tasks]] {i}"
        _known(table, ("task", "datasets"), where, at)
        for key in ("task", "datasets"):
            if key not in table:
                raise StudyError(f"{where}: {at} has no {key}")
        if not isinstance(table["datasets"], list) or not table["datasets"]:
            raise StudyError(f"{where}: {at} datasets must be a list of names or tables")
        datasets = tuple(_dataset(d, where, f"{at} datasets") for d in table["datasets"])
        tasks.append(_convert({"task": table["task"], "datasets": ()}, TaskEntry, where, at))
        tasks[-1] = msgspec.structs.replace(tasks[-1], datasets=datasets)
    return tuple(tasks)


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
        entry["hub"] = _convert({"repo": table["hub"], **given}, HubSource, where, at)
        own |= {"hub", *places}
    columns = {k: v for k, v in table.items() if k not in own}
    entry |= {k: v for k, v in table.items() if k in ("path", "name", "labels")}
    entry.setdefault("name", Path(str(table.get("path") or table["hub"])).name)
    hub = entry.pop("hub", None)
    found: DatasetEntry = _convert({**entry, "columns": columns}, DatasetEntry, where, at)
    return msgspec.structs.replace(found, hub=hub)
