"""Standard output and error that cannot lose a result: of any encoding, closed, or full."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TextIO

OUTPUT_LOST = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, errno.EDQUOT)
"""What writing to standard output fails with."""


def open_streams() -> None:
    """Make both streams usable whatever they are.

    What their encoding does not have is escaped. A descriptor that is closed would otherwise be
    the next file's, and what is printed would go into it (the store, say); the output of a closed
    standard output goes to standard error.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for life
    if sys.stdout is None:
        sys.stdout = sys.stderr
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def drop_output(stream: TextIO | None = None) -> None:
    """Send what ``stream`` (standard output) still has buffered nowhere, so that the interpreter's
    last flush does not fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, (stream or sys.stdout).fileno())
    os.close(nowhere)


def is_output_lost(error: OSError) -> bool:
    """Whether ``error`` is that of a standard stream that takes no more."""
    return error.filename is None and error.errno in OUTPUT_LOST


class Feed:
    """Lines on standard output while work goes on: where it takes no more, on standard error; and
    where that takes none either, nowhere. The work is not ended by whoever stops reading."""

    def __init__(self) -> None:
        self._lost = False

    def put(self, show: Callable[[], None]) -> None:
        """Have ``show`` print its line."""
        if not self._lost:
            try:
                show()
            except OSError as error:
                if not is_output_lost(error):
                    raise
                self._lost = True
                drop_output()
                said = f"permille: cannot write standard output ({error.strerror})"
                _try_stderr(lambda: print(f"{said}; the other lines:", file=sys.stderr))
            else:
                return
        with redirect_stdout(sys.stderr):
            _try_stderr(show)


def _try_stderr(show: Callable[[], None]) -> None:
    try:
        show()
        sys.stderr.flush()
    except OSError as error:
        if not is_output_lost(error):
            raise
        drop_output(sys.stderr)


def deliver(show: Callable[[], None]) -> None:
    """Print a result that is not to be had again: where standard output does not take it, on
    standard error."""
    try:
        show()
        sys.stdout.flush()
    except OSError as error:
        if not is_output_lost(error):
            raise
        drop_output()
        print(
            f"permille: cannot write standard output ({error.strerror}); the result:",
            file=sys.stderr,
        )
        with redirect_stdout(sys.stderr):
            show()
