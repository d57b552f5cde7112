"""A Ray cluster of fake nodes on this machine, in a process of its own: ``python -m tests.ray_nodes
FOLDER GPUS NAME…``. It prints the cluster's address, and reads ``kill NAME`` and ``add NAME``.

``ray.cluster_utils.Cluster`` is Ray's own means for such tests: each node is a raylet of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import PATIENCE_S

STARTS = 3
"""How often a cluster is tried to be started."""
SLOWER = 20
"""Ray gives each node 30 s to start, in ``ray._private.node`` and ``ray.cluster_utils``, which is
too little beside other work. To these two modules alone, time passes more slowly."""
STAND_IN = "sh -c 'while kill -0 $PPID; do sleep 1; done'"
"""In place of a node's agents for the dashboard and for runtime environments: a raylet must have
them, and ends when one does. The engine needs neither, and each is a Python that loads Ray."""
BARE = (
    f"--dashboard_agent_command={STAND_IN}",
    f"--runtime_env_agent_command={STAND_IN}",
    # With 0, a raylet waits 15 s for a file in which the agent writes its port, and then ends.
    "--metrics-agent-port=1",
    "--metrics_export_port=1",
    "--dashboard_agent_listen_port=1",
    "--runtime_env_agent_port=1",
    # Workers of functions; an actor's own is started when there is one.
    "--num_prestart_python_workers=0",
)
"""A raylet's last words, which override what Ray has put before them."""
LIGHT = {"PYTHONPATH": str(Path(__file__).with_name("ray_path"))}
"""The variable with which a process imports Ray in a second: see `ray_path/rfc3987_syntax.py`."""


class RayNodes:
    """The process, seen from a test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._process = process
        self.address = process.stdout.readline().strip()
        assert self.address, "the cluster did not start"

    def kill(self, name: str) -> None:
        """SIGKILL of the node's raylet."""
        self._ask("kill", name)

    def add(self, name: str) -> None:
        """A further node, which joins the cluster."""
        self._ask("add", name)

    def _ask(self, what: str, name: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what} {name}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"


@contextmanager
def ray_nodes(
    folder: Path, environment: Mapping[str, str], *names: str, gpus: int = 0
) -> Iterator[RayNodes]:
    """A cluster with a node of each name; ``folder`` has their temporary files and caches, and Ray
    believes each to have so many ``gpus``."""
    short = tempfile.TemporaryDirectory(dir="/tmp", prefix="ray-", ignore_cleanup_errors=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ray_nodes", str(folder), str(gpus), *names],
        # The paths of Ray's sockets would be too long below a test's folder.
        env={**environment, **LIGHT, "RAY_TMPDIR": short.name},
        cwd=Path(__file__).resolve().parents[1], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield RayNodes(process)
    finally:
        process.communicate(timeout=PATIENCE_S)  # its input ends, and it shuts the cluster down
        short.cleanup()


def _slow_clock() -> None:
    import ray._private.node
    import ray.cluster_utils

    class SlowTime:
        def __getattr__(self, name: str) -> Any:
            return getattr(time, name)

        def monotonic(self) -> float:
            return time.monotonic() / SLOWER

        time = monotonic  # both only tell how much time has passed

    for module in (ray._private.node, ray.cluster_utils):
        module.time = SlowTime()


def _bare() -> None:
    """Start nothing for a node but its raylet, and for the cluster but its GCS."""
    import ray._private.node
    import ray._private.services

    start = ray._private.services.start_ray_process

    def started(command: list[str], process_type: str, *args: Any, **kwargs: Any) -> Any:
        more = BARE if process_type == "raylet" else ()
        return start([*command, *more], process_type, *args, **kwargs)

    ray._private.services.start_ray_process = started
    # `include_dashboard=False` starts the dashboard's process too, only without its page.
    ray._private.node.Node.start_api_server = lambda self, **kwargs: None


def _started(node: Callable[[str], dict[str, Any]], names: Sequence[str]) -> tuple[Any, Any]:
    """A cluster with these nodes, and the nodes by their names."""
    from ray.cluster_utils import Cluster

    for left in reversed(range(STARTS)):
        cluster = Cluster()
        try:
            nodes = {name: cluster.add_node(**node(name)) for name in names}
            cluster.wait_for_nodes(timeout=PATIENCE_S)
        except Exception:  # Ray raises Exception itself for a node that was late
            cluster.shutdown()
            if not left:
                raise
        else:
            return cluster, nodes
    raise AssertionError


def main(folder: Path, gpus: int, names: list[str]) -> None:
    def node(name: str) -> dict[str, Any]:
        return {
            "num_cpus": 1,
            "num_gpus": gpus,
            "include_dashboard": False,
            "include_log_monitor": False,
            "no_monitor": True,
            "object_store_memory": 80 * 2**20,
            "env_vars": {
                **os.environ, "PERMILLE_FAKE_NODE": name, "PERMILLE_CACHE": str(folder),
            },
        }  # fmt: skip

    _slow_clock()
    _bare()
    cluster, nodes = _started(node, names)
    print(cluster.address, flush=True)
    for line in sys.stdin:
        what, name = line.split()
        if what == "add":
            nodes[name] = cluster.add_node(**node(name))
        else:
            cluster.remove_node(nodes[name], allow_graceful=False)
        print("done", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
