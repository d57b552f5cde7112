"""The times and tokens of a server's requests, as an attribute of the query span. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from permille.records.answers import AnswerTimes, RequestTimes
from permille.workload.outputs import Output

MOST_REQUESTS = 20_000
"""Of a query span with more, no :class:`RequestTimes` are kept: a part of them would not explain
its energy."""
MOST_ANSWERS = 20_000
"""The most answers whose times are kept, spread evenly over the span."""


def request_times(outputs: Sequence[Output], t0_ns: int) -> dict[str, Any]:
    """``requests`` with a :class:`RequestTimes`, relative to ``t0_ns``; empty unless every answer
    was streamed and has its tokens."""
    rows = [row for output in outputs if (row := _row(output, t0_ns)) is not None]
    if not rows or len(rows) < len(outputs) or len(rows) > MOST_REQUESTS:
        return {}
    # In the order of sending: under load, answers come in another one.
    sent, first, last, tokens_in, tokens_out = zip(*sorted(rows), strict=True)
    times = RequestTimes(
        sent_ns=sent, first_ns=first, last_ns=last, tokens_in=tokens_in, tokens_out=tokens_out
    )
    return {"requests": msgspec.to_builtins(times)}


def _row(output: Output, t0_ns: int) -> tuple[int, int, int, int, int] | None:
    first_s, tokens_in, tokens_out = output.first_token_s, output.tokens_in, output.tokens_out
    if output.sent_ns is None or first_s is None or tokens_in is None or not tokens_out:
        return None
    sent_ns = output.sent_ns - t0_ns
    last_s = first_s if output.last_token_s is None else output.last_token_s
    # A token from the cache is not computed: it would make those that are look cheaper.
    new = max(0, tokens_in - (output.tokens_cached or 0))
    return sent_ns, sent_ns + int(first_s * 1e9), sent_ns + int(last_s * 1e9), new, tokens_out


def answer_times(
    durations_ns: Sequence[int], outputs: Sequence[Output], *, calls_per_pass: int
) -> dict[str, Any]:
    """``answers`` with the :class:`AnswerTimes` of the answers that count."""
    step = stride(len(outputs), MOST_ANSWERS, calls_per_pass=calls_per_pass)
    kept = outputs[::step]
    times = AnswerTimes(
        n=len(outputs),
        whole_ns=tuple(durations_ns[::step]),
        first_ns=tuple(_ns(output.first_token_s) for output in kept),
        token_ns=tuple(_ns(_between_tokens_s(output)) for output in kept),
    )
    return {"answers": msgspec.to_builtins(times)}


def stride(count: int, most: int, *, calls_per_pass: int) -> int:
    """The step with which at most ``most`` of ``count`` calls are taken evenly. It is coprime to
    the length of a pass, so that it includes every sample, not the same few each time."""
    step = max(1, -(-count // most))
    while math.gcd(step, calls_per_pass) > 1:
        step += 1
    return step


def _between_tokens_s(output: Output) -> float | None:
    """Seconds per output token after the first; 0 for an answer of one token or in one piece, whose
    tokens have no time between them."""
    if output.first_token_s is not None and (output.last_token_s is None or output.tokens_out == 1):
        return 0.0
    return output.output_token_s


def _ns(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1e9)
