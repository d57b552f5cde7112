"""Standard output and error that never lose a result, even if closed, full or not UTF-8."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TextIO

# In this order: nobody reads, the disk is full, the terminal is gone, the stream was closed,
# ulimit -f, a quota (write(2)).
OUTPUT_LOST = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, errno.EDQUOT)
"""Errors that writing to standard output can raise."""


def open_streams() -> None:
    """Make both streams usable in any state.

    Characters outside their encoding are escaped. A closed descriptor would be reused for the next
    file that is opened, and output would be written into it (the store, for example). If standard
    output is closed, its output goes to standard error.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free one, which is this
    # Python starts without a stream whose descriptor is closed
    # (docs.python.org/3/library/sys.html#sys.__stdin__).
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for life
    if sys.stdout is None:
        sys.stdout = sys.stderr
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def drop_output(stream: TextIO | None = None) -> None:
    """Discard what ``stream`` (standard output) has buffered, so that the interpreter's last flush
    does not fail."""
    # As https://docs.python.org/3/library/signal.html#note-on-sigpipe does: what is still buffered
    # would fail again, and make the exit code 120.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, (stream or sys.stdout).fileno())
    os.close(nowhere)


def is_output_lost(error: OSError) -> bool:
    """Whether ``error`` means that a standard stream no longer accepts output."""
    # What was opened by name has it in its errors: a full disk under the store is not the output's.
    return error.filename is None and error.errno in OUTPUT_LOST


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
            except OSError as error:
                if not is_output_lost(error):
                    raise
                self._lost = True
                drop_output()
                message = f"permille: cannot write standard output ({error.strerror})"
                _try_stderr(lambda: print(f"{message}; the other lines:", file=sys.stderr))
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
    """Print a result that cannot be reproduced, on standard error if standard output does not
    accept it."""
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
