"""A Python callable as a model, for anything that no other backend runs.

    backend = "python"
    callable = "my_model:classify"      # called with each request
    load = "my_model:load"              # optional, called once, before anything is measured

With only ``callable``, it is called as ``classify(text)``. With only ``load``, the object that
``load()`` returns is called. With both, it is called as ``classify(loaded, text)``. A
general-purpose model is called with the prompt and the tuple of choices instead of the text. The
answer is the label (a str), or an :class:`~permille.workload.outputs.Output`.

For other tasks: a prompt is passed unchanged and answered with a str of any length; a question is
passed with its context as ``answer(question, context)``; a chat as a tuple of (role, content); an
embedding is a sequence of numbers. Words are passed as a tuple and answered with as many tags; a
masked text is passed as ``guess(before, after)`` and answered with words, the most likely first; an
image or a recording is passed as the bytes of its file and answered with a label, a text, or for
object-detection ``[{"label": …, "score": …, "bbox": [x, y, width, height]}]`` in pixels. A
generated image is not examined, but must not be None.

An inference ends when its answer is complete: a generator is consumed, a coroutine or a future is
awaited, an array that a device is still computing is waited for (``permille.finishing``), all of it
within the measured call. Pieces of a str are joined.

This is the only backend that runs code of the study's author, because the study names it. Its
exceptions propagate.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from permille.backends.source_files import planned
from permille.backends.source_files.collecting import ModuleSource, collect
from permille.backends.source_files.places import installed, locate
from permille.errors import ModelError
from permille.finishing import Finisher, Pieces, synchronise
from permille.records import Record
from permille.records.cell import Category, ModelFacts
from permille.suggestions import nearest
from permille.workload.outputs import Output
from permille.workload.protocols import Backend
from permille.workload.requests import (
    Chat,
    Choice,
    Draw,
    Generate,
    Masked,
    Picture,
    Question,
    Sound,
    Text,
    Words,
)
from permille.workload.specs import Execution, ModelSpec, StandsOn

_LABELS = ("text-classification", "image-classification")
_LISTS: dict[str, type] = {"token-classification": str, "fill-mask": str, "object-detection": dict}
"""Tasks answered with a list, and the type of its items."""


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


@dataclass(frozen=True)
class _Heard:
    """An answer and its recording, whose seconds are counted after the span."""

    content: bytes
    answer: Any


def _seconds(content: bytes) -> dict[str, float]:
    """The duration of a recording, if it can be read."""
    if importlib.util.find_spec("soundfile") is None:
        return {}
    import soundfile

    try:
        return {"audio_seconds": float(soundfile.info(io.BytesIO(content)).duration)}
    except soundfile.LibsndfileError:
        return {}


class _Callable:
    """A loaded callable."""

    device = "cpu"

    facts = ModelFacts()

    def __init__(self, function: Callable[..., Any], task: str, finisher: Finisher) -> None:
        self._function = function
        self._task = task
        self._finisher = finisher
        self._readable = False

    def infer(self, request: Any) -> Any:
        """Call it and wait for its answer; its exceptions propagate.

        Raises:
            ModelError: the first answer has the wrong type for the task.
        """
        answer = self._finisher.finish(self._call(request))
        synchronise()
        if not self._readable:
            self.read(answer)
            self._readable = True
        return answer

    def _call(self, request: Any) -> Any:
        if isinstance(request, Choice):
            return self._function(request.prompt, request.choices)
        if isinstance(request, Text):
            return self._function(request.text)
        if isinstance(request, Question):
            return self._function(request.question, request.context)
        if isinstance(request, Generate | Draw):
            return self._function(request.prompt)
        if isinstance(request, Chat):
            return self._function(request.messages)
        if isinstance(request, Words):
            return self._function(request.words)
        if isinstance(request, Masked):
            return self._function(request.before, request.after)
        if isinstance(request, Picture):
            return self._function(request.content)
        if isinstance(request, Sound):
            return _Heard(request.content, self._function(request.content))
        raise ModelError(f"backend python does not support a {type(request).__name__} request")

    def read(self, raw: Any) -> Output:
        """The answer as an Output.

        Raises:
            ModelError: it is neither an Output, nor the type for the task, nor None (no answer).
        """
        if isinstance(raw, _Heard):
            output = self.read(raw.answer)
            seconds = {} if "audio_seconds" in output.counted else _seconds(raw.content)
            return msgspec.structs.replace(output, counted={**output.counted, **seconds})
        if isinstance(raw, Output):
            return raw
        if isinstance(raw, Pieces) and self._task not in _LISTS and _are_text(raw):
            return self.read("".join(raw))
        if self._task == "feature-extraction":
            return self._embedding(raw)
        if self._task in _LISTS:
            return self._list(raw)
        if self._task == "text-to-image":
            return self._image(raw)
        if isinstance(raw, str) and self._task not in _LABELS:
            return Output(text=raw)
        if raw is None or isinstance(raw, str):
            return Output(label=raw)
        wanted = "a label" if self._task in _LABELS else "a text"
        raise ModelError(f"the callable returned a {type(raw).__name__}, not {wanted} (str)")

    def _list(self, raw: Any) -> Output:
        kind = _LISTS[self._task]
        if not isinstance(raw, list | tuple) or not all(isinstance(x, kind) for x in raw):
            raise ModelError(
                f"the callable returned a {type(raw).__name__}, not a list of {kind.__name__}"
            )
        return Output(data=list(raw))

    def _image(self, raw: Any) -> Output:
        if raw is None:
            raise ModelError("the callable returned None, not an image")
        return Output(counted={"images": 1.0})

    def _embedding(self, raw: Any) -> Output:
        try:
            return Output(data=[float(value) for value in raw])
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"the callable returned a {type(raw).__name__}, not an embedding (numbers)"
            ) from error

    def close(self) -> None:
        """Close the event loop of asynchronous callables."""
        self._finisher.close()


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
        targets, folder = _targets(model), _python_path(model)
        modules = tuple(dict.fromkeys(t.partition(":")[0] for t in targets.values()))
        collected = collect(modules, [folder] if folder else [])
        unseen = []
        for key, target in targets.items():
            unseen += _check_target(f"model {model.id!r}: {key}", target, collected, folder)
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
                files[name] = Path(spec.origin)
        return StandsOn(
            files=files,
            code=collected.digests(),
            foreign=tuple(foreign),
            unseen=tuple(unseen),
        )

    def executes(self, model: ModelSpec) -> tuple[Execution, ...]:
        """The callable and its loader."""
        return tuple(Execution(kind="callable", what=target) for target in _targets(model).values())

    def load(self, model: ModelSpec, task: str) -> _Callable:
        """Import the module and, if given, call ``load``.

        Raises:
            ModelError: there is no such function. Exceptions of the user's code propagate.
        """
        _targets(model)
        settings = msgspec.convert(model.settings, Settings)
        if settings.python_path and settings.python_path not in sys.path:
            sys.path.insert(0, settings.python_path)
        planned.install(model.code)
        call = _find(model, settings.callable) if settings.callable else None
        finisher = Finisher()
        if settings.load:
            loaded = _loaded(_find(model, settings.load)(), finisher)
            function = loaded if call is None else _bind(call, loaded)
        else:
            function = call
        if not callable(function):
            raise ModelError(
                f"model {model.id!r}: {settings.load} returned a {type(function).__name__}, "
                "which cannot be called; give callable too"
            )
        return _Callable(function, task, finisher)


def _are_text(pieces: Pieces) -> bool:
    return bool(pieces) and all(isinstance(piece, str) for piece in pieces)


def _loaded(promise: Any, finisher: Finisher) -> Any:
    """The result of ``load``; an asynchronous ``load`` is awaited."""
    return finisher.finish(promise) if inspect.isawaitable(promise) else promise


def _bind(call: Callable[..., Any], loaded: Any) -> Callable[..., Any]:
    return lambda *request: call(loaded, *request)


def _targets(model: ModelSpec) -> dict[str, str]:
    """``callable`` and ``load``, as far as given.

    Raises:
        ModelError: neither is given, one is malformed, or is in Python's standard library.
    """
    settings = msgspec.convert(model.settings, Settings)
    given = {"callable": settings.callable, "load": settings.load}
    targets = {key: target for key, target in given.items() if target is not None}
    if not targets:
        raise ModelError(f'model {model.id!r} needs callable = "module:function" (or load)')
    for key, target in targets.items():
        at = f"model {model.id!r}: {key} {target!r}"
        module, _, function = target.partition(":")
        parts = module.split(".")
        if not (function.isidentifier() and all(part.isidentifier() for part in parts)):
            raise ModelError(f"{at} is not of the form module:function")
        if parts[0] in sys.stdlib_module_names:
            raise ModelError(
                f"{at}: {parts[0]} is in Python's standard library, which a study must not call;"
                " write your own function, in a file with another name in the study's folder"
            )
    return targets


def _python_path(model: ModelSpec) -> Path | None:
    text = model.settings.get("python_path")
    return Path(text) if text else None


def _check_target(at: str, target: str, collected: ModuleSource, folder: Path | None) -> list[str]:
    """Check that a function exists; returns remarks about what only running can show."""
    name, _, function = target.partition(":")
    module = collected.modules.get(name)
    if module is None:
        roots = [folder] if folder else []
        if locate(name, roots) or installed(name):
            return []  # compiled, or in an installed package: not read
        raise ModelError(
            f"{at}: no module {name!r} in {folder or 'the Python path'}; set python_path to the"
            " folder that contains it, or install it"
        )
    if function in module.names:
        return []
    if module.surely:
        instead = nearest(function, module.names, f"its names: {', '.join(module.names)[:200]}")
        raise ModelError(f"{at}: {module.path}:1: module {name!r} has no {function!r}; {instead}")
    return [f"only running {module.path.name} shows whether it defines {function!r}"]


def _shown(path: Path, folder: Path | None) -> str:
    inside = folder is not None and path.is_relative_to(folder)
    return path.relative_to(folder).as_posix() if inside and folder else path.name


def _find(model: ModelSpec, target: str) -> Any:
    name, _, function = target.partition(":")
    module = importlib.import_module(name)
    planned = model.code.get(name)
    if planned is not None and getattr(module, "__file__", None) != planned.path:
        raise ModelError(
            f"model {model.id!r}: another module {name!r} was imported before"
            f" ({getattr(module, '__file__', 'built in')}); give {planned.path} another name"
        )
    try:
        return getattr(module, function)
    except AttributeError as error:
        raise ModelError(f"model {model.id!r}: module {name!r} has no {function!r}") from error


backend: Backend = PythonBackend()
