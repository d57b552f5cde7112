"""A ``[[models]]`` table -> a model with its backend and files, on this disk and read."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from permille import plugins, weights
from permille.errors import ModelError, StudyError
from permille.hub import client, selection
from permille.records import ModelFacts, Record
from permille.study.plan import replicas
from permille.study.plan.file import COMMON_MODEL_KEYS, ModelEntry, StudyFile
from permille.study.plan.paths import resolve
from permille.study.plan.stamps import Stamp
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
"""Where the callables of permille's own presets lie."""


class Model(Record):
    """A model, resolved once: a replica or real weights, on this disk or yet to be downloaded.
    ``files`` are the sha256 of all that its answers depend on; ``read`` is what the weights' files
    say; ``recorded`` are its settings as a cell keeps them; ``wanted`` is what has to be downloaded
    from the Hub, where the plan does not fetch it."""

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
        """What the worker is given for one task and dataset: the prompt for that task, and for a
        replica the length of its answers."""
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
    """The model of an entry. ``fetch``: what it needs of the Hub is downloaded. ``modules``: those
    outside the study's folder that the user allows to be called.

    Raises:
        PermilleError: what is wrong, where, and how to mend it, on one line.
    """
    at = f"{study.where}: model {entry.id!r}"
    backend = _backend(entry, at)
    entry = replicas.apply(entry, study.settings, backend.settings.__struct_fields__, at)
    paths = _paths(entry, study, allowed, at)
    hub = _from_hub(_wanted(entry, backend, at), fetch=fetch)
    own = entry.own | {key: str(path) for key, path in paths.items()} | hub.own
    if "python_path" in backend.settings.__struct_fields__:
        own.setdefault("python_path", str(study.folder))
    spec = ModelSpec(
        id=entry.id,
        backend=entry.backend,
        category=entry.category,
        prompt=entry.prompt if isinstance(entry.prompt, str) else None,
        settings=_checked(own, backend, at),
    )
    files = _all_files(paths) | hub.files
    facts = _facts(files, entry, backend, at)
    stands = _stands_on(spec, backend, hub.wanted, modules, at)
    # All that decides an answer is hashed into the cell's id: with other weights or other code it
    # is another cell, and no figure of the one is ever taken for the other's.
    stamps = _stamps(files, stands.files)
    digests = {stamp.name: stamp.sha256 for stamp in stamps} | _code_digests(stands, spec)
    # Paths as the file writes them: where they lead differs once a study is moved, and its
    # cells would be others.
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
    """What comes of a model's place on the Hub: settings of its ``own``, ``files`` by name, what a
    cell keeps of it (``recorded``), and what is still ``wanted``, if it is not here yet."""

    own: dict[str, Any] = {}
    files: dict[str, Path] = {}
    recorded: dict[str, Any] = {}
    wanted: selection.Wanted | None = None


def _from_hub(wanted: selection.Wanted | None, *, fetch: bool) -> _FromHub:
    if wanted is None:
        return _FromHub()
    recorded = {"repo": wanted.repo, "revision": wanted.revision, "file": wanted.file}
    if not fetch:
        # With an empty path, no more than the form of the settings can be checked.
        return _FromHub(own={"path": ""}, recorded=recorded, wanted=wanted)
    fetched = client.fetch(wanted)
    return _FromHub(
        own={"path": str(fetched.path)},
        files=fetched.files,
        recorded=recorded | {"revision": fetched.commit},  # a branch moves on, a commit does not
    )


def _stands_on(
    spec: ModelSpec,
    backend: Backend,
    wanted: selection.Wanted | None,
    modules: Sequence[str],
    at: str,
) -> StandsOn:
    """What its answers rest on besides; a study file alone calls nothing outside its folder."""
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
                f"{at}: module {name} lies outside the study's folder; move it there, or allow it"
                f" with --allow-module {name.partition('.')[0]}"
            )
    return stands


def _name(module: str, path: str, spec: ModelSpec) -> str:
    """A file of source as it is shown: below the folder in which modules are looked for, else as
    its module, since where packages lie differs from machine to machine."""
    folder, file = Path(str(spec.settings.get("python_path", "/"))), Path(path)
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else module


def _backend(entry: ModelEntry, at: str) -> Backend:
    """The backend, all that it needs installed, and no key that it does not know."""
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


def _checked(own: Mapping[str, Any], backend: Backend, at: str) -> dict[str, Any]:
    """The backend's own settings, of the types that it says."""
    try:
        checked = msgspec.convert(own, backend.settings, strict=True)
    except msgspec.ValidationError as error:
        raise StudyError(f"{at}: {str(error).replace(' - at `$.', ' - at `')}") from error
    return {k: v for k, v in msgspec.structs.asdict(checked).items() if v is not None}


def _wanted(entry: ModelEntry, backend: Backend, at: str) -> selection.Wanted | None:
    """What is to be had from the Hub; None for a model on this disk, or one without files."""
    kind = getattr(backend, "hub_format", None)
    given = [key for key in ("repo", "revision", "file") if getattr(entry, key) is not None]
    given += [key for key in ("trust_remote_code",) if entry.own.get(key)]
    if kind is None or "path" in entry.own or entry.own.get("weights") == "replica":
        if given:
            raise StudyError(
                f"{at}: {given[0]} is for a model of the Hub, which has no path and no replica's "
                "weights, with a backend that reads files"
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
        repo=entry.repo or entry.id,
        format=kind,
        revision=revision,
        file=entry.file,
        allow_pickle=bool(entry.own.get("allow_pickle", False)),
        remote_code=remote_code,
    )


def _paths(
    entry: ModelEntry, study: StudyFile, allowed: Sequence[Path], at: str
) -> dict[str, Path]:
    """The paths among the settings, where they lead."""
    return {
        key: resolve(value, study.folder, allowed, f"{at} {key}")
        for key, value in entry.own.items()
        if (key == "path" or key.endswith("_path")) and isinstance(value, str)
    }


def _all_files(paths: Mapping[str, Path]) -> dict[str, Path]:
    return {name: file for key, path in paths.items() for name, file in _files(path, key).items()}


def _stamps(files: Mapping[str, Path], besides: Mapping[str, Path]) -> tuple[Stamp, ...]:
    """Stamps of the model's files, and of those ``besides`` that are not among them by another
    name: a file of gigabytes is hashed once."""
    there = {file.resolve() for file in files.values()}
    further = {name: file for name, file in besides.items() if file.resolve() not in there}
    return tuple(Stamp.of(name, file) for name, file in ({**files, **further}).items())


def _code_digests(stands: StandsOn, spec: ModelSpec) -> dict[str, str]:
    return {_name(module, file.path, spec): file.sha256 for module, file in stands.code.items()}


def _files(path: Path, key: str) -> dict[str, Path]:
    """The file, or each file of the folder, by name; of another setting than ``path`` with that
    setting's, since two may lead to files of one name. The Python path is not a model: of it counts
    what is imported."""
    if key == "python_path":
        return {}
    before = "" if key == "path" else f"{key}/"
    if path.is_file():
        return {before + path.name: path}
    return {f"{before}{p.relative_to(path)}": p for p in _below(path)}


def _below(folder: Path) -> Iterator[Path]:
    """The files below a folder, through links to folders too, each folder once."""
    seen: set[Path] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        seen.add(Path(root).resolve())
        folders[:] = [n for n in sorted(folders) if Path(root, n).resolve() not in seen]
        yield from (p for n in sorted(names) if (p := Path(root, n)).is_file())


def _facts(files: Mapping[str, Path], entry: ModelEntry, backend: Backend, at: str) -> ModelFacts:
    """What the weights tell; nothing of a folder in which the backend will find no model."""
    kind = getattr(backend, "hub_format", None)
    if kind is None or not files:
        return ModelFacts()
    wanted = selection.Wanted(
        model_id=entry.id, repo=entry.id, format=kind, allow_pickle=True, file=entry.file
    )
    try:
        names = selection.choose(wanted, list(files)).names
    except ModelError:
        names = tuple(files) if len(files) == 1 else ()
    chosen = [files[name] for name in names]
    try:
        return weights.read(chosen, _SUFFIXES[kind])
    except weights.UnreadableWeightsError as error:
        raise ModelError(f"{at}: {error}") from error
