"""The keys of a ``[[models]]`` table whose backend is ``endpoint``."""

from __future__ import annotations

from typing import Any, Literal

from permille.backends.endpoint.reasoning import Reasoning
from permille.errors import ModelError
from permille.records import Record


class Settings(Record, forbid_unknown_fields=True):
    """The keys of a ``[[models]]`` table with this backend."""

    url: str
    """The address up to and including /v1. Such as `"http://127.0.0.1:8000/v1"`."""
    model: str | None = None
    """The server's name for the model; the default is the `id`. Such as `"default"`."""
    api: Literal["completions", "chat"] = "completions"
    """The API for prompts; conversations always use chat. Such as `"chat"`."""
    key_env: str | None = None
    """The environment variable that holds the API key. Such as `"MY_SERVER_KEY"`."""
    labels: dict[str, str] = {}
    """The dataset's label -> the word to look for. Such as `{ positive = "Positive" }`."""
    max_new_tokens: int | None = None
    """The most tokens in an answer; the default depends on the task. Such as `64`."""
    stream: bool = False
    """Whether to stream answers, which gives the time to first token. Such as `true`."""
    timeout_s: float = 120.0
    """Seconds within which an answer must be complete. Such as `30.0`."""
    concurrency: int = 1
    """Clients, each with one request at a time. Such as `8`."""
    rate_per_s: float | None = None
    """Instead of `concurrency`: requests per second, arriving at random. Such as `2.0`."""
    serve: str | None = None
    """The command that starts the server. Such as `"llama-server -m model.gguf --port 8000"`."""
    serve_wait_s: float = 600.0
    """Seconds within which a started server must be ready. Such as `120.0`."""
    reasoning: Reasoning | None = None
    """How much a chat model reasons before it answers: off, low, medium or high. The default is the
    server's. Such as `"off"`."""
    remote: bool = False
    """Whether the server runs on another machine, whose energy is then not measured. Such as
    `true`."""
    meter: str | None = None
    """The address of `permille agent` on the server's machine, whose energy is then measured there.
    Such as `"https://server:9465"`."""
    extra: dict[str, Any] = {}
    """Additional fields in each request. Such as `{ top_k = 1 }`."""


def check_ranges(at: str, settings: Settings) -> None:
    """Check that every number is in range, and that no two keys contradict each other.

    Raises:
        ModelError: one is not, or two do.
    """
    for key, value in (
        ("concurrency", settings.concurrency),
        ("max_new_tokens", settings.max_new_tokens),
    ):
        if value is not None and not 1 <= value <= 100_000:
            raise ModelError(f"{at}: {key} must be 1 to 100,000, not {value}")
    for name, seconds in (
        ("timeout_s", settings.timeout_s),
        ("serve_wait_s", settings.serve_wait_s),
        ("rate_per_s", settings.rate_per_s),
    ):
        if seconds is not None and not 0 < seconds <= 1e6:
            raise ModelError(f"{at}: {name} must be above 0, not {seconds}")
    if settings.rate_per_s is not None and settings.concurrency > 1:
        raise ModelError(f"{at}: give either concurrency or rate_per_s, not both")
    if settings.reasoning is not None and not (
        {"reasoning_effort", "chat_template_kwargs"}.isdisjoint(settings.extra)
    ):
        raise ModelError(f"{at}: give either reasoning, or its fields in extra, not both")
    _check_place(at, settings)


def _check_place(at: str, settings: Settings) -> None:
    if settings.remote and settings.serve is not None:
        raise ModelError(
            f"{at}: serve starts the server on this machine, so remote = true is wrong; remove one"
        )
    if settings.meter is not None and (settings.remote or settings.serve is not None):
        other = "remote" if settings.remote else "serve"
        raise ModelError(
            f"{at}: meter measures a server that runs on another machine, so {other} is wrong;"
            " remove one"
        )
