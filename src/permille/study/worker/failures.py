"""Inferences that fail, counted and held against what the study allows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from permille.errors import InferenceError, ModelError
from permille.workload.samples import Sample

FAILED: Any = object()
"""In the place of an answer: there is none."""


class FailureTally:
    """What was tried and what of it failed. ``allowed``: a count (a whole number), or a share of
    what is tried (below 1) of ``inferences`` at least. Threads may share it."""

    def __init__(self, infer: Callable[[Any], Any], allowed: float, inferences: int) -> None:
        self._infer, self._allowed, self._inferences = infer, allowed, inferences
        self._lock = threading.Lock()
        self._tried = self._failed = 0
        self._first: InferenceError | None = None

    def infer(self, request: Any) -> Any:
        """One inference; :data:`FAILED` if it failed and the study allows it.

        Raises:
            ModelError: more have failed than the study allows; the server's words.
        """
        try:
            answer = self._infer(request)
        except InferenceError as error:
            self._add(error)
            return FAILED
        with self._lock:
            self._tried += 1
        return answer

    def words(self) -> str:
        """What went wrong first."""
        return str(self._first)

    def check(self) -> None:
        """That what failed is allowed.

        Raises:
            ModelError: it is not.
        """
        share = isinstance(self._allowed, float)
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
            self.check()


def failed_note(failed: int, succeeded: int, words: str) -> str:
    """What a reader of the figures should know of the failures in the query span."""
    tried = failed + succeeded
    return (
        f"{failed} of {tried} inferences failed ({100 * failed / tried:.2g} %), as max_failures"
        f" allows; energy is per inference that succeeded; first: {words}"
    )


def answered(
    answers: Sequence[Any], samples: Sequence[Sample], notes: list[str]
) -> tuple[Sequence[Any], Sequence[Sample]]:
    """Answers and samples without those that were never answered, which a note then counts."""
    if not any(answer is FAILED for answer in answers):
        return answers, samples
    pairs = [pair for pair in zip(answers, samples, strict=True) if pair[0] is not FAILED]
    notes.append(f"{len(samples) - len(pairs)} samples were never answered, and are in no score")
    return [answer for answer, _ in pairs], [sample for _, sample in pairs]
