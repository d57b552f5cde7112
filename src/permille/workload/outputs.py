"""Outputs: what one inference returned."""

from __future__ import annotations

from typing import Any

from permille.records import Record


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
