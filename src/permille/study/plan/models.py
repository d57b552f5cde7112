"""Resolve a ``[[models]]`` table to a model with its backend, its local files and their facts."""

from __future__ import annotations

import importlib.util
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from permille import plugins, weights
from permille.errors import ModelError, StudyError
from permille.hub import client, selection
from permille.records import Record
from permille.records.cell import ModelFacts
from permille.study.plan import replicas
from permille.study.plan.entries import COMMON_MODEL_KEYS, ModelEntry, StudyFile
from permille.study.plan.paths import resolve
from permille.study.plan.stamps import Stamp
from permille.study.plan.typed import typed
from permille.suggestions import nearest
from permille.workload.protocols import Backend, Standing, Task
from permille.workload.specs import ModelSpec, StandsOn

_SUFFIXES = {
    "transformers": ".safetensors",
    "diffusers": ".safetensors",
    "onnx": ".onnx",
    "gguf": ".gguf",
}


_PRESETS = "permille.presets"
"""The folder of the callables of permille's presets."""


class Model(Record):
    """A resolved model: a replica or real weights, local or not downloaded yet. ``files`` are the
    sha256 of everything that its answers depend on; ``read`` has the facts from the weights' files;
    ``recorded`` are its settings as stored in a cell; ``wanted`` must still be downloaded from the
    Hub, if the plan does not fetch it."""

    entry: ModelEntry
    spec: ModelSpec
    backend: Any
    files: dict[str, str]
    recorded: dict[str, Any]
    read: ModelFacts = ModelFacts()
    wanted: selection.Wanted | None = None
    stamps: tuple[Stamp, ...] = ()
    notes: tuple[str, ...] = ()
    replica: bool = False

    def spec_for(self, task: Task, dataset: str) -> ModelSpec:
        """The spec for the worker for one task and dataset: with the prompt for that task and, for
        a replica, the length of its answers."""
        spec = self.spec
        if isinstance(self.entry.prompt, dict):
            spec = msgspec.structs.replace(spec, prompt=self.entry.prompt.get(task.name))
        return replicas.with_answer_length(spec, task, dataset) if self.replica else spec


def open_entry(
    entry: ModelEntry,
    study: StudyFile,
    allowed: Sequence[Path],
    *,
    fetch: bool,
    modules: Sequence[str] = (),
) -> Model:
    """Resolve the model of an entry. With ``fetch``, its files are downloaded from the Hub;
    without, they are those in its cache, if it has them.
    ``modules``: modules outside the study's folder that may be called.

    Raises:
        PermilleError: what is wrong, where, and how to fix it, on one line.
    """
    at = f"{study.where}: model {entry.id!r}"
    backend = _backend(entry, at)
    entry = replicas.apply(entry, study.settings, backend.settings.__struct_fields__, at)
    paths = _paths(entry, study, allowed, at)
    hub = _from_hub(_wanted(entry, backend, at), fetch=fetch)
    own = entry.own | {key: str(path) for key, path in paths.items()} | hub.own
    spec = ModelSpec(
        id=entry.id,
        backend=entry.backend,
        category=entry.category,
        prompt=entry.prompt if isinstance(entry.prompt, str) else None,
        settings=_checked(_with_defaults(own, entry, study, backend), backend, at),
    )
    if entry.swept_from is not None and replicas.is_replica(spec):
        raise StudyError(
            f"{at}: a replica cannot be swept, because its id decides what is built; write a"
            " [[models]] table for each value"
        )
    files = _all_files(paths) | hub.files
    facts = _facts(files, entry, backend, at)
    stands = _stands_on(spec, backend, hub.wanted, modules, at)
    # Everything that determines an answer is hashed into the cell's id: with other weights or code
    # it is another cell, so that their figures are never confused.
    stamps = _stamps(files, stands.files)
    digests = {stamp.name: stamp.sha256 for stamp in stamps} | _code_digests(stands, spec)
    # Paths as written in the file: resolved paths would make other cells when a study is moved.
    recorded = entry.own | hub.recorded
    return Model(
        entry=entry,
        spec=msgspec.structs.replace(spec, code=stands.code),
        backend=backend,
        files=digests,
        recorded={key: value for key, value in recorded.items() if value is not None},
        read=msgspec.structs.replace(facts, files=digests),
        wanted=hub.wanted,
        stamps=stamps,
        notes=tuple(f"{entry.id}: {text}" for text in stands.unseen),
        replica=replicas.is_replica(spec),
    )


class _FromHub(Record):
    """The result of looking for a model on the Hub: its ``own`` settings, ``files`` by name, the
    settings for the cell (``recorded``), and what is still ``wanted``, if it is not local."""

    own: dict[str, Any] = {}
    files: dict[str, Path] = {}
    recorded: dict[str, Any] = {}
    wanted: selection.Wanted | None = None


def _from_hub(wanted: selection.Wanted | None, *, fetch: bool) -> _FromHub:
    if wanted is None:
        return _FromHub()
    recorded = {"repo": wanted.repo, "revision": wanted.revision, "file": wanted.file}
    # What was measured before is in the cache, and its trials have the digests of those files.
    fetched = client.fetch(wanted) if fetch else client.cached(wanted)
    if fetched is None:
        # With an empty path, only the form of the settings can be checked.
        return _FromHub(own={"path": ""}, recorded=recorded, wanted=wanted)
    return _FromHub(
        own={"path": str(fetched.path)},
        files=fetched.files,
        recorded=recorded | {"revision": fetched.commit},  # a branch moves, a commit does not
    )


def _stands_on(
    spec: ModelSpec,
    backend: Backend,
    wanted: selection.Wanted | None,
    modules: Sequence[str],
    at: str,
) -> StandsOn:
    """What else its answers depend on; a study file alone cannot call anything outside its
    folder."""
    if wanted is not None or not isinstance(backend, Standing):
        return StandsOn()
    try:
        stands = backend.stands_on(spec)
    except ModelError as error:
        raise ModelError(f"{at.partition(': model ')[0]}: {error}") from error
    for name in stands.foreign:
        allowed = (*modules, _PRESETS)
        if not any(name == given or name.startswith(f"{given}.") for given in allowed):
            raise StudyError(
                f"{at}: module {name} is outside the study's folder; move it there, or allow it"
                f" with --allow-module {name.partition('.')[0]}"
            )
    return stands


def _name(module: str, path: str, spec: ModelSpec) -> str:
    """The displayed name of a source file: relative to the folder that is searched for modules, or
    its module's name, because the location of packages differs between machines."""
    folder, file = Path(str(spec.settings.get("python_path", "/"))), Path(path)
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else module


def _backend(entry: ModelEntry, at: str) -> Backend:
    """The backend, after checking that its requirements are installed and all keys are known."""
    known = plugins.names("backends")
    if entry.backend not in known:
        raise StudyError(f"{at}: no backend {entry.backend!r}; {nearest(entry.backend, known)}")
    backend: Backend = plugins.load("backends", entry.backend)
    lacking = [m for m in backend.requires if importlib.util.find_spec(m) is None]
    if lacking:
        raise StudyError(
            f"{at}: backend {entry.backend} needs {', '.join(lacking)}: {backend.install}"
        )
    for name in entry.prompt if isinstance(entry.prompt, dict) else ():
        if name not in plugins.names("tasks"):
            raise StudyError(
                f"{at} prompt: no task {name!r}; {nearest(name, plugins.names('tasks'))}"
            )
    fields = backend.settings.__struct_fields__
    for key in entry.own:
        if key not in fields:
            raise StudyError(
                f"{at} has no key {key!r}; {nearest(key, [*COMMON_MODEL_KEYS, *fields])}"
            )
    return backend


def _with_defaults(
    own: Mapping[str, Any], entry: ModelEntry, study: StudyFile, backend: Backend
) -> dict[str, Any]:
    """The backend's own settings, with those that follow from where the entry stands."""
    known, settings = backend.settings.__struct_fields__, dict(own)
    if "python_path" in known:
        settings.setdefault("python_path", str(study.folder))
    if entry.swept_from is not None and "model" in known:
        settings.setdefault("model", entry.swept_from)  # a server knows it by the id in the file
    return settings


def _checked(own: Mapping[str, Any], backend: Backend, at: str) -> dict[str, Any]:
    """The backend's own settings, checked against its types."""
    checked = typed(own, backend.settings, at)
    return {k: v for k, v in msgspec.structs.asdict(checked).items() if v is not None}


def _wanted(entry: ModelEntry, backend: Backend, at: str) -> selection.Wanted | None:
    """What to get from the Hub; None for a local model, or one without files."""
    kind = getattr(backend, "hub_format", None)
    given = [key for key in ("repo", "revision", "file") if getattr(entry, key) is not None]
    given += [key for key in ("trust_remote_code",) if entry.own.get(key)]
    if kind is None or "path" in entry.own or entry.own.get("weights") == "replica":
        if given:
            raise StudyError(
                f"{at}: {given[0]} needs a model from the Hub: no path, no replica, and a "
                "backend that reads files"
            )
        return None
    remote_code = bool(entry.own.get("trust_remote_code", False))
    revision = entry.revision or "main"
    if remote_code and not selection.COMMIT.fullmatch(revision):
        raise StudyError(
            f"{at}: trust_remote_code runs the model's own code: it needs the commit that you have "
            'read, revision = "its 40 hex digits"'
        )
    return selection.Wanted(
        model_id=entry.id,
        repo=entry.repo or entry.swept_from or entry.id,
        format=kind,
        revision=revision,
        file=entry.file,
        allow_pickle=bool(entry.own.get("allow_pickle", False)),
        remote_code=remote_code,
    )


def _paths(
    entry: ModelEntry, study: StudyFile, allowed: Sequence[Path], at: str
) -> dict[str, Path]:
    """The resolved paths among the settings."""
    # A backend, which may be a plug-in, tells by the names of its settings which of them are paths.
    return {
        key: resolve(value, study.folder, allowed, f"{at} {key}")
        for key, value in entry.own.items()
        if (key == "path" or key.endswith("_path")) and isinstance(value, str)
    }


def _all_files(paths: Mapping[str, Path]) -> dict[str, Path]:
    return {name: file for key, path in paths.items() for name, file in _files(path, key).items()}


def _stamps(files: Mapping[str, Path], besides: Mapping[str, Path]) -> tuple[Stamp, ...]:
    """Stamps of the model's files and of those in ``besides``. A file with two names is only hashed
    once, because it may have gigabytes."""
    # Resolved, because in the Hub's cache the names are links to the files.
    there = {file.resolve() for file in files.values()}
    further = {name: file for name, file in besides.items() if file.resolve() not in there}
    return tuple(Stamp.of(name, file) for name, file in ({**files, **further}).items())


def _code_digests(stands: StandsOn, spec: ModelSpec) -> dict[str, str]:
    return {_name(module, file.path, spec): file.sha256 for module, file in stands.code.items()}


def _files(path: Path, key: str) -> dict[str, Path]:
    """The file, or each file of the folder, by name; for settings other than ``path``, prefixed
    with the setting's name, because two may have files of the same name. The Python path is not
    included: only imported files count."""
    if key == "python_path":
        return {}
    before = "" if key == "path" else f"{key}/"
    if path.is_file():
        return {before + path.name: path}
    return {f"{before}{p.relative_to(path)}": p for p in _below(path)}


def _below(folder: Path) -> Iterator[Path]:
    """The files in a folder's tree, then in folders that only links lead to, each folder once."""
    visited: set[Path] = set()
    # A model is chosen by the names of its files: by the first link to a folder within the tree,
    # they would have others than their own.
    tops = deque([folder])
    while tops:
        for root, folders, names in os.walk(tops.popleft()):
            here = Path(root).resolve()
            if here in visited:
                folders.clear()
                continue
            visited.add(here)
            folders.sort()
            tops += [p for n in folders if (p := Path(root, n)).is_symlink()]
            yield from (p for n in sorted(names) if (p := Path(root, n)).is_file())


def _facts(files: Mapping[str, Path], entry: ModelEntry, backend: Backend, at: str) -> ModelFacts:
    """Facts from the weights; none for a folder without a model for the backend."""
    kind = getattr(backend, "hub_format", None)
    if kind is None or not files:
        return ModelFacts()
    # Whether a pickle may be read is not decided here: it only has no facts.
    wanted = selection.Wanted(
        model_id=entry.id, repo=entry.id, format=kind, allow_pickle=True, file=entry.file
    )
    try:
        names = selection.choose(wanted, list(files)).names
    except ModelError:
        # A file that the study names by itself may have any name.
        names = tuple(files) if len(files) == 1 else ()
    chosen = [files[name] for name in names]
    try:
        return weights.read(chosen, _SUFFIXES[kind])
    except weights.UnreadableWeightsError as error:
        raise ModelError(f"{at}: {error}") from error
