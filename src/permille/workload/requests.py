"""Requests: what one inference is asked, whatever the backend."""

from __future__ import annotations

from permille.records import Record


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
