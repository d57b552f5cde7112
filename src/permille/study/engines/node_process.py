"""A node as a process of this machine: what an actor of a cluster starts, and talks to by pipes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from permille.processes import signal_name
from permille.study.engines.messages import read_frame, write_frame

END_S = 20.0
"""Seconds for a node to end its worker and its recorder."""
_TAIL_BYTES = 4096


class NodeCommand:
    """How a node is started: the words of ``permille run``, the folder they were given in, the
    ``key`` of the node's store (:func:`permille.study.engines.node.node_store`), and the ``gpu``
    (an index or a UUID) if the node is one GPU of a machine."""

    def __init__(self, words: Sequence[str], folder: str, key: str, gpu: str | None = None) -> None:
        self.words = tuple(words)
        self.folder = folder
        self.key = key
        self.gpu = gpu


class NodeProcess:
    """A running node. It ends by itself when this process does, because its input ends."""

    def __init__(self, command: NodeCommand, environment: Mapping[str, str]) -> None:
        # A preset needs no files, so that the run's folder need not be on this node.
        folder = command.folder if Path(command.folder).is_dir() else tempfile.gettempdir()
        # In a file: a pipe that nobody reads fills up, and then blocks the node (pipe(7)).
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _end_reason
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "permille.cli.node", command.key),
                *([command.gpu] if command.gpu else []),
                "--",
                *command.words,
            ],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            # A signal to the group of the process that starts it must not reach the node, which
            # ends when its input does, after its worker and its recorder.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The node's process."""
        return self._process.pid

    def send(self, body: bytes) -> None:
        """Send a message. One to a node that has ended is dropped: :meth:`receive` says why it
        did."""
        assert self._process.stdin is not None
        try:
            write_frame(self._process.stdin, body)
        except (BrokenPipeError, ValueError):  # ValueError: closed by end()
            return

    def receive(self) -> bytes | str:
        """Wait for a message; a string says why there is none any more."""
        assert self._process.stdout is not None
        try:
            body = read_frame(self._process.stdout)
        except ValueError as error:
            return f"it sent a malformed message: {error}"
        return self._end_reason() if body is None else body

    def end(self) -> None:
        """Have it end; in an orderly way, if it can."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended
            self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _end_reason(self) -> str:
        code = self._process.wait()
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _TAIL_BYTES))
        assert self._process.stdout is not None
        printed = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        self._errors.close()
        self._process.stdout.close()
        last = printed[-1].removeprefix("permille: ")[:500] if printed else "it printed nothing"
        how = f"was killed by {signal_name(-code)}" if code < 0 else f"ended (exit {code})"
        return f"its process {how}: {last}"
