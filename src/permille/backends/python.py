"""A Python callable as a model: for anything that no other backend runs.

    backend = "python"
    callable = "my_model:classify"      # called with each request
    load = "my_model:load"              # optional, called once, before anything is measured

With ``callable`` alone, it is called as ``classify(text)``. With ``load`` alone, what ``load()``
returns is called. With both, it is called as ``classify(loaded, text)``. A general-purpose model
is called with the prompt and the tuple of choices in the place of the text. The answer is the
label, a str, or an :class:`~permille.backends.Output`.

For other tasks: a prompt is given as it is and answered by a str, whose length is the callable's
own affair; a question comes with its context as ``answer(question, context)``; a chat as a tuple
of (role, content); an embedding is a sequence of numbers. Words come as a tuple and are answered by
as many tags; a text with a word left out as ``guess(before, after)``, answered by words, the
likeliest first; an image or a recording as the bytes of its file, answered by a label, a text, or
for object-detection by ``[{"label": …, "score": …, "bbox": [x, y, width, height]}]`` in pixels. An
image that is made is not looked at, but must be something.

An inference ends when its answer is there: a generator is run to its end, a coroutine or a future
is awaited, an array that a device still computes is waited for (``permille.finishing``), all of it
within the measured call. A str that comes in pieces is put together.

This is the one backend that runs code of the study's author, because they name it. An exception
in it goes on as it is.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from permille.backends import (
    Backend,
    Chat,
    Choice,
    Draw,
    Generate,
    Masked,
    ModelSpec,
    Output,
    Picture,
    Question,
    Sound,
    Text,
    Words,
)
from permille.errors import ModelError
from permille.finishing import Finisher, Pieces, synchronise
from permille.records import Category, ModelFacts, Record

_LABELS = ("text-classification", "image-classification")
_LISTS: dict[str, type] = {"token-classification": str, "fill-mask": str, "object-detection": dict}
"""Tasks answered by a list, and what it holds."""


class Settings(Record, forbid_unknown_fields=True):
    """``callable`` and ``load`` are ``module:function``; ``python_path`` is a folder in which
    modules are looked for first. ``labels``: dataset's label -> the callable's word."""

    callable: str | None = None
    load: str | None = None
    python_path: str | None = None
    labels: dict[str, str] = {}


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
        """Call it, and wait for its answer; whatever it raises goes on.

        Raises:
            ModelError: the first answer is not what the task asks for.
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
        if isinstance(request, Picture | Sound):
            return self._function(request.content)
        raise ModelError(f"backend python cannot do a {type(request).__name__} request")

    def read(self, raw: Any) -> Output:
        """The answer as an Output.

        Raises:
            ModelError: it is neither an Output nor what the task asks for nor None (no answer).
        """
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
        """Give back the event loop of asynchronous callables."""
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
        """The form of the names, and that the modules' files are there; imports nothing.

        Raises:
            ModelError: neither name is given, one is malformed, or its module is not found.
        """
        settings = msgspec.convert(model.settings, Settings)
        targets = {"callable": settings.callable, "load": settings.load}
        if not any(targets.values()):
            raise ModelError(f'model {model.id!r} needs callable = "module:function" (or load)')
        for key, target in targets.items():
            if target is None:
                continue
            module, _, function = target.partition(":")
            parts = module.split(".")
            if not (function.isidentifier() and all(part.isidentifier() for part in parts)):
                raise ModelError(
                    f"model {model.id!r}: {key} {target!r} is not of the form module:function"
                )
            if not _is_there(parts, settings.python_path):
                where = settings.python_path or "the Python path"
                raise ModelError(
                    f"model {model.id!r}: no module {module!r} in {where}; set python_path to "
                    "the folder it lies in, or install it"
                )

    def load(self, model: ModelSpec, task: str) -> _Callable:
        """Import and, if so asked, call ``load``.

        Raises:
            ModelError: there is no such function. What the user's code raises goes on.
        """
        self.check(model, task)
        settings = msgspec.convert(model.settings, Settings)
        if settings.python_path and settings.python_path not in sys.path:
            sys.path.insert(0, settings.python_path)
        call = _find(model.id, settings.callable) if settings.callable else None
        finisher = Finisher()
        if settings.load:
            loaded = _loaded(_find(model.id, settings.load)(), finisher)
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
    """What ``load`` gave; an asynchronous ``load`` is awaited."""
    return finisher.finish(promise) if inspect.isawaitable(promise) else promise


def _bind(call: Callable[..., Any], loaded: Any) -> Callable[..., Any]:
    return lambda *request: call(loaded, *request)


def _is_there(parts: list[str], folder: str | None) -> bool:
    """Whether a module can be found, without importing it or its packages."""
    importlib.invalidate_caches()
    spec = importlib.machinery.PathFinder.find_spec(parts[0], [folder]) if folder else None
    try:
        spec = spec or importlib.util.find_spec(parts[0])
    except ValueError:  # a module in memory that came from no file
        return False
    for number in range(1, len(parts)):
        if spec is None or spec.submodule_search_locations is None:
            return False
        spec = importlib.machinery.PathFinder.find_spec(
            ".".join(parts[: number + 1]), spec.submodule_search_locations
        )
    return spec is not None


def _find(model_id: str, target: str) -> Any:
    name, _, function = target.partition(":")
    module = importlib.import_module(name)
    try:
        return getattr(module, function)
    except AttributeError as error:
        raise ModelError(f"model {model_id!r}: module {name!r} has no {function!r}") from error


backend: Backend = PythonBackend()
