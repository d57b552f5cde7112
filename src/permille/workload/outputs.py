"""Outputs: what one inference returned."""

from __future__ import annotations

from typing import Any

from permille.records import Record


class Likelihood(Record):
    """The likelihood of a text under a model: the sum of the natural logarithms of its tokens'
    probabilities, the number of tokens, and the number of bytes of text that they represent."""

    log_likelihood: float
    tokens: int
    utf8_bytes: int


class Output(Record):
    """The result of one inference: ``label`` for a classification, ``text`` for a generation, and
    counts. Of ``tokens_in``, a server took ``tokens_cached`` from its cache; of ``tokens_out``,
    ``tokens_reasoning`` were reasoning; ``reasoned``: whether there was any, even uncounted.
    ``first_token_s``: seconds from the request to the first piece of a streamed answer;
    ``last_token_s``: to its last piece, if it came in several; ``sent_ns``: when a streamed request
    was sent (``time.monotonic_ns``). ``counted``: other processed quantities (``images``,
    ``pixels``, ``audio_seconds``). ``likelihood``: of the prompt. ``data``: anything else that a
    task needs."""

    label: str | None = None
    text: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    tokens_reasoning: int | None = None
    reasoned: bool = False
    first_token_s: float | None = None
    last_token_s: float | None = None
    sent_ns: int | None = None
    # Not shared by all objects, as it would be in a plain class: msgspec gives each an empty
    # container of its own (https://jcristharif.com/msgspec/structs.html#default-values).
    counted: dict[str, float] = {}
    likelihood: Likelihood | None = None
    data: Any = None

    @property
    def output_token_s(self) -> float | None:
        """Seconds per output token after the first piece. None for an answer in one piece or of one
        token, whose tokens have no time between them."""
        if self.first_token_s is None or self.last_token_s is None or (self.tokens_out or 0) < 2:
            return None
        # Without the first token, as vLLM's benchmark and others define it ("excl. 1st token"): the
        # time to the first one is that of the queue and the prompt.
        return (self.last_token_s - self.first_token_s) / ((self.tokens_out or 0) - 1)
