"""Random pauses between calls, for a power sensor that samples a part of the time.

Calls of one length, one after the other, may keep step with such a sensor, which then always sees
the same part of them. A pause of random length shifts the calls that follow against it.
"""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from permille.study.worker.messages import Pausing

OnePass = Callable[[Callable[[Any], Any], Sequence[Any], "array[int]", list[Any]], None]
"""Runs each request once, and appends durations and answers."""


class PausedPass:
    """Like ``one_pass``, with a pause before the first call that begins later than ``every_s``
    after the pause before it. ``pauses`` are those so far (ns), for the span."""

    def __init__(
        self,
        pausing: Pausing,
        seed: int,
        one_pass: OnePass,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pausing, self._one_pass = pausing, one_pass
        self._clock_ns, self._sleep = clock_ns, sleep
        self._chance = random.Random(seed)
        self._since_ns: int | None = None
        self.pauses: list[tuple[int, int]] = []

    def __call__(
        self,
        infer: Callable[[Any], Any],
        requests: Sequence[Any],
        durations_ns: array[int],
        answers: list[Any],
    ) -> None:
        """Run each request once."""
        for request in requests:
            self._pause_if_due()
            # Through the same loop as without pauses, so that a call is timed in the same way.
            self._one_pass(infer, (request,), durations_ns, answers)

    def _pause_if_due(self) -> None:
        now_ns = self._clock_ns()
        if self._since_ns is None:
            self._since_ns = now_ns
        if now_ns - self._since_ns < self._pausing.every_s * 1e9:
            return
        # Up to a whole period of the sensor (run/trial.py, pausing()): the next call begins in any
        # part of it with equal chance.
        self._sleep(self._chance.uniform(0.0, self._pausing.up_to_s))
        self._since_ns = self._clock_ns()
        self.pauses.append((now_ns, self._since_ns))
