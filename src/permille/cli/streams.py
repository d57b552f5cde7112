"""Standard output and error that never lose a result, even if closed, full or not UTF-8."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class OutputLostError(OSError):
    """A standard stream no longer accepts output: its reader or terminal is gone, or its disk is
    full. A type of its own, since a store's disk has errors of the same numbers."""


class _Descriptor(io.FileIO):
    """A standard stream's descriptor."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, as any file does.

        Raises:
            OutputLostError: it does not accept this.
        """
        try:
            return super().write(data)
        except OSError as error:
            raise OutputLostError(error.errno, error.strerror) from error


def open_streams() -> None:
    """Make both streams usable in any state.

    Characters outside their encoding are escaped. A closed descriptor would be reused for the next
    file that is opened, and output would be written into it (the store, for example). If standard
    output is closed, its output goes to standard error. If a stream does not accept output, writing
    to it raises :class:`OutputLostError`.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free one, which is this
    # Python starts without a stream whose descriptor is closed
    # (docs.python.org/3/library/sys.html#sys.__stdin__).
    has_output = sys.stdout is not None
    sys.stderr = _opened(2, sys.stderr)
    sys.stdout = _opened(1, sys.stdout) if has_output else sys.stderr


def _opened(descriptor: int, stream: TextIO | None) -> TextIO:
    """A stream as Python's own, but for what it does with what it cannot write."""
    raw = _Descriptor(descriptor, "w", closefd=False)
    at_once = getattr(stream, "write_through", False)  # PYTHONUNBUFFERED
    return io.TextIOWrapper(
        raw if at_once else io.BufferedWriter(raw),
        encoding="utf-8" if stream is None else stream.encoding,
        errors="backslashreplace",
        line_buffering=stream is None or bool(stream.line_buffering),
        write_through=at_once,
    )


def drop_output(stream: TextIO | None = None) -> None:
    """Discard what ``stream`` (standard output) has buffered, so that the interpreter's last flush
    does not fail."""
    # As https://docs.python.org/3/library/signal.html#note-on-sigpipe does: what is still buffered
    # would fail again, and make the exit code 120.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, (stream or sys.stdout).fileno())
    os.close(nowhere)


def tell(message: str) -> None:
    """Print a line on standard error. If that does not accept it, it is dropped."""
    _try_stderr(lambda: print(message, file=sys.stderr))


class Feed:
    """Prints progress lines on standard output. If that no longer accepts output, they go to
    standard error; if that fails too, they are dropped. A reader that goes away does not end the
    work."""

    def __init__(self) -> None:
        self._lost = False

    def put(self, show: Callable[[], None]) -> None:
        """Call ``show``, which prints one line."""
        if not self._lost:
            try:
                show()
            except OutputLostError as error:
                self._lost = True
                drop_output()
                message = f"permille: cannot write standard output ({error.strerror})"
                tell(f"{message}; the other lines:")
            else:
                return
        with redirect_stdout(sys.stderr):
            _try_stderr(show)


def _try_stderr(show: Callable[[], None]) -> None:
    try:
        show()
        sys.stderr.flush()
    except OutputLostError:
        drop_output(sys.stderr)


def deliver(show: Callable[[], None]) -> None:
    """Print a result that cannot be reproduced, on standard error if standard output does not
    accept it."""
    try:
        show()
        sys.stdout.flush()
    except OutputLostError as error:
        drop_output()
        print(
            f"permille: cannot write standard output ({error.strerror}); the result:",
            file=sys.stderr,
        )
        with redirect_stdout(sys.stderr):
            show()
