"""Count failed inferences and compare them with the study's limit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from permille.errors import InferenceError, ModelError
from permille.units import counted, format_number
from permille.workload.samples import Sample

# No value that a model may return: None is one, and has an error of its own (scoring.py).
FAILED: Any = object()
"""The value for an answer that failed."""


class FailureTally:
    """Counts tried and failed inferences. ``allowed``: a count (a whole number), or a share (below
    1) of the number tried, which is at least ``inferences``. Threads may share it."""

    def __init__(self, infer: Callable[[Any], Any], allowed: float, inferences: int) -> None:
        self._infer, self._allowed, self._inferences = infer, allowed, inferences
        self._lock = threading.Lock()
        self._tried = self._failed = 0
        self._first: InferenceError | None = None

    def infer(self, request: Any) -> Any:
        """Run one inference; returns :data:`FAILED` if it failed and the study allows it.

        Raises:
            ModelError: more have failed than the study allows; with the server's message.
        """
        # Outside of the lock, or the clients of a server would send one request after the other.
        try:
            answer = self._infer(request)
        except InferenceError as error:
            self._add(error)
            return FAILED
        with self._lock:
            self._tried += 1
        return answer

    def words(self) -> str:
        """The first error."""
        return str(self._first)

    def _check(self) -> None:
        """Check that no more have failed than allowed.

        Raises:
            ModelError: more have failed.
        """
        share = isinstance(self._allowed, float)
        # Of the planned number at least: one early failure is not yet a large share.
        most = self._allowed * max(self._inferences, self._tried) if share else self._allowed
        if self._first is None or self._failed <= most:
            return
        if not self._allowed:
            raise self._first
        raise ModelError(
            f"{self._failed} of {self._tried} inferences failed, more than"
            f" max_failures = {self._allowed:g} allows; first: {self._first}"
        )

    def _add(self, error: InferenceError) -> None:
        with self._lock:
            self._tried += 1
            self._failed += 1
            self._first = self._first or error
            # At every failure, not at the end: a server that is down would be sent all other
            # requests, too.
            self._check()


def failed_note(failed: int, succeeded: int, words: str) -> str:
    """A note on the failures in the query span."""
    tried = failed + succeeded
    percent = format_number(100 * failed / tried, 2)
    return (
        f"{failed} of {tried} inferences failed ({percent} %), as max_failures allows;"
        f" energy is per inference that succeeded; first: {words}"
    )


def answered(
    answers: Sequence[Any], samples: Sequence[Sample], notes: list[str]
) -> tuple[Sequence[Any], Sequence[Sample]]:
    """Answers and samples without the unanswered ones, and a note with their number."""
    if not any(answer is FAILED for answer in answers):
        return answers, samples
    pairs = [pair for pair in zip(answers, samples, strict=True) if pair[0] is not FAILED]
    unanswered = counted(len(samples) - len(pairs), "sample was", "samples were")
    notes.append(f"{unanswered} never answered and not scored")
    return [answer for answer, _ in pairs], [sample for _, sample in pairs]
