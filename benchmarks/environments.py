"""The peers' own environments, with every package pinned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = ("codecarbon", "zeus")


def python_of(tool: str) -> Path:
    """The interpreter that runs a tool: permille's own, or its environment's."""
    if tool in PEERS:
        return HERE / ".envs" / tool / "bin" / "python"
    return Path(sys.executable)


def build(peer: str) -> None:
    """Make ``.envs/PEER`` from ``peers/PEER.txt``, unless it is there and as new.

    Raises:
        subprocess.CalledProcessError: it cannot be installed.
    """
    pins = HERE / "peers" / f"{peer}.txt"
    made = HERE / ".envs" / peer / "made-from.txt"
    if made.exists() and made.read_text() == pins.read_text():
        return
    folder = made.parent
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    # The pins are all that pip once resolved; a dependency added since must not come along.
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--disable-pip-version-check", "-r", str(pins)], check=True)
    made.write_text(pins.read_text())


def version(peer: str) -> str:
    """As pinned."""
    lines = (HERE / "peers" / f"{peer}.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{peer}=="))
