"""Parse a server's answer: its text, its counts, and whether it failed. Pure.

An answer is one object or, in a stream, many. An answer that reports a failure is never an
inference, whatever its HTTP status.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from permille.errors import InferenceError
from permille.workload.outputs import Output

_COMPLETE = frozenset(
    {
        *("stop", "length", "tool_calls", "tool_call", "tool_use", "function_call"),  # OpenAI
        *("eos", "eos_token", "stop_sequence", "end_turn", "max_tokens", "model_length"),
        *("complete", "completed"),
    }
)
"""Reasons for a normal end of an answer (lower case): OpenAI's, TGI's, Anthropic's,
Mistral's, Cohere's. Any other ("error", "abort", "content_filter", …) is a failure."""
_CUT_OFF = frozenset({"length", "max_tokens", "model_length"})
_REASONING = ("reasoning_content", "reasoning", "thinking", "reasoning_text")
# Not if it is empty: a template that switches reasoning off leaves <think></think>.
_THINKS = re.compile(r"\s*<think(?:ing)?>\s*(?!</)\S")
"""Reasoning at the start of an answer, of a server that does not take it out of the text."""
_MOST_CHARACTERS = 300


class Answer:
    """One answer, assembled from its objects. ``at`` is the prefix of every message;
    ``asked_tokens`` is the number of tokens that the request allowed."""

    def __init__(self, at: str, asked_tokens: int | None) -> None:
        self._at, self._asked_tokens = at, asked_tokens
        self._texts: list[str] = []
        self._choices: set[int] = set()
        self._reasons: dict[int, str] = {}
        self._readable = False
        self._pieces = self._reasoning_pieces = 0
        self._usage: dict[str, Any] = {}
        self._timings: dict[str, Any] = {}
        self._last: Any = None

    def add(self, event: dict[str, Any]) -> bool:
        """Add one object; returns whether it contains a part of the answer.

        Raises:
            InferenceError: it reports that the inference failed.
        """
        check_no_error(self._at, event)
        self._last = event
        # A server may report growing counts repeatedly: the last ones are the answer's.
        if isinstance(event.get("usage"), dict):
            self._usage = event["usage"]
        if isinstance(event.get("timings"), dict):
            self._timings = event["timings"]
        choices = event.get("choices")
        if not isinstance(choices, list):
            return False
        said = [self._choice(c, number) for number, c in enumerate(choices) if isinstance(c, dict)]
        return any(said)

    @property
    def is_finished(self) -> bool:
        """Whether every choice has a finish_reason."""
        return bool(self._choices) and self._choices <= set(self._reasons)

    def output(
        self, first_token_s: float | None = None, last_token_s: float | None = None
    ) -> Output:
        """The complete answer.

        Raises:
            InferenceError: there is none, or it was cut off before the requested tokens.
        """
        if not self._choices:
            raise InferenceError(f"{self._at}: the answer has no choices: {_short(self._last)}")
        if not self._readable:
            raise InferenceError(
                f"{self._at}: the answer has no text, reasoning, tool call or refusal:"
                f" {_short(self._last)}"
            )
        tokens_out = count(self._usage.get("completion_tokens"))
        stated = count(_inner(self._usage, "completion_tokens_details", "reasoning_tokens"))
        self._check_not_cut_off(tokens_out, stated)
        text = "".join(self._texts)
        reasoned = bool(self._reasoning_pieces or stated or _THINKS.match(text))
        if stated is None and first_token_s is not None:
            stated = self._reasoning_in_stream(tokens_out)
        return Output(
            text=text,
            tokens_in=count(self._usage.get("prompt_tokens")),
            tokens_out=tokens_out,
            tokens_cached=_cached(self._usage, self._timings),
            tokens_reasoning=stated,
            reasoned=reasoned,
            first_token_s=first_token_s,
            last_token_s=last_token_s,
        )

    def _choice(self, choice: dict[str, Any], place: int) -> bool:
        # The pieces of several choices come interleaved, and only their index tells them apart.
        number = count(choice.get("index"))
        number = place if number is None else number
        self._choices.add(number)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self._reasons[number] = reason.lower()
            if reason.lower() not in _COMPLETE:
                raise InferenceError(
                    f"{self._at}: the answer ended with finish_reason {reason[:50]!r}"
                )
        part = choice.get("message") or choice.get("delta")
        text, aside = (
            _content_of(part) if isinstance(part, dict) else (_string(choice.get("text")), None)
        )
        if text is None and aside is None:
            return False
        self._readable = True
        self._pieces += bool(text or aside)
        self._reasoning_pieces += bool(aside)
        if text and number == 0:  # of several choices (n), the first is the answer
            self._texts.append(text)
        return bool(text or aside)

    def _reasoning_in_stream(self, tokens_out: int | None) -> int | None:
        """The pieces that are reasoning, if each piece is one token. The token that ends an answer
        counts, but may have no piece."""
        if not self._reasoning_pieces or tokens_out not in (self._pieces, self._pieces + 1):
            return None
        return self._reasoning_pieces

    def _check_not_cut_off(self, tokens_out: int | None, reasoned: int | None) -> None:
        """Check for an early end with ``length``, which means that the context was full.

        One token less is accepted, because servers differ in counting the last one. Some servers
        include reasoning in the completion's tokens, others count it separately.
        """
        if self._asked_tokens is None or tokens_out is None:
            return
        made = tokens_out + (reasoned or 0)
        if _CUT_OFF & set(self._reasons.values()) and made < self._asked_tokens - 1:
            raise InferenceError(
                f"{self._at}: the answer was cut off after {tokens_out} of {self._asked_tokens}"
                " tokens; is the server's context too small?"
            )


def check_no_error(at: str, event: dict[str, Any]) -> None:
    """Check that an object is not an error.

    Raises:
        InferenceError: it is; with the server's message.
    """
    # Checked whatever the status: a stream that fails has begun with 200.
    error = event.get("error")
    # vLLM's errors were flat until 0.10.1 (https://github.com/vllm-project/vllm/pull/22099).
    if not error and (event.get("object") == "error" or event.get("type") == "error"):
        error = event
    if not error and event.get("detail") and "choices" not in event and "data" not in event:
        error = event["detail"]  # FastAPI's form
    if error:
        raise InferenceError(f"{at}: the server answered with an error: {error_words(error)}")


def error_words(error: Any) -> str:
    """A server's error message on one line of limited length."""
    message = error.get("message") if isinstance(error, dict) else None
    detail = message if isinstance(message, str) and message else error
    text = (
        detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False, default=str)
    )
    return " ".join(text.split())[:_MOST_CHARACTERS]


def embedding(at: str, body: dict[str, Any]) -> Output:
    """The vector of a text.

    Raises:
        InferenceError: there is none.
    """
    check_no_error(at, body)
    entries = body.get("data")
    objects = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    entry = next((e for e in objects if e.get("index", 0) == 0), {})
    values = entry.get("embedding")
    if not (isinstance(values, list) and values and all(_is_number(v) for v in values)):
        raise InferenceError(f"{at}: the answer has no embedding: {_short(body)}")
    usage = body.get("usage")
    tokens = count(usage.get("prompt_tokens")) if isinstance(usage, dict) else None
    return Output(data=[float(value) for value in values], tokens_in=tokens)


def params_of(models: dict[str, Any], name: str) -> int | None:
    """The parameters of the model ``name`` in a list of models, if the server reports them.

    If the list has only one model, it counts even under another name, such as that of its file."""
    params = count(_inner(_entry(models, name), "meta", "n_params"))
    return params if params else None


def owner_of(models: dict[str, Any], name: str) -> str | None:
    """The owner of the model ``name`` in a list of models, in lower case: for a local server
    usually the server's own name (``vllm``, ``llamacpp``, ``sglang``)."""
    owner = _entry(models, name).get("owned_by")
    return owner.lower() if isinstance(owner, str) else None


def _entry(models: dict[str, Any], name: str) -> dict[str, Any]:
    """The entry of a model; if there is only one, it counts even under another name."""
    listed = models.get("data")
    entries = [e for e in listed if isinstance(e, dict)] if isinstance(listed, list) else []
    matching = [e for e in entries if e.get("id") == name]
    return (matching or (entries if len(entries) == 1 else [{}]))[0]


def count(value: Any) -> int | None:
    """A count, or None if it is not a valid one."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    # Beyond, JSON's whole numbers are not exact in every program (RFC 8259, section 6).
    return value if whole and 0 <= value < 2**53 else None


def _content_of(part: dict[str, Any]) -> tuple[str | None, str | None]:
    """(the answer's text, other generated text) of a message or a part of one; None for what is
    missing. Reasoning is generated, but is not part of the answer."""
    content = _content(part.get("content"))
    text = content or _string(part.get("refusal")) or _calls(part)
    aside = next((found for key in _REASONING if (found := _content(part.get(key)))), None)
    # An empty content is an answer, unlike a missing one: a model may end at once.
    return text if text is not None else content, aside


def _content(value: Any) -> str | None:
    """A text, or a list of parts with text."""
    if not isinstance(value, list):
        return _string(value)
    texts = [_part(part) for part in value]
    known = [text for text in texts if text is not None]
    return "".join(known) if known else None


def _part(part: Any) -> str | None:
    if not isinstance(part, dict):
        return _string(part)
    return next((text for key in ("text", "refusal") if (text := _string(part.get(key)))), None)


def _calls(part: dict[str, Any]) -> str | None:
    """Tool calls as their JSON, which is the text of such an answer."""
    calls = part.get("tool_calls") or part.get("function_call")
    return json.dumps(calls, ensure_ascii=False) if isinstance(calls, list | dict) else None


def _cached(usage: dict[str, Any], timings: dict[str, Any]) -> int | None:
    """Tokens of the prompt that the server took from its cache, under any of the known names:
    OpenAI's and vLLM's, DeepSeek's, Moonshot's, llama.cpp's."""
    stated: Sequence[Any] = (
        _inner(usage, "prompt_tokens_details", "cached_tokens"),
        _inner(usage, "input_tokens_details", "cached_tokens"),
        usage.get("prompt_cache_hit_tokens"),
        usage.get("cached_tokens"),
        usage.get("cache_read_input_tokens"),
        timings.get("cache_n"),
    )
    known = [tokens for value in stated if (tokens := count(value)) is not None]
    return max(known, default=None)


def _inner(table: dict[str, Any], key: str, name: str) -> Any:
    inner = table.get(key)
    return inner.get(name) if isinstance(inner, dict) else None


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # Not math.isfinite(), which fails on whole numbers that no float holds; JSON may have them.
    return number and abs(value) <= sys.float_info.max


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _short(value: Any) -> str:
    return str(value)[:200]
