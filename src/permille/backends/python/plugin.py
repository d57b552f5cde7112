"""The backend ``python`` as a plug-in: what a model stands on, and loading it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from permille.backends.python.loaded import LoadedCallable
from permille.backends.python.settings import Settings
from permille.backends.python.targets import check_target, find, python_path, targets_of
from permille.backends.source_files import planned
from permille.backends.source_files.collecting import collect
from permille.backends.source_files.places import installed, locate
from permille.errors import ModelError
from permille.finishing import Finisher
from permille.records import Record
from permille.records.cell import Category
from permille.workload.protocols import Backend
from permille.workload.specs import Execution, ModelSpec, StandsOn


class PythonBackend:
    """The backend, as a plug-in."""

    name = "python"
    tasks: Mapping[str, frozenset[Category]] = {
        task: frozenset({"task-specific", "general-purpose"})
        for task in (
            "text-classification",
            "text-generation",
            "summarization",
            "translation",
            "question-answering",
            "feature-extraction",
            "chat",
            "token-classification",
            "fill-mask",
            "image-classification",
            "object-detection",
            "image-to-text",
            "text-to-image",
            "automatic-speech-recognition",
        )
    }
    settings: type[Record] = Settings
    requires: tuple[str, ...] = ()
    install = ""

    def check(self, model: ModelSpec, task: str) -> None:
        """Check the form of the names, and that the modules exist, are valid Python and have the
        functions. Runs nothing.

        Raises:
            ModelError: one of these does not hold; for source, the message has file and line.
        """
        self.stands_on(model)

    def stands_on(self, model: ModelSpec) -> StandsOn:
        """The modules, and the project's modules that they import.

        Raises:
            ModelError: see :meth:`check`.
        """
        targets, folder = targets_of(model), python_path(model)
        modules = tuple(dict.fromkeys(t.partition(":")[0] for t in targets.values()))
        collected = collect(modules, [folder] if folder else [])
        unseen = []
        for key, target in targets.items():
            unseen += check_target(f"model {model.id!r}: {key}", target, collected, folder)
        if collected.unseen:
            unseen.append(
                f"{collected.unseen[0]} imports a module with a computed name: a change of such a"
                " module is not noticed (--fresh measures it again)"
            )
        foreign = [m for m in modules if folder is None or not locate(m, [folder])]
        files = {_shown(path, folder): path for path in collected.others}
        for name in (name for name in foreign if name not in collected.modules):
            spec = installed(name)
            if spec and spec.origin and Path(spec.origin).is_file():
                # Not parsed, as what it imports is not the project's: it counts by its bytes.
                files[name] = Path(spec.origin)
        return StandsOn(
            files=files,
            code=collected.digests(),
            foreign=tuple(foreign),
            unseen=tuple(unseen),
        )

    def executes(self, model: ModelSpec) -> tuple[Execution, ...]:
        """The callable and its loader."""
        return tuple(
            Execution(kind="callable", what=target) for target in targets_of(model).values()
        )

    def load(self, model: ModelSpec, task: str) -> LoadedCallable:
        """Import the module and, if given, call ``load``.

        Raises:
            ModelError: there is no such function. Exceptions of the user's code propagate.
        """
        targets_of(model)
        settings = msgspec.convert(model.settings, Settings)
        if settings.python_path and settings.python_path not in sys.path:
            # First, so that the project's own module is imported, not an installed one of the same
            # name.
            sys.path.insert(0, settings.python_path)
        # Before the callable is imported, so that what it imports is of the planned source, too.
        planned.install(model.code)
        call = find(model, settings.callable) if settings.callable else None
        finisher = Finisher()
        if settings.load:
            loaded = _loaded(find(model, settings.load)(), finisher)
            function = loaded if call is None else _bind(call, loaded)
        else:
            function = call
        if not callable(function):
            raise ModelError(
                f"model {model.id!r}: {settings.load} returned a {type(function).__name__}, "
                "which cannot be called; give callable too"
            )
        return LoadedCallable(function, task, finisher)


def _loaded(promise: Any, finisher: Finisher) -> Any:
    """The result of ``load``; an asynchronous ``load`` is awaited."""
    return finisher.finish(promise) if inspect.isawaitable(promise) else promise


def _bind(call: Callable[..., Any], loaded: Any) -> Callable[..., Any]:
    return lambda *request: call(loaded, *request)


def _shown(path: Path, folder: Path | None) -> str:
    inside = folder is not None and path.is_relative_to(folder)
    return path.relative_to(folder).as_posix() if inside and folder else path.name


backend: Backend = PythonBackend()
