"""Spans of calls that a library reports by a callback at the start and another at the end."""

from __future__ import annotations

import contextlib
import threading

from permille.api.session import Session


class OpenCalls:
    """The calls that have begun and not ended, each with its span."""

    def __init__(self, rec: Session, name: str) -> None:
        self._rec, self._name = rec, name
        self._spans: dict[str, contextlib.ExitStack] = {}
        self._changing = threading.Lock()

    def begin(self, call: str, inferences: int) -> None:
        """Start the span of a call.

        Raises:
            UsageError: as :meth:`permille.Session.span`.
        """
        span = contextlib.ExitStack()
        span.enter_context(self._rec.span(self._name, inferences=inferences))
        with self._changing:
            self._spans[call] = span

    def end(self, call: str, error: BaseException | None = None) -> None:
        """End the span of a call, if it has one. An error makes the result invalid."""
        with self._changing:
            span = self._spans.pop(call, None)
        if span is not None:
            kind = None if error is None else type(error)
            span.__exit__(kind, error, None)
