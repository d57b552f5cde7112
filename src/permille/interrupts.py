"""Ctrl-C, TERM and HUP: the first stops the run in an orderly way, the second immediately."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType, TracebackType
from typing import Any, Self

from permille.processes import end_marked

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """The run was told to stop. ``code`` is the exit code: 128 plus the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.code = 128 + number


class Interrupts:
    """While the context is active, the first signal raises :class:`Interrupted` in the run; a
    second one kills every descendant of this process and every process with the run's ``token``,
    and exits."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._seen = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            # nohup sets HUP to be ignored, which is kept.
            if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP:
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The handler stays after the first signal, because the recorder must still be stopped.
        if not self._seen:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if not self._seen:
            self._seen = True
            raise Interrupted(number)
        # The recorder has no token in its environment, and a worker's daemon is no descendant any
        # more: each of the two finds what the other does not.
        _end_children()
        end_marked(self._token)
        # Without cleaning up, which may be what hangs (docs.python.org, os._exit).
        os._exit(128 + number)


def _end_children() -> None:
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
