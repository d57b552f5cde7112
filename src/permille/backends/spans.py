"""Find the span of a context that answers a question, from its start and end logits. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

ANSWER_TOKENS = 30
"""The longest answer span, as in BERT's evaluation on SQuAD."""


def best_span(start: NDArray[Any], end: NDArray[Any], inside: NDArray[Any]) -> tuple[int, int]:
    """First and last token (T) of the span with the largest sum of logits, all of it ``inside``
    the context."""
    import numpy as np

    start = np.where(inside, start, -np.inf)
    end = np.where(inside, end, -np.inf)
    # Start and end together: the best start alone may have no end after it that is near enough.
    sums = start[:, None] + end[None, :]
    ones = np.ones(sums.shape, dtype=bool)
    allowed = np.triu(ones) & np.tril(ones, ANSWER_TOKENS - 1)
    first, last = divmod(int(np.where(allowed, sums, -np.inf).argmax()), len(inside))
    return first, last
