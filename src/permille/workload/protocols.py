"""The shapes that plug-ins implement: backends with their loaded models, and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from permille.records import Category, ModelFacts, Quality, Record
from permille.workload.outputs import Output
from permille.workload.requests import Traffic
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import Execution, ModelSpec, StandsOn


class Loaded(Protocol):
    """A model in memory."""

    device: str
    """What it runs on, in words: ``cpu``, ``cuda:0``."""

    @property
    def facts(self) -> ModelFacts:
        """What the model is. May read and hash its files: ask after what is measured."""
        ...

    def infer(self, request: Any) -> Any:
        """One inference, finished when it returns. The raw answer: cheap, not yet read."""
        ...

    def read(self, raw: Any) -> Output:
        """The raw answer of :meth:`infer` as an :class:`Output`; called after the span."""
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


@runtime_checkable
class Served(Protocol):
    """What a loaded model is besides, where ``infer`` may be called from several threads at once
    and the study file says how many: it is then measured under load, in its steady state. Every
    answer is read, since each has its own time to the first token and its own counts; ``infer``
    raises InferenceError for one that failed."""

    traffic: Traffic | None
    """None: one request after the other, as any model."""


@runtime_checkable
class Batched(Protocol):
    """What a loaded model is besides, where several requests can go through it at once. ``infer``
    and ``read`` stay what they are for one."""

    batch_size: int

    def infer_batch(self, requests: Sequence[Any]) -> Any:
        """The raw answers of at most ``batch_size`` requests, finished when it returns."""
        ...

    def read_batch(self, raw: Any) -> Sequence[Output]:
        """The raw answers of :meth:`infer_batch` as outputs, one a request."""
        ...


@runtime_checkable
class Standing(Protocol):
    """What a backend is besides, whose models stand on more than their settings and the files of
    their ``path`` settings."""

    def stands_on(self, model: ModelSpec) -> StandsOn:
        """All of it; asked before :meth:`Backend.check`.

        Raises:
            ModelError: what is there cannot be right, with file and line.
        """
        ...


@runtime_checkable
class Executing(Protocol):
    """What a backend is besides, whose models run what a study file says."""

    def executes(self, model: ModelSpec) -> Sequence[Execution]:
        """All that is run for a model."""
        ...


class Backend(Protocol):
    """What a plug-in registers: a module-level object of this shape. One that is of no use without
    the network has ``network = True`` besides: the workers of all others are cut off from it. One
    whose models the Hub may have names their form, ``hub_format`` (``permille.hub.selection``): it
    is then given the ``path`` of what was fetched."""

    name: str
    tasks: Mapping[str, frozenset[Category]]
    """Hub task name -> the kinds of model with which this backend can do it."""
    settings: type[Record]
    """The keys of its own that a ``[[models]]`` table may carry. A field whose name is
    ``path`` or ends in ``_path`` is a path, resolved against the study's folder."""
    requires: tuple[str, ...]
    """Modules that must be importable; missing ones are an error before anything is measured."""
    install: str
    """The command that installs them."""

    def check(self, model: ModelSpec, task: str) -> None:
        """Everything that can be found wrong without loading the model.

        Raises:
            ModelError: with one line: what, where, how to mend it.
        """
        ...

    def load(self, model: ModelSpec, task: str) -> Loaded:
        """The model, ready to infer."""
        ...


Kind = Literal["text", "label", "texts", "words", "tags", "image", "audio", "objects"]
"""What a column holds: free text; the name of a class; any number of texts, all of them right
(a list, one text, or SQuAD's ``{"text": […]}``); a list of words, and of their tags; the path of
an image or a recording; the objects in an image, ``[{"label": …, "bbox": [x, y, width, height]}]``
in pixels (COCO's)."""


class Task(Protocol):
    """What a plug-in registers: a module-level object of this shape."""

    name: str
    """The Hub's name of the task."""
    inputs: tuple[str, ...]
    """Columns that a dataset must have, by the task's own names."""
    reference: str | None
    """The column that answers are scored against, or None. A task with ``optional_reference =
    True`` besides does without, unless the study file names the column."""
    kinds: Mapping[str, Kind]
    """What each of these columns holds."""

    def check(self, model: ModelSpec, dataset: Dataset) -> None:
        """Whether this model can be asked about this dataset (prompt, labels).

        Raises:
            ModelError: with one line: what, where, how to mend it.
        """
        ...

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Any:
        """One sample as a request for this model; made before the span."""
        ...

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """Quality of ``outputs[i]`` as the answer to ``samples[i]``; outside the span."""
        ...

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """What was processed (tokens, images, …), summed over the outputs."""
        ...
