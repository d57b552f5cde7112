"""A worker's channel to request an immediate reading of every meter.

It is separate from the rest of the recorder, because every worker imports it before it can start.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from permille.errors import RecorderError
from permille.recorder import wire

ANSWER_S = 30.0
"""Seconds to wait for an answer; the recorder polls far more often."""

LATE_NS = 500_000
"""If the reading for a start is this old (0.5 ms), it is repeated."""
STARTS = 10
"""The most repetitions."""


def until_fresh(mark: Callable[[], int]) -> None:
    """Repeat a mark until its answer arrives immediately. On a busy machine this process may be
    descheduled, and the span would start well after the reading."""
    for _ in range(STARTS):
        done_ns = mark()
        if time.monotonic_ns() - done_ns < LATE_NS:
            return


class Marker:
    """A worker's channel to request an immediate reading of every meter."""

    def __init__(self, descriptor: int) -> None:
        self._channel = socket.socket(fileno=descriptor)
        self._channel.settimeout(ANSWER_S)

    def mark(self) -> int:
        """Have every meter read; returns the time of the readings (ns).

        Raises:
            RecorderError: the recorder has died; the trial is void.
        """
        try:
            self._channel.sendall(wire.MARK)
            stamp = wire.exactly(self._channel, wire.STAMP.size)
        except (OSError, EOFError) as error:
            raise RecorderError("the recorder died") from error
        done_ns: int = wire.STAMP.unpack(stamp)[0]
        return done_ns

    def mark_start(self) -> None:
        """Like :meth:`mark`, for a span that starts now (see :func:`until_fresh`).

        Raises:
            RecorderError: the recorder has died; the trial is void.
        """
        until_fresh(self.mark)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()
