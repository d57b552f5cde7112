"""A server's own process: started, waited for, stopped. Its energy is then this machine's."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable

from permille.errors import ModelError

POLL_S = 0.1
STOP_S = 10.0
"""Between TERM and KILL."""


class Server:
    """A running server. It stays in the worker's process group, so that it ends with the worker
    whatever happens.

    Raises:
        ModelError: it cannot be started, ends before it answers, or is not ready in time.
    """

    def __init__(
        self, model_id: str, command: str, answers: Callable[[], bool], wait_s: float
    ) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        try:
            self._process = subprocess.Popen(
                shlex.split(command),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
            )
        except (OSError, ValueError) as error:
            self._log.close()
            raise ModelError(f"model {model_id!r}: serve {command!r}: {error}") from error
        deadline = time.monotonic() + wait_s
        while not answers():
            code = self._process.poll()
            if code is not None:
                said = self._last_line()
                self.stop()
                raise ModelError(f"model {model_id!r}: serve: it ended with {code}: {said}")
            if time.monotonic() > deadline:
                self.stop()
                raise ModelError(
                    f"model {model_id!r}: serve: not ready after {wait_s:g} s; raise serve_wait_s"
                )
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End it: TERM, a while, KILL."""
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _last_line(self) -> str:
        self._log.seek(max(0, self._log.seek(0, 2) - 4096))
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"
