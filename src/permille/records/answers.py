"""What the answers of a trial took, and how good they were."""

from __future__ import annotations

from typing import Literal

from permille.records import Record
from permille.records.energy import Estimate


class Latency(Record):
    """Seconds per answer in the query span; for batches, those of the whole batch, because each
    sample waits for it. ``n``: the number of timed calls. ``first_token_*``: until the first piece
    of a streamed answer. ``output_token_*``: of each answer, the mean time between its output
    tokens after the first piece."""

    p50: float
    p95: float
    mean: float
    n: int
    p99: float | None = None
    first_token_p50: float | None = None
    first_token_p95: float | None = None
    first_token_p99: float | None = None
    output_token_p50: float | None = None
    output_token_p95: float | None = None
    output_token_p99: float | None = None


class ScheduleLag(Record):
    """How long after they were due permille itself began to send the answered requests of a query
    span with random arrivals, in seconds. A latency counts from when its request was due, so it
    includes its lag."""

    p50: float
    p95: float
    most: float


class RequestTimes(Record):
    """The streamed requests of a server around a query span, each at the same place of every list:
    when it was sent and when the first and the last token of its answer came (ns from the start of
    the span), its input tokens that did not come from a cache, and its output tokens."""

    sent_ns: tuple[int, ...]
    first_ns: tuple[int, ...]
    last_ns: tuple[int, ...]
    tokens_in: tuple[int, ...]
    tokens_out: tuple[int, ...]


class AnswerTimes(Record):
    """The times of a server's successful answers in a query span (ns), each answer at the same
    place of every list: until the whole answer, until the first token, and per output token after
    it. None: unknown. ``n``: the number of all answers, over which those here are spread evenly.
    """

    n: int
    whole_ns: tuple[int, ...]
    first_ns: tuple[int | None, ...]
    token_ns: tuple[int | None, ...]


class TokenSplit(Record):
    """What input and output tokens cost each, in the ``compute`` boundary. The intervals do not
    include the meters' accuracy (``accuracy_low`` and ``accuracy_high``: relative, k = 2).

    ``phases``: of ``n`` requests, the energy until the first token over the input tokens, and the
    energy after it over the remaining output tokens. ``windows``: by a regression over ``n``
    windows, in which ``rest_w`` (watts) depends on neither. ``input_j`` and ``output_j`` are joules
    per token. ``problem``: why there is no figure; ``warning``: why it is not a good one.
    """

    method: Literal["phases", "windows"] | None = None
    input_j: Estimate | None = None
    output_j: Estimate | None = None
    rest_w: Estimate | None = None
    n: int = 0
    accuracy_low: float = 0.0
    accuracy_high: float = 0.0
    problem: str | None = None
    warning: str | None = None


class EachInference(Record):
    """Joules of single inferences in the ``compute`` boundary, for the ``n`` that the meters could
    resolve; ``refused`` were too short."""

    n: int
    refused: int
    p50_j: float | None
    p95_j: float | None


class Quality(Record):
    """A score of the answers against the references, on ``n`` distinct samples (None where an
    imported score does not say).

    ``standard_error`` is from sampling the dataset. ``unreadable`` counts answers of a
    general-purpose model that could not be read, which ``value`` already counts as wrong.
    ``others`` has further metrics. ``scores`` are those of the single samples, packed (see
    :mod:`permille.metrics`), empty in older trials; ``samples`` is the digest of the samples' ids
    in order.
    """

    metric: str
    value: float
    n: int | None
    standard_error: float | None = None
    unreadable: int = 0
    others: dict[str, float] = {}
    scores: bytes = b""
    samples: str = ""
