"""Runs ``permille`` in processes that begin with everything imported.

Most of what a short command takes is to start Python, to import, and to read what permille ships
with. One process does it once, and forks for each command: still a process of its own, with its own
folder, environment and streams, that runs what ``python -m permille`` runs. What Python or a
library reads from the environment as it is loaded would come too late: such a command must be
started afresh (:meth:`Zygote.can_fork`).

As a program, this is that process. It ends with the socket that it is told of.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from permille.leaving import leave

READ_WHEN_USED = ("PERMILLE_", "TMPDIR", "XDG_", "COLUMNS", "NO_COLOR", "AWS_", "HF_", "PYTEST_")
"""How the names begin of what is read from the environment when it is needed, or by what is loaded
then (:data:`LOADED_LATER`)."""
LOADED_LATER = ("huggingface_hub", "obstore", "onnxruntime", "torch")
PRELOADED = (
    *("numpy", "psutil", "rich.console", "rich.table", "sqlite3", "uuid"),
    # What `permille run` loads by its plug-ins' names.
    *("permille.backends.python.loaded", "permille.study.engines.local"),
    *("permille.study.run.runner", "permille.study.worker.reference_work"),
    "permille.tasks.text_classification",
)
THE_HUBS = ("datasets", "huggingface_hub")
LONGEST = 1 << 17
"""Bytes of a command's words and environment."""


class Zygote:
    """The process that forks. Its commands may run side by side.

    With ``hub``, it has the libraries of the Hub loaded, which take seconds; its environment has
    what they read as they are loaded.
    """

    def __init__(self, environment: Mapping[str, str] | None = None, *, hub: bool = False) -> None:
        started = dict(os.environ if environment is None else environment)
        self._own = {n: value for n, value in started.items() if os.environ.get(n) != value}
        self._read_when_used = tuple(n for n in READ_WHEN_USED if not (hub and n == "HF_"))
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno()), *(THE_HUBS if hub else ())],
                cwd=Path(__file__).parents[1],
                # NumPy's library would start threads, which a fork leaves behind.
                env=started | {"OPENBLAS_NUM_THREADS": "1"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._lock = threading.Lock()

    def can_fork(self, environment: Mapping[str, str]) -> bool:
        """Whether what differs from its own environment is read when it is needed. What a library
        has set in this process meanwhile does not count: no command's user has set it."""
        its = os.environ | self._own
        names = environment.keys() | its.keys()
        changed = [name for name in names if environment.get(name) != its.get(name)]
        return all(name.startswith(self._read_when_used) for name in changed)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def close(self) -> None:
        """End it."""
        self._socket.close()
        self._process.wait()

    def run(
        self, words: Iterable[str], folder: Path, environment: dict[str, str], timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        """``permille`` with these words, as :func:`subprocess.run` would.

        Raises:
            subprocess.TimeoutExpired: it was killed after ``timeout_s``.
        """
        words = list(words)
        task = json.dumps([words, str(folder), environment]).encode()
        pipes = [os.pipe() for _ in range(3)]  # its output, its errors, and what became of it
        with self._lock:
            socket.send_fds(self._socket, [task], [end for _, end in pipes])
        for _, end in pipes:
            os.close(end)
        found = _read([begin for begin, _ in pipes], timeout_s)
        for begin, _ in pipes:
            os.close(begin)
        out, err, ended = (io.TextIOWrapper(io.BytesIO(each)).read() for each in found)
        pid, *code = ended.split()
        if not code:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
            raise subprocess.TimeoutExpired(words, timeout_s, out, err)
        return subprocess.CompletedProcess(words, int(code[0]), out, err)


def _read(descriptors: list[int], timeout_s: float) -> list[bytearray]:
    """All that comes until every writer has closed its end, or the time is over."""
    found = {descriptor: bytearray() for descriptor in descriptors}
    end = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map() and (left_s := end - time.monotonic()) > 0:
            for key, _ in selector.select(left_s):
                got = os.read(key.fd, 1 << 16)
                found[key.fd] += got
                if not got:
                    selector.unregister(key.fd)
    return list(found.values())


def serve(connection: socket.socket) -> None:
    """Fork for each task until the other side is closed."""
    while True:
        task, descriptors, _, _ = socket.recv_fds(connection, LONGEST, 3)
        if not task:
            return
        if os.fork() == 0:
            connection.close()
            _keep(task, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _keep(task: bytes, descriptors: list[int]) -> None:
    """Between the two, a process that waits for the command and says how it ended."""
    out, err, ended = descriptors
    pid = os.fork()
    if pid == 0:
        os.close(ended)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        _become(task)
    for descriptor in (out, err, 1, 2):
        os.close(descriptor)
    os.write(ended, f"{pid} ".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(ended, str(code).encode())
    os._exit(0)


def _become(task: bytes) -> None:
    """The command, as ``python -m permille`` in its folder."""
    words, folder, environment = json.loads(task)
    # permille's own streams take the place of these, which must not close what they write to.
    sys.stdin, sys.stdout = open(0), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # what was loaded may have asked for it
    sys.path[0] = folder
    sys.argv = ["permille", *words]
    try:
        runpy.run_module("permille", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        # To free every module would copy the pages that it shares, which takes three times as long
        # as a short command.
        leave(int(ended.code or 0))


if __name__ == "__main__":
    from permille import cli, plugins
    from permille.analysis.paper import published
    from permille.carbon import lookup

    asked = sys.argv[2:]
    for name in (*PRELOADED, *map(cli.module_of, cli.COMMANDS), *asked):
        importlib.import_module(name)
    plugins.names("meters")  # reads the metadata of every installed package
    published.load()
    lookup.find("FRA")
    assert not sys.modules.keys() & set(LOADED_LATER) - set(asked)
    # A command's collector, and the end of its interpreter, go over what the command made alone:
    # to visit what was imported would copy its pages too.
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
