"""Spans of calls that a library reports by a callback at the start and another at the end."""

from __future__ import annotations

import contextlib
import threading

from permille.api.open_span import OpenSpan
from permille.api.session import Session


class OpenCalls:
    """The calls that have begun and not ended, each with its span."""

    def __init__(self, rec: Session, name: str) -> None:
        self._rec, self._name = rec, name
        self._spans: dict[str, tuple[contextlib.ExitStack, OpenSpan]] = {}
        # A library may call back from any thread.
        self._changing = threading.Lock()

    def begin(self, call: str, inferences: int | None = None) -> None:
        """Start the span of a call. The number of inferences may be given at its end.

        Raises:
            UsageError: as :meth:`permille.Session.span`.
        """
        ending = contextlib.ExitStack()
        span = ending.enter_context(self._rec.span(self._name, inferences=inferences))
        with self._changing:
            self._spans[call] = ending, span

    def end(
        self, call: str, error: BaseException | None = None, inferences: int | None = None
    ) -> None:
        """End the span of a call, if it has one. An error makes the result invalid."""
        with self._changing:
            found = self._spans.pop(call, None)
        if found is None:
            return
        ending, span = found
        if inferences is not None:
            span.inferences = inferences
        kind = None if error is None else type(error)
        # As at the end of a with block that raised it: the span keeps the error, and does not raise
        # it in the library's thread.
        ending.__exit__(kind, error, None)
