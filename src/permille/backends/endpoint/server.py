"""A server's process: start it, wait until it is ready, stop it. Its energy is this machine's."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from http import HTTPStatus

from permille.backends.endpoint.http import ErrorStatus, TimedOut
from permille.errors import InferenceError, ModelError
from permille.workload.specs import Launch

POLL_S = 0.1
STOP_S = 10.0
"""Seconds between TERM and KILL."""
_LOADING = frozenset(
    {
        HTTPStatus.SERVICE_UNAVAILABLE,  # llama.cpp: "Loading model"
        HTTPStatus.BAD_GATEWAY,  # a proxy whose server has not started yet
        HTTPStatus.GATEWAY_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
    }
)
"""Statuses that are temporary. Any other is final."""


class StartedServer:
    """A running server. Started by a worker, it stays in the worker's process group, so that it
    always ends with the worker; with ``launch``, it is in a session of its own and outlives
    workers.

    Raises:
        ModelError: it cannot be started.
    """

    def __init__(self, model_id: str, command: str, launch: Launch | None = None) -> None:
        self._at = f"model {model_id!r}: serve"
        # In a file: a pipe that nobody reads would fill up, and block the server (pipe(7)).
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        try:
            self._process = subprocess.Popen(
                [*(launch.prefix if launch else ()), *shlex.split(command)],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                env=launch.environment if launch else None,
                start_new_session=launch is not None,
            )
        except (OSError, ValueError) as error:
            self._log.close()
            raise ModelError(f"{self._at} {command!r}: {error}") from error
        self.pid = self._process.pid

    def check_running(self) -> None:
        """Check that it is still running.

        Raises:
            ModelError: it has ended; with the last line that it printed.
        """
        code = self._process.poll()
        if code is not None:
            raise ModelError(f"{self._at}: it exited with {code}: {self._last_line()}")

    def stop(self) -> None:
        """Stop it with TERM and, after a while, KILL."""
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _last_line(self) -> str:
        # Only after its end: the server writes at the position of this same open file (fork(2)).
        self._log.seek(max(0, self._log.seek(0, 2) - 4096))
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else "it printed nothing"


def wait_until_ready(
    probe: Callable[[float | None], None], server: StartedServer | None, wait_s: float
) -> None:
    """Request one inference until it succeeds. ``server`` is one that permille started, whose port
    may not be open yet; one that was already running must answer, even if it is still loading.
    ``probe`` takes the seconds that it may wait, or None for the normal timeout.

    Raises:
        ModelError: the server exits, refuses, or is not ready in time; with its last message.
    """
    deadline_s = time.monotonic() + wait_s
    while True:
        last: InferenceError
        left_s = deadline_s - time.monotonic()
        try:
            # The first inference may take far longer than later ones, because it compiles or loads.
            probe(None if server is None else max(left_s, POLL_S))
        except ErrorStatus as error:
            if error.status not in _LOADING:
                raise
            last = error
        except InferenceError as error:
            if server is None:
                raise
            last = error
        else:
            return
        if server is not None:
            server.check_running()
        if isinstance(last, TimedOut) or time.monotonic() > deadline_s:
            raise ModelError(f"{last}; not ready after {wait_s:g} s: raise serve_wait_s")
        time.sleep(POLL_S)
