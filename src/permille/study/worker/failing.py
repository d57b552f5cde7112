"""Describe a worker's exception in one line, with its location in the user's code."""

from __future__ import annotations

import traceback
from pathlib import Path

LIMIT = 400
"""The most characters of the exception's text."""
OURS = "permille.errors."
"""The prefix of permille's own errors in a traceback."""


def describe(error: BaseException, folder: str | None) -> str:
    """``ValueError: no such word (models.py:12, in classify)``. ``folder`` contains the user's
    code; the location is the innermost frame in it."""
    shown = traceback.TracebackException.from_exception(error, limit=0)
    # Notes (add_note()) come after the message, and would be taken for it.
    shown.__notes__ = None
    # The last line: a SyntaxError is preceded by its source.
    message = " ".join([*shown.format_exception_only()][-1].split()).removeprefix(OURS)
    if len(message) > LIMIT:
        message = message[:LIMIT] + "…"
    where = _place(error, folder) if folder else None
    return f"{message} ({where})" if where else message


def _place(error: BaseException, folder: str) -> str | None:
    if isinstance(error, SyntaxError) and error.filename:
        return _within(error.filename, error.lineno, None, folder)
    place = None
    for frame in traceback.extract_tb(error.__traceback__):
        place = _within(frame.filename, frame.lineno, frame.name, folder) or place
    return place


def _within(file: str, line: int | None, function: str | None, folder: str) -> str | None:
    path = Path(file)
    if not path.is_relative_to(folder) or "site-packages" in path.relative_to(folder).parts:
        return None  # not the user's code: a virtual environment may be in their folder
    place = f"{path.relative_to(folder)}:{line}"
    return f"{place}, in {function}" if function and function != "<module>" else place
