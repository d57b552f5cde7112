"""Find the span of a context that answers a question, from its start and end logits. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from permille.errors import ModelError

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


@contextlib.contextmanager
def fitting_question(model_id: str, max_length: int) -> Iterator[None]:
    """Tokenize questions with their contexts, of which only the contexts are truncated.

    Raises:
        ModelError: a question leaves no room for its context.
    """
    try:
        yield
    except Exception as error:
        # tokenizers raises no narrower type than this.
        if type(error) is not Exception or not str(error).startswith("Truncation error"):
            raise
        raise ModelError(
            f"model {model_id!r}: a question leaves no room for its context in the {max_length} "
            "tokens that it reads; shorten the question, or raise max_length if the model allows it"
        ) from error
