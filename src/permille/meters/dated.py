"""Date a reading: the clock is read before and after it, and the middle is its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

TRIES = 5
"""The most readings, of which the quickest counts."""
SLOW_LATE_NS = 20_000_000
"""``late_ns`` of a driver that may take milliseconds for an answer, of a counter that steps every
20 to 100 ms."""

Value = TypeVar("Value")


def dated(
    read: Callable[[], Value], late_ns: int, clock_ns: Callable[[], int] = time.monotonic_ns
) -> tuple[int, Value]:
    """The time (ns) and the result of ``read``.

    If this process is descheduled during it, the middle is wrong by up to half of that time: tens
    of milliseconds where a container's processor quota is used up. So a reading that took
    ``late_ns`` or more is repeated. Exceptions of ``read`` propagate.
    """
    quickest: tuple[int, int, Value] | None = None
    for _ in range(TRIES):
        before_ns = clock_ns()
        value = read()
        took_ns = clock_ns() - before_ns
        if quickest is None or took_ns < quickest[0]:
            quickest = (took_ns, before_ns + took_ns // 2, value)
        if took_ns < late_ns:
            break
    assert quickest is not None
    return quickest[1:]
