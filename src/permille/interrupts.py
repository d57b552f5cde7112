"""Ctrl-C, TERM and HUP: the first ends the run in order, the second at once."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType, TracebackType
from typing import Any, Self

from permille.processes import end_marked

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """The run was told to stop. ``code`` is what to exit with: 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.code = 128 + number


class Interrupts:
    """While it is entered: the first of the signals raises :class:`Interrupted` where the run
    is, a second kills every process below this one and of the run ``token``, and exits."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._seen = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            # HUP is left ignored where nohup made it so.
            if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP:
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # After the first signal the handler stays: the recorder is still to be ended.
        if not self._seen:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if not self._seen:
            self._seen = True
            raise Interrupted(number)
        _end_children()
        end_marked(self._token)
        os._exit(128 + number)


def _end_children() -> None:
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
