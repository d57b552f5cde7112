"""The times and tokens of a server's requests, as an attribute of the query span. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from permille.records import RequestTimes
from permille.workload.outputs import Output

MOST_REQUESTS = 20_000
"""Of a query span with more, none are kept: a part of them would not explain its energy."""


def request_times(outputs: Sequence[Output], t0_ns: int) -> dict[str, Any]:
    """``requests`` with a :class:`RequestTimes`, relative to ``t0_ns``; empty unless every answer
    was streamed and has its tokens."""
    rows = [row for output in outputs if (row := _row(output, t0_ns)) is not None]
    if not rows or len(rows) < len(outputs) or len(rows) > MOST_REQUESTS:
        return {}
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
    new = max(0, tokens_in - (output.tokens_cached or 0))
    return sent_ns, sent_ns + int(first_s * 1e9), sent_ns + int(last_s * 1e9), new, tokens_out
