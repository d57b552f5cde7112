"""A reading of every meter, made at once when asked: the channel that a worker holds.

Apart from the rest of the recorder, since every worker imports it before it can start.
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
"""A start's reading this old (0.5 ms) is made again."""
STARTS = 10
"""How often, at most."""


def until_fresh(mark: Callable[[], int]) -> None:
    """Ask for a mark until its answer comes at once: on a busy machine this process waits for its
    turn, and what starts then would start well after the reading."""
    for _ in range(STARTS):
        done_ns = mark()
        if time.monotonic_ns() - done_ns < LATE_NS:
            return


class Marker:
    """A worker's channel: a reading of every meter, made at once when asked."""

    def __init__(self, descriptor: int) -> None:
        self._channel = socket.socket(fileno=descriptor)
        self._channel.settimeout(ANSWER_S)

    def mark(self) -> int:
        """Return once every meter has been read; when that was (ns).

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
        """As :meth:`mark`, for what starts now (see :func:`until_fresh`).

        Raises:
            RecorderError: the recorder has died; the trial is void.
        """
        until_fresh(self.mark)

    def close(self) -> None:
        """Give the channel back."""
        self._channel.close()
