"""A machine whose power is known: a powercap tree, driven by a trace, where each tool looks for it.

Peers look below /sys/class/powercap and nowhere else. They run in a mount namespace of their own
in which the tree lies there, for which this needs to be root on Linux.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from environments import HERE, python_of
from tests.powercap import RANGE_UJ, Driver, FakePowercap, Trace

ZONE = "cpu:0"
MOUNT = """
[ -d /sys/class/powercap ] || { mount -t tmpfs none /sys/class && mkdir /sys/class/powercap; }
[ ! -d /sys/devices/virtual/powercap ] || mount -t tmpfs none /sys/devices/virtual/powercap
mount --bind "$0" /sys/class/powercap && exec "$@"
"""


class FakeMachine:
    """One tree, its driver, and tools that run on it. Use with ``with``."""

    def __init__(self, trace: Trace, *, limit_w: float = 250.0) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="permille-bench-")
        folder = Path(self._folder.name)
        self.root = folder / "class"
        self.tree = FakePowercap(self.root, dram=False, layout="sysfs", limit_w=limit_w)
        control_type = folder / "devices" / "intel-rapl"
        (self.root / "intel-rapl").symlink_to(control_type)
        (control_type / "subsystem").symlink_to(self.root)
        self.driver: Driver = self.tree.drive({ZONE: trace})
        self.punctual = _make_punctual(self.driver.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.driver.stop()
        self._folder.cleanup()

    def tool(self, name: str) -> Tool:
        """Start ``tools/with_NAME.py`` in its own environment, on this machine."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PERMILLE_")}
        environment["TMPDIR"] = self._folder.name  # a lock of its own
        environment["PERMILLE_METERS"] = "rapl"
        script = HERE / "tools" / f"with_{name}.py"
        inside = ["sh", "-c", MOUNT, str(self.root), str(python_of(name)), str(script)]
        return Tool(["unshare", "--mount", *inside], environment)


class Tool:
    """A tool's script, asked by JSON lines. Use with ``with``."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        # No pipe: nobody reads it meanwhile, and a tool that fills one would stand still.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def send(self, **request: Any) -> None:
        """Ask."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Any:
        """The answer.

        Raises:
            RuntimeError: the tool has died; with what it said last.
        """
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            said = self._log.read().decode("utf-8", "replace").strip().splitlines()
            raise RuntimeError("a tool has died: " + "\n".join(said[-5:]))
        return json.loads(line)

    def ask(self, **request: Any) -> Any:
        """Ask, and wait for the answer."""
        self.send(**request)
        return self.receive()


def can_mount() -> str | None:
    """None where peers can be shown a tree of ours, else why not."""
    if sys.platform != "linux":
        return "peers look for RAPL in Linux's /sys only"
    if os.geteuid() != 0:
        return "to lay a tree over /sys/class/powercap needs root"
    return None


def _make_punctual(pid: int) -> bool:
    """Let the driver's ticks come in time on a busy machine: real counters do not wait either."""
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(10))
    except PermissionError:
        return False
    return True


__all__ = ["RANGE_UJ", "ZONE", "FakeMachine", "Tool", "can_mount"]
