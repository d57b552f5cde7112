"""Requests: the input of one inference, for any backend."""

from __future__ import annotations

from permille.records import Record


class Text(Record):
    """A text for a task-specific model."""

    text: str


class Question(Record):
    """A question and the text that contains its answer, for a task-specific model."""

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
    """A text split into words; each word gets a tag."""

    words: tuple[str, ...]


class Masked(Record):
    """A text with one word left out between ``before`` and ``after``, to be predicted."""

    before: str
    after: str


class Picture(Record):
    """An encoded image (JPEG, PNG, …). Decoding it is part of the inference. ``max_new_tokens``
    limits the generated text, if there is one."""

    content: bytes
    max_new_tokens: int | None = None


class Sound(Record):
    """An encoded recording (WAV, FLAC, …). Decoding it is part of the inference."""

    content: bytes
    max_new_tokens: int


class Draw(Record):
    """A prompt for an image; its size and the number of steps are settings of the model."""

    prompt: str


Request = Text | Question | Choice | Generate | Chat | Words | Masked | Picture | Sound | Draw


class Traffic(Record):
    """The load on a server: ``concurrency`` clients with one request at a time each or, with
    ``rate_per_s``, arrivals of a Poisson process at that rate, independent of the answers."""

    concurrency: int = 1
    rate_per_s: float | None = None
