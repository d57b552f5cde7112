"""The keys of a ``[[models]]`` table whose backend is ``endpoint``."""

from __future__ import annotations

from typing import Any, Literal

from permille.errors import ModelError
from permille.records import Record


class Settings(Record, forbid_unknown_fields=True):
    """``url``: up to and with ``/v1``. ``model``: the server's name for it; the id if not given.
    ``api``: how a prompt is sent; a chat always goes to chat. ``key_env``: the environment
    variable that holds the key. ``labels``: dataset's label -> the word to look for. ``stream``:
    to see the time to the first token. ``timeout_s``: for one whole answer. ``rate_per_s``:
    arrivals, in place of ``concurrency``. ``serve_wait_s``: how long a server that is started, or
    that still loads its model, is waited for."""

    url: str
    model: str | None = None
    api: Literal["completions", "chat"] = "completions"
    key_env: str | None = None
    labels: dict[str, str] = {}
    max_new_tokens: int | None = None
    stream: bool = False
    timeout_s: float = 120.0
    concurrency: int = 1
    rate_per_s: float | None = None
    serve: str | None = None
    serve_wait_s: float = 600.0
    remote: bool = False
    extra: dict[str, Any] = {}


def check_ranges(at: str, settings: Settings) -> None:
    """That every number can be one, and that no two keys contradict each other.

    Raises:
        ModelError: one cannot, or two do.
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
        raise ModelError(f"{at}: concurrency and rate_per_s: keep one")
    if settings.remote and settings.serve is not None:
        raise ModelError(
            f"{at}: serve starts the server on this machine, so remote = true is wrong; drop one"
        )
