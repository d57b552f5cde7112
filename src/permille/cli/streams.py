"""Standard output and error that cannot lose a result: of any encoding, closed, or full."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout

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


def drop_output() -> None:
    """Send what is still buffered nowhere, so that the interpreter's last flush does not fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def deliver(show: Callable[[], None]) -> None:
    """Print a result that is not to be had again: where standard output does not take it, on
    standard error."""
    try:
        show()
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or error.errno not in OUTPUT_LOST:
            raise
        drop_output()
        print(
            f"permille: cannot write standard output ({error.strerror}); the result:",
            file=sys.stderr,
        )
        with redirect_stdout(sys.stderr):
            show()
