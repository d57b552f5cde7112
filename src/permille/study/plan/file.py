"""Read the study file: untrusted TOML; every error is one line that says how to fix it."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import msgspec.inspect

from permille import plugins
from permille.errors import StudyError
from permille.study.plan.entries import (
    COMMON_MODEL_KEYS,
    HARNESS,
    DatasetEntry,
    ModelEntry,
    QualityEntry,
    Settings,
    StudyFile,
    TaskEntry,
)
from permille.study.plan.sweeps import swept
from permille.study.plan.typed import typed
from permille.suggestions import nearest
from permille.workload.specs import HubSource

MAX_BYTES = 1_000_000
MAX_DEPTH = 8
MAX_ENTRIES = 10_000
MAX_MODELS = 10_000
"""The most models of all tables together: the entries of a few lists multiply."""
MAX_DOTS = 200
"""The most dots in one line: tomllib takes quadratic time in the length of a dotted key."""

_NAME = re.compile(r"[\w.][\w .+:@-]{0,99}")


def read(path: Path) -> StudyFile:
    """Read the study file at ``path``.

    Raises:
        StudyError: what is wrong, where, and how to fix it, on one line.
    """
    try:
        with path.open("rb") as file:
            # Bounded as it is read: a pipe has no size to look up, and a file may grow meanwhile.
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StudyError(f"cannot read the study file {path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise StudyError(f"{path} is larger than {MAX_BYTES:,} bytes, which no study file needs")
    try:
        text = data.decode("utf-8-sig")  # with a mark at its start, as Windows' editors write it
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
    # Before typed(), whose message would not name the key that was probably meant.
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
    # Level by level: a recursion would go as deep as the file nests.
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
    # Python refuses to print whole numbers of more than 4,300 digits:
    # https://docs.python.org/3/library/stdtypes.html#integer-string-conversion-length-limitation
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
    ids: set[str] = set()
    for i, table in enumerate(_tables(value, where, "models"), 1):
        at = f"[[models]] {i}"
        if isinstance(table.get("id"), str):
            at += f" ({table['id']!r})"
        # The rest are the backend's, which are checked in models.py, once its plug-in is loaded.
        common = {k: v for k, v in table.items() if k in COMMON_MODEL_KEYS}
        own = {k: v for k, v in table.items() if k not in COMMON_MODEL_KEYS}
        model = typed({**common, "own": own}, ModelEntry, f"{where}: {at}")
        if not model.id.strip():
            raise StudyError(f"{where}: {at}: the id is empty, and every table would have no name")
        for label, settings in swept(own, f"{where}: {at}", whole=_lists_of(model.backend)):
            one = _of_sweep(model, label, settings)
            if one.id in ids:
                raise StudyError(f"{where}: {at}: the id occurs twice; ids must be unique")
            ids.add(one.id)
            models.append(one)
            if len(models) > MAX_MODELS:
                raise StudyError(f"{where}: its lists make more than {MAX_MODELS:,} models")
    return tuple(models)


def _lists_of(backend: str) -> list[str]:
    """The backend's own keys whose value is a list."""
    if backend not in plugins.names("backends"):
        return []  # an error of its own, once the model is resolved
    fields = msgspec.structs.fields(plugins.load("backends", backend).settings)
    return [field.encode_name for field in fields if _takes_list(field.type)]


def _takes_list(hint: Any) -> bool:
    kind = msgspec.inspect.type_info(hint)
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    lists = (msgspec.inspect.ListType, msgspec.inspect.VarTupleType)
    return any(isinstance(one, lists) for one in kinds)


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
    entry.setdefault("name", Path(str(table["hub" if "hub" in table else "path"])).name)
    hub = entry.pop("hub", None)
    dataset: DatasetEntry = typed({**entry, "columns": columns}, DatasetEntry, f"{where}: {at}")
    return msgspec.structs.replace(dataset, hub=hub)
