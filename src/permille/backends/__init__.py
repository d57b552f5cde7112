"""Backends: how a model is run. One module a backend, each a plug-in (``permille.backends``).

A backend knows nothing of energy, of datasets or of quality: it turns one request into one
output. What it imports that is heavy, it imports in ``load``, in the worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from permille.records import Category, ModelFacts, Record


class SourceFile(Record):
    """A file of Python source, as it was when the study was planned."""

    path: str
    sha256: str


class StandsOn(Record):
    """What decides a model's answers beside its settings and what its paths lead to, as far as it
    can be known without running anything.

    ``files`` by the names they are shown under. ``code``: modules by name. ``foreign``: modules
    that are called and lie elsewhere than in the study's folder. ``unseen``: what cannot be known,
    in words."""

    files: dict[str, Path] = {}
    code: dict[str, SourceFile] = {}
    foreign: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


class Execution(Record):
    """What a study has run: a ``callable`` of a module, a ``command``, or the ``code`` that comes
    with a model or can come with its pickle."""

    kind: Literal["callable", "command", "code"]
    what: str


class ModelSpec(Record):
    """A model as the study file names it. ``settings`` are the keys of its own backend,
    already checked against the backend's ``settings`` type; paths in it are absolute. ``code``:
    the source that a callable rests on, by the names of its modules: what is imported is this,
    or nothing."""

    id: str
    backend: str
    category: Category
    prompt: str | None = None
    settings: dict[str, Any] = {}
    code: dict[str, SourceFile] = {}


# --- requests: what one inference is asked -------------------------------------------------


class Text(Record):
    """A text for a task-specific model."""

    text: str


class Question(Record):
    """A question and the text that holds its answer, for a task-specific model."""

    question: str
    context: str


class Choice(Record):
    """A prompt for a general-purpose model, to be answered by one of ``choices``: the one whose
    first differing token is the most probable continuation. No free text is generated."""

    prompt: str
    choices: tuple[str, ...]


class Generate(Record):
    """A prompt for a general-purpose model, to be continued."""

    prompt: str
    max_new_tokens: int


class Chat(Record):
    """A conversation for a chat model, to be answered. ``messages`` are (role, content), the
    roles ``system``, ``user`` and ``assistant``; the model's own template lays them out."""

    messages: tuple[tuple[str, str], ...]
    max_new_tokens: int


class Words(Record):
    """A text as its words, each of which is to be tagged."""

    words: tuple[str, ...]


class Masked(Record):
    """A text with one word left out, between ``before`` and ``after``, which is to be found."""

    before: str
    after: str


class Picture(Record):
    """An encoded image (JPEG, PNG, …). To decode it is part of the inference. ``max_new_tokens``:
    of a text about it, where one is asked for."""

    content: bytes
    max_new_tokens: int | None = None


class Sound(Record):
    """An encoded recording (WAV, FLAC, …). To decode it is part of the inference."""

    content: bytes
    max_new_tokens: int


class Draw(Record):
    """A prompt of which an image is made; size and steps are the model's settings."""

    prompt: str


Request = Text | Question | Choice | Generate | Chat | Words | Masked | Picture | Sound | Draw


class Traffic(Record):
    """How a server is asked: ``concurrency`` clients, each one request at a time; or, where
    ``rate_per_s`` is given, arrivals of a Poisson process at that rate, whatever the answers."""

    concurrency: int = 1
    rate_per_s: float | None = None


# --- outputs -------------------------------------------------------------------------------


class Likelihood(Record):
    """How likely a model finds a text: the sum of the natural logarithms of its tokens'
    probabilities, over how many tokens, and the bytes of the text that they stand for."""

    log_likelihood: float
    tokens: int
    utf8_bytes: int


class Output(Record):
    """What came back. ``label`` for a classification, ``text`` for a generation, and what was
    counted on the way: of ``tokens_in`` a server took ``tokens_cached`` from its cache, of
    ``tokens_out`` it says that ``tokens_reasoning`` were reasoning. ``first_token_s``: seconds
    from the request to the first piece of the answer, where it was streamed. ``counted``: what
    else was processed (``images``, ``pixels``, ``audio_seconds``). ``likelihood``: of the prompt
    itself. Anything more that a task needs is in ``data``."""

    label: str | None = None
    text: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    tokens_reasoning: int | None = None
    first_token_s: float | None = None
    counted: dict[str, float] = {}
    likelihood: Likelihood | None = None
    data: Any = None


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
