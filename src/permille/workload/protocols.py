"""The protocols that plug-ins implement: backends with their loaded models, and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from permille.records import Record
from permille.records.answers import Quality
from permille.records.cell import Category, ModelFacts
from permille.workload.outputs import Output
from permille.workload.requests import Traffic
from permille.workload.samples import Dataset, Sample
from permille.workload.specs import Execution, Launch, ModelSpec, StandsOn


class Loaded(Protocol):
    """A model in memory."""

    device: str
    """The device that it runs on: ``cpu``, ``cuda:0``."""

    @property
    def facts(self) -> ModelFacts:
        """Facts about the model. May read and hash its files, so call it after the measurement."""
        ...

    def infer(self, request: Any) -> Any:
        """Run one inference to its end. Returns the raw answer, which is cheap and not yet
        parsed."""
        ...

    def read(self, raw: Any) -> Output:
        """Parse the raw answer of :meth:`infer` to an :class:`Output`; called after the span."""
        ...

    def close(self) -> None:
        """Release its resources."""
        ...


# isinstance() only checks that the names exist, not their types: any loaded model with ``traffic``
# is Served (https://docs.python.org/3/library/typing.html#typing.runtime_checkable).
@runtime_checkable
class Served(Protocol):
    """Optional capability of a loaded model: ``infer`` may be called from several threads, and the
    study file sets the load. The model is then measured under load, in its steady state. Every
    answer is parsed, because each has its own time to first token and its own counts; ``infer``
    raises InferenceError if an inference failed."""

    traffic: Traffic | None
    """None: one request after the other, like any other model."""


@runtime_checkable
class Batched(Protocol):
    """Optional capability of a loaded model: several requests in one batch. ``infer`` and ``read``
    still handle one."""

    batch_size: int

    def infer_batch(self, requests: Sequence[Any]) -> Any:
        """Run at most ``batch_size`` requests to their end; returns the raw answers."""
        ...

    def read_batch(self, raw: Any) -> Sequence[Output]:
        """Parse the raw answers of :meth:`infer_batch` to one output per request."""
        ...


@runtime_checkable
class HarnessReady(Protocol):
    """Optional capability of a loaded model: lm-eval can score it."""

    def harness_model(self) -> Any:
        """The model as an ``lm_eval.api.model.LM``; called after the measurement."""
        ...


@runtime_checkable
class HarnessScored(Protocol):
    """Optional capability of a backend: lm-eval can score some of its loaded models, which are then
    :class:`HarnessReady`."""

    def harness_problem(self, model: ModelSpec, task: str) -> str | None:
        """Why lm-eval cannot score this model of this task; None if it can."""
        ...


@runtime_checkable
class Standing(Protocol):
    """Optional capability of a backend: its models depend on more than their settings and the files
    of their ``path`` settings."""

    def stands_on(self, model: ModelSpec) -> StandsOn:
        """Everything that the model depends on; called before :meth:`Backend.check`.

        Raises:
            ModelError: something in it is wrong; the message has the file and line.
        """
        ...


@runtime_checkable
class Executing(Protocol):
    """Optional capability of a backend: its models execute what a study file names."""

    def executes(self, model: ModelSpec) -> Sequence[Execution]:
        """Everything that is executed for a model."""
        ...


class RunningServer(Protocol):
    """A server that permille started."""

    pid: int

    def check_running(self) -> None:
        """Check that it is still running.

        Raises:
            ModelError: it has ended; with the last line that it printed.
        """
        ...

    def stop(self) -> None:
        """Stop it."""
        ...


@runtime_checkable
class Serving(Protocol):
    """Optional capability of a backend: the server that a model starts can serve several trials."""

    def server_key(self, model: ModelSpec) -> str | None:
        """Models with the same key can use the same server; None: this one starts no server."""
        ...

    def start_server(self, model: ModelSpec, task: str, launch: Launch) -> RunningServer:
        """Start the model's server and wait until it answers.

        Raises:
            ModelError: it does not start, or does not answer in time.
        """
        ...

    def client_of(self, model: ModelSpec) -> ModelSpec:
        """The same model, for a worker that uses the running server and starts none."""
        ...


class Backend(Protocol):
    """The protocol of a plug-in: a module-level object with these attributes. A backend that is
    useless without the network also has ``network = True``; workers of all others are cut off from
    it. A backend whose models can come from the Hub declares ``hub_format``
    (``permille.hub.selection``) and receives the ``path`` of the downloaded files."""

    name: str
    tasks: Mapping[str, frozenset[Category]]
    """Hub task name -> the categories of model that this backend supports for it."""
    settings: type[Record]
    """The backend's own keys in a ``[[models]]`` table. A field named ``path``, or whose name ends
    in ``_path``, is a path and resolved against the study's folder."""
    requires: tuple[str, ...]
    """Modules that must be importable; a missing one is an error before anything is measured."""
    install: str
    """The command that installs them."""

    def check(self, model: ModelSpec, task: str) -> None:
        """Check everything that can be checked without loading the model.

        Raises:
            ModelError: one line: what is wrong, where, and how to fix it.
        """
        ...

    def load(self, model: ModelSpec, task: str) -> Loaded:
        """Load the model, ready for inference."""
        ...


Kind = Literal["text", "label", "texts", "words", "tags", "image", "audio", "objects"]
"""The kind of a column: free text; the name of a class; any number of accepted texts (a list, one
text, or SQuAD's ``{"text": […]}``); a list of words, or of their tags; the path of an image or a
recording; the objects in an image, ``[{"label": …, "bbox": [x, y, width, height]}]`` in pixels
(COCO's format)."""


class Task(Protocol):
    """The protocol of a plug-in: a module-level object with these attributes."""

    name: str
    """The Hub's name of the task."""
    inputs: tuple[str, ...]
    """The columns that a dataset must have, by the task's own names."""
    reference: str | None
    """The column that answers are scored against, or None. A task with ``optional_reference =
    True`` does not need it unless the study file names the column."""
    kinds: Mapping[str, Kind]
    """The kind of each of these columns."""

    def check(self, model: ModelSpec, dataset: Dataset) -> None:
        """Check that this model fits this dataset (prompt, labels).

        Raises:
            ModelError: one line: what is wrong, where, and how to fix it.
        """
        ...

    def request(self, sample: Sample, model: ModelSpec, dataset: Dataset) -> Any:
        """Build the request for one sample and this model; called before the span."""
        ...

    def score(
        self, outputs: Sequence[Output], samples: Sequence[Sample], model: ModelSpec
    ) -> Quality | None:
        """Score ``outputs[i]`` as the answer to ``samples[i]``; called outside the span."""
        ...

    def counts(self, outputs: Sequence[Output]) -> dict[str, float]:
        """The processed quantities (tokens, images, …), summed over the outputs."""
        ...
