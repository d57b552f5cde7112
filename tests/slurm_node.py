"""A real Slurm of one node on this machine, with its own munge: for root alone."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import await_that

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo")
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={port}
SlurmdPort={slurmd_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES State=UP MaxTime=INFINITE
"""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _program(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: slurm-wlm, munge)")
    return path


@contextmanager
def slurm_of_one_node(folder: Path) -> Iterator[dict[str, str]]:
    """The environment variables that sbatch needs. Skips where it cannot be started."""
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons need root")
    programs = {name: _program(name) for name in PROGRAMS}
    host = socket.gethostname().partition(".")[0]
    folder.mkdir(mode=0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    conf = folder / "slurm.conf"
    conf.write_text(
        CONF.format(
            host=host, folder=folder, port=_free_port(), slurmd_port=_free_port(),
            cpus=os.cpu_count(),
        )
    )  # fmt: skip
    env = {**os.environ, "SLURM_CONF": str(conf)}
    commands = [
        [
            programs["munged"], "--foreground", "--force", f"--key-file={key}",
            f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid",
            f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed",
        ],
        [programs["slurmctld"], "-D", "-c", "-f", str(conf)],
        [programs["slurmd"], "-D", "-f", str(conf)],
    ]  # fmt: skip
    with ExitStack() as stack:
        for command in commands:
            daemon = subprocess.Popen(
                command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(daemon.wait)
            stack.callback(daemon.terminate)
            if "munged" in command[0]:
                await_that((folder / "munge.socket").exists)

        def idle() -> bool:
            words = [programs["sinfo"], "-h", "-o", "%T"]
            shown = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
            return shown.stdout.strip() == "idle"

        await_that(idle)
        yield {"SLURM_CONF": str(conf)}
