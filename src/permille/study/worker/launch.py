"""Contain this process like a worker, and become a server that workers share.

Run as ``python -P -m permille.study.worker.launch RUNNER MEMORY_GIB COMMAND…``, where MEMORY_GIB
may be empty. The server ends with the runner, whatever happens to it.
"""

from __future__ import annotations

import os
import sys

from permille.study.worker.containment import contain


def main(runner: int, memory_gib: float | None, command: list[str]) -> None:
    """Replace this process by the command."""
    # With the network: in a namespace of its own, no client could reach it.
    for note in contain(network=True, memory_gib=memory_gib, parent=runner):
        print(note, file=sys.stderr, flush=True)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise SystemExit(f"{command[0]}: {error.strerror}") from error


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]) if sys.argv[2] else None, sys.argv[3:])
