"""A loaded callable: its calls, and what its answers are."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from permille.errors import ModelError
from permille.finishing import Finisher, Pieces, synchronise
from permille.records.cell import ModelFacts
from permille.workload.outputs import Output
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

_LABELS = ("text-classification", "image-classification")
_LISTS: dict[str, type] = {"token-classification": str, "fill-mask": str, "object-detection": dict}
"""Tasks answered with a list, and the type of its items."""


class LoadedCallable:
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
        # What a callable queued on a GPU by itself is not in its answer, and must be done as well.
        synchronise()
        # At the first answer: a wrong type should not show only after all of them are measured.
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


def _are_text(pieces: Pieces) -> bool:
    return bool(pieces) and all(isinstance(piece, str) for piece in pieces)


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
